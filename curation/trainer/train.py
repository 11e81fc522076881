"""Train a CLIP model on a release, top to bottom: settings, model, optimiser, loop, loss, checkpoints, result.

    python -m curation.trainer.train RELEASE --scale NAME --out RUN
    torchrun --nproc-per-node 8 -m curation.trainer.train RELEASE --scale NAME --out RUN

RUN/ holds `model.safetensors` and `open_clip_config.json` (so `local-dir:RUN` names the model), `log.jsonl` (one line
per log step), `loss.png`, `result.json` (written last) and, until then, `checkpoint.pt`, from which a killed run goes
on when the same command is given again.
"""

import json
import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from curation.errors import CurationError, MissingModelError, RecipeError, StaleOutputError, unknown
from curation.files import write_json
from curation.models.clip import ensure_torchvision
from curation.shards.dataset import ManifestDataset
from curation.shards.manifest import Release
from curation.trainer.data import Collate, batches_per_epoch, epoch_batches, split
from curation.trainer.evaluate import evaluate
from curation.trainer.scales import SCALES, Scale

LOG_LINES = 200  # per run: enough for a curve
CHECKPOINTS = 10  # per run: a killed run loses at most a tenth of its work
MAX_LOGIT_SCALE = math.log(100)  # Radford et al. 2021 (arXiv:2103.00020) section 2.5


def train(
    release: str,
    *,
    scale: str = "tiny",
    out: str,
    seed: int = 0,
    holdout: float = 0.05,
    samples_seen: int | None = None,
    uids: str | None = None,
    workers: int = 1,
    device: str | None = None,
) -> dict[str, Any]:
    """Train a CLIP model of a scale on the release folder RELEASE and say how it did on the images held out.

    `holdout` is the share of images never trained on, `samples_seen` overrides the scale's, `uids` is a text file of
    the uids to train on (one a line), `workers` read and decode beside the training (they do not change the result),
    `device` is cpu, cuda or cuda:N, by default cuda where there is one. On the CPU the result is a function of release,
    settings and the number of threads. Raises RecipeError for a wrong setting, StaleOutputError where OUT holds another
    run, CurationError where the loss stops being a number.
    """
    if scale not in SCALES:
        raise unknown("scale", [scale], SCALES, "--scale")
    plan = replace(SCALES[scale], samples_seen=samples_seen or SCALES[scale].samples_seen)
    opened = Release.open(release)
    settings = {"release": opened.mark.get("key", release), "seed": seed, "holdout": holdout, "uids": uids, **asdict(plan)}
    run = Path(out)
    if (run / "result.json").exists():
        return _same(run / "result.json", settings)
    world = _join_ranks(device)
    model = build_model(run, plan.model, seed).to(world.device)
    optimizer = adamw(model, plan)
    state = _resume(run, settings, model, optimizer)
    data = ManifestDataset(
        release, seed=seed, rank=world.rank, world=world.size, uids=_training_uids(opened, holdout, uids)
    )
    _check_batches(data, plan, world)
    _fit(run, settings, plan, world, model, optimizer, data, state, workers)
    if world.rank > 0:
        return {}
    save_model(run, model, plan.weights)
    plot(run)
    held_out = evaluate(out, release=release, holdout=holdout) if holdout else None
    result = {"settings": settings, **_last_line(run), "held_out": held_out}
    write_json(str(run / "result.json"), result)
    (run / "checkpoint.pt").unlink(missing_ok=True)
    return result
