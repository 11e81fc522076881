"""Train a CLIP model on a release, top to bottom: settings, model, optimiser, loop, loss, log, checkpoint, result.

    python -m curation.trainer.train RELEASE --scale NAME --out RUN
    torchrun --nproc-per-node 8 -m curation.trainer.train RELEASE --scale NAME --out RUN

RUN/ holds `model.safetensors` and `open_clip_config.json` (so `local-dir:RUN` names the model), `log.jsonl` (one line
per log step), `loss.png`, `result.json` (written last) and, until then, `checkpoint.pt`, from which a killed run goes
on when the same command is given again.
"""

import json
import logging
import math
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from curation.errors import CurationError, MissingModelError, RecipeError, unknown
from curation.files import read_json, write_json
from curation.images import threads
from curation.models.clip import ensure_torchvision
from curation.schema import hex_id
from curation.shards.dataset import ManifestDataset
from curation.shards.manifest import Release
from curation.trainer.checkpoints import plot, resume, same_run, save_checkpoint, save_model
from curation.trainer.data import Collate, batches_per_epoch, epoch_batches, split
from curation.trainer.evaluate import evaluate
from curation.trainer.scales import SCALES, Scale

LOG_LINES = 200  # per run: enough for a curve
CHECKPOINTS = 10  # per run: a killed run loses at most a tenth of its work
MAX_LOGIT_SCALE = math.log(100)  # Radford et al. 2021 (arXiv:2103.00020) section 2.5


# ---- settings -------------------------------------------------------------------------------------------------------


@dataclass
class Run:
    """One training: what it depends on, where it runs, and how far it is."""

    out: Path
    settings: dict[str, Any]
    plan: Scale
    seed: int
    rank: int
    world: int
    device: torch.device
    step: int = 0
    model: Any = field(default=None, repr=False)
    optimizer: Any = field(default=None, repr=False)


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
) -> dict[str, Any] | None:
    """Train a CLIP model of a scale on a release and say how well it finds the pairs that were held out.

    --holdout is the share of images never trained on; --samples-seen replaces the scale's; --uids is a file with the
    uids to train on, one a line; --workers read and decode beside the training and do not change the result; --device
    is cpu, cuda or cuda:N, by default cuda where there is one. On the CPU the result is a function of the release, the
    settings and the number of threads. Raises RecipeError for a wrong setting, StaleOutputError where OUT holds
    another run, CurationError where the loss stops being a number.
    """
    if scale not in SCALES:
        raise unknown("scale", [scale], SCALES, "--scale")
    opened = Release.open(release)
    chosen, held = _sides(opened, holdout, uids)
    plan = replace(SCALES[scale], samples_seen=samples_seen or SCALES[scale].samples_seen)
    parts = [part["sha256"] for part in opened.mark["samples"]]
    settings = {**asdict(plan), "release": hex_id(*parts), "seed": seed, "holdout": holdout}
    settings["uids"] = None if uids is None else hex_id(*chosen)
    if (found := _finished(Path(out), settings)) is not None:
        return found
    run = Run(Path(out), settings, plan, seed, *_join_ranks(device))
    data = ManifestDataset(release, seed=seed, rank=run.rank, world=run.world, uids=chosen)
    _check_size(run, data)
    run.model, tokenizer, config = build_model(plan.model, seed)
    run.model.to(run.device)
    run.optimizer = adamw(run.model, plan)
    run.step = resume(run.out, settings, run.model, run.optimizer)
    fit(run, data, Collate(run.model.visual.image_size[0], tokenizer, seed, 0), workers)
    if run.rank > 0:
        return None
    save_model(run.out, run.model, config, plan.weights)
    plot(run.out, f"{plan.model}, batch {plan.batch}", math.log(plan.batch))
    held_out = evaluate(out, release=release, holdout=holdout, device=str(run.device)) if held else None
    return _finish(run, held_out)


def _sides(release: Release, holdout: float, uids: str | None) -> tuple[list[str] | None, int]:
    """(uids to train on, None for all; number of pairs held out)."""
    if not 0 <= holdout < 1:
        raise RecipeError(f"--holdout {holdout}: wanted a share of at least 0 and below 1")
    chosen, held = split(release, holdout)
    if uids is None:
        return chosen, len(held)
    asked = set(Path(uids).read_text().split())
    everything = chosen if chosen is not None else release.samples(["uid"])["uid"].to_pylist()
    return [uid for uid in everything if uid in asked], len(held)


def _finished(out: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """The result of this very run if it is there; StaleOutputError where another run is."""
    result = read_json(str(out / "result.json"))
    if result is not None:
        same_run(out, result["settings"], settings)
    return result


def _join_ranks(device: str | None) -> tuple[int, int, torch.device]:
    """(rank, ranks, device) as torchrun says, one rank without it; the cores are shared by the ranks of a machine."""
    rank, world, local = (int(os.environ.get(n, d)) for n, d in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0)))
    name = device or ("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(max(threads() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")), 1))
    if world > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo" if name == "cpu" else "nccl")
    return rank, world, torch.device(f"cuda:{local}" if name == "cuda" else name)


def _check_size(run: Run, data: ManifestDataset) -> None:
    if run.plan.batch % run.world or run.plan.steps < 1:
        raise RecipeError(
            f"batch {run.plan.batch}: wanted a multiple of {run.world} ranks and one batch of samples seen"
        )
    if sum(data.rows) < run.plan.batch:
        raise RecipeError(
            f"{data.release.out}: {sum(data.rows)} samples to train on, fewer than a batch of {run.plan.batch}"
        )


# ---- model and optimiser --------------------------------------------------------------------------------------------


def build_model(name: str, seed: int) -> tuple[Any, Any, dict[str, Any]]:
    """(open_clip model with fresh weights, its tokenizer, its open_clip_config.json); MissingModelError if unknown."""
    ensure_torchvision()
    import open_clip

    packaged = files("curation") / f"models/{name}.json"
    config = json.loads(packaged.read_text("utf-8")) if packaged.is_file() else {}
    config.setdefault("model_cfg", open_clip.get_model_config(name))
    if config["model_cfg"] is None:
        raise MissingModelError(f"no model {name!r}: neither packaged nor an architecture of open_clip")
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "open_clip_config.json").write_text(json.dumps(config), "utf-8")
        logging.disable(logging.WARNING)  # open_clip warns that the weights are random
        model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
        logging.disable(logging.NOTSET)
        return model, open_clip.get_tokenizer(f"local-dir:{folder}"), config


def adamw(model: torch.nn.Module, plan: Scale) -> torch.optim.Optimizer:
    """AdamW as CLIP was trained (arXiv:2103.00020 section 2.5): vectors, gains and the temperature do not decay."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": plan.weight_decay}, {"params": others, "weight_decay": 0.0}]
    # eps: table 18 of the same paper, for vision transformers
    return torch.optim.AdamW(groups, lr=plan.lr, betas=(0.9, plan.beta2), eps=1e-6, fused=True)


def learning_rate(step: int, plan: Scale) -> float:
    """Linear warm-up to the peak, then a half cosine to 0."""
    if step < plan.warmup_steps:
        return plan.lr * (step + 1) / plan.warmup_steps
    return plan.lr * (1 + math.cos(math.pi * (step - plan.warmup_steps) / (plan.steps - plan.warmup_steps))) / 2


# ---- loop -----------------------------------------------------------------------------------------------------------


def fit(run: Run, data: ManifestDataset, collate: Collate, workers: int) -> None:
    """Train from `run.step` to the end of the plan, logging and saving on the way."""
    local = run.plan.batch // run.world
    per_epoch = batches_per_epoch(data, local)
    model = DistributedDataParallel(run.model) if run.world > 1 else run.model
    model.train()
    losses, began = [], time.perf_counter()
    while run.step < run.plan.steps:
        epoch, start = divmod(run.step, per_epoch)
        for batch in epoch_batches(data, replace(collate, epoch=epoch), batch=local, start=start, workers=workers):
            found = update(run, model, batch)
            losses.append(found["loss"])
            if _due(run, LOG_LINES):
                speed = len(losses) * run.plan.batch / (time.perf_counter() - began)
                log(run, {"epoch": epoch, **found, "loss": sum(losses) / len(losses), "samples_per_s": round(speed, 1)})
                losses, began = [], time.perf_counter()
            if run.rank == 0 and _due(run, CHECKPOINTS):
                save_checkpoint(run.out, run.settings, run.model, run.optimizer, run.step)
            if run.step == run.plan.steps:
                return


def _due(run: Run, times: int) -> bool:
    return run.step % max(run.plan.steps // times, 1) == 0 or run.step == run.plan.steps


def update(run: Run, model: torch.nn.Module, batch: dict[str, Any]) -> dict[str, float]:
    """One step of gradient descent; CurationError where the loss is no number."""
    # What a step draws (patch dropout) depends on seed, rank and step alone, so a resumed run draws the same.
    torch.manual_seed(run.seed + 1_000_003 * (run.step * run.world + run.rank + 1))
    lr = learning_rate(run.step, run.plan)
    for group in run.optimizer.param_groups:
        group["lr"] = lr
    pixels = normalised(batch["pixels"].to(run.device), run.model.visual.preprocess_cfg)
    tokens = batch["tokens"].to(run.device)
    with torch.autocast(run.device.type, torch.bfloat16, enabled=run.device.type == "cuda"):
        image, text, temperature = model(pixels, tokens)  # (n, dim) unit rows, twice; exp of the learned scale
    if run.world > 1:
        image, text = (torch.cat(torch.distributed.nn.functional.all_gather(x.contiguous())) for x in (image, text))
    # The symmetric loss of CLIP (arXiv:2103.00020 figure 3): each image is to pick its caption, each caption its image.
    logits = temperature * image.float() @ text.float().T  # (batch, batch)
    target = torch.arange(len(logits), device=run.device)
    loss = (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2
    if not math.isfinite(loss.item()):
        where = f"step {run.step + 1}, lr {lr:.2g}; {run.out}/log.jsonl shows how it got there"
        raise CurationError(f"loss is {loss.item()} at {where}: lower the scale's lr, or look for broken samples")
    run.optimizer.zero_grad()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(run.model.parameters(), run.plan.clip_norm or math.inf)
    run.optimizer.step()
    run.model.logit_scale.data.clamp_(0, MAX_LOGIT_SCALE)
    run.step += 1
    return {"loss": loss.item(), "lr": lr, "grad_norm": norm.item(), "logit_scale": run.model.logit_scale.exp().item()}


def normalised(pixels: torch.Tensor, config: dict[str, Any]) -> torch.Tensor:
    """float32 of uint8 (n, 3, side, side), less the model's mean, over its standard deviation."""
    mean, std = (torch.tensor(config[k], device=pixels.device).view(3, 1, 1) * 255 for k in ("mean", "std"))
    return (pixels - mean) / std


# ---- what is written ------------------------------------------------------------------------------------------------


def log(run: Run, values: dict[str, Any]) -> None:
    """One JSON line to RUN/log.jsonl and to stderr."""
    if run.rank == 0:
        line = json.dumps({"step": run.step, "samples": run.step * run.plan.batch, **values})
        run.out.mkdir(parents=True, exist_ok=True)
        with open(run.out / "log.jsonl", "a") as file:
            file.write(line + "\n")
        print(line, file=sys.stderr, flush=True)


def _finish(run: Run, held_out: dict[str, Any] | None) -> dict[str, Any]:
    last = json.loads((run.out / "log.jsonl").read_text().splitlines()[-1])
    result = {"out": str(run.out), "settings": run.settings, "steps": run.step, "loss": last["loss"]}
    result |= {"device": str(run.device), "ranks": run.world, "threads": torch.get_num_threads()}
    result |= {"samples_per_s": last["samples_per_s"], "held_out": held_out}
    write_json(str(run.out / "result.json"), result)
    (run.out / "checkpoint.pt").unlink(missing_ok=True)
    return result


if __name__ == "__main__":
    from curation.job import main

    main(train)
