"""One training as a value: its settings, its place among the ranks, and how far it is; and what is checked first."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from curation.errors import LockedOutputError, RecipeError
from curation.files import locked, read_json
from curation.hashing import file_sha256
from curation.parts import part_uris
from curation.schema import hex_id
from curation.shards.manifest import Release
from curation.trainer.checkpoints import MARK, RESULT, check_folder, read_mark
from curation.trainer.data import Tokens, check_kinds, sides
from curation.trainer.distributed import Place, agree, together
from curation.trainer.logs import Log
from curation.trainer.model import adamw, build_model, carry, check_sizes
from curation.trainer.patches import Kept, check_patches, dropping
from curation.trainer.phases import Phase, phases
from curation.trainer.scales import Scale


@dataclass
class Run:
    """One training: what it depends on, where it runs, and how far it is."""

    out: Path
    release: Release
    settings: dict[str, Any]
    plan: Scale
    seed: int
    place: Place
    step: int = 0
    model: Any = field(default=None, repr=False)  # open_clip's
    module: Any = field(default=None, repr=False)  # the same as it is called: compiled, parallel
    kept: Kept | None = None  # where patches are dropped
    config: dict[str, Any] = field(default_factory=dict, repr=False)
    optimizer: Any = field(default=None, repr=False)
    log: Log | None = None  # of rank 0

    @property
    def lanes(self) -> tuple[int, int, int]:
        """(first, last, all): the lanes of this rank, half-open, and how many there are."""
        count = self.plan.lanes or self.place.world
        each = count // self.place.world
        return self.place.rank * each, (self.place.rank + 1) * each, count


def opened(
    release: str, out: str, plan: Scale, place: Place, *, seed: int, holdout: float, uids: str | None, start: str | None
) -> tuple[Run, list[str] | None, int]:
    """The run, the uids to train on (None: all) and how many pairs are held out.

    RecipeError or BrokenTableError for what cannot be read, StaleOutputError where RUN holds what is no run.
    """
    check_folder(Path(out))
    found = Release.open(release)
    chosen, held = sides(found, holdout, uids)
    settings = {**asdict(plan), "seed": seed, "holdout": holdout, "uids": None if uids is None else hex_id(*chosen)}
    settings["release"] = hex_id(*(part["sha256"] for part in found.mark["samples"]))
    settings["start"] = None if start is None else file_sha256(str(Path(start, "model.safetensors")))
    return Run(Path(out), found, settings, plan, seed, place), chosen, held


@contextmanager
def alone(run: Run, mark: dict[str, Any] | None) -> Iterator[None]:
    """Hold RUN while the block trains, from the checkpoint `mark` on.

    LockedOutputError, on every rank, where another process writes it, or has since the checkpoint was looked for.
    """
    with ExitStack() as held:
        with together():
            if run.place.rank == 0:
                held.enter_context(locked(str(run.out), wait=False))
                if read_json(str(run.out / RESULT)) is not None or read_json(str(run.out / MARK)) != mark:
                    raise LockedOutputError(f"{run.out}: another process has written it: run the same command again")
        yield


def checked(run: Run, chosen: list[str] | None) -> tuple[list[Phase], dict[str, Any] | None]:
    """The phases and the checkpoint to go on from, once all is known that could stop the run or make it hang.

    RecipeError, MissingModelError, StaleOutputError or BrokenTableError, in one sentence, on every rank.
    """
    with together():
        found, mark = _checked(run, chosen)
    told = json.dumps(run.settings, sort_keys=True)
    facts = {"step": mark["step"] if mark else 0, "steps": sum(phase.steps for phase in found)}
    agree(run.place, {**facts, "settings": int(hex_id(told)[:15], 16)}, run.out)
    return found, mark


def _checked(run: Run, chosen: list[str] | None) -> tuple[list[Phase], dict[str, Any] | None]:
    """What this rank finds alone."""
    plan, world, lanes = run.plan, run.place.world, run.lanes[2]
    if lanes % world:
        raise RecipeError(f"lanes={lanes}: wanted a multiple of {world} ranks")
    if plan.steps < 1 or plan.batch % (lanes * plan.accumulate):
        raise RecipeError(
            f"batch {plan.batch}: wanted one batch of samples seen at least, and a multiple of "
            f"{lanes} (ranks or lanes) times accumulate={plan.accumulate}"
        )
    part_uris(run.release.out, run.release.tars)  # all shards are there, as long as they were written
    found = phases(plan, run.release, chosen, lanes)
    check_kinds(run.release, plan.drawn)
    model, tokenizer, run.config = build_model(plan.model, run.seed, plan.loss)
    check_sizes(model, plan)
    for phase in found:
        check_patches(model, share_kept(run), plan.patches, phase.side)
    Tokens(tokenizer, mode=plan.tokens).check()
    return found, read_mark(run.out, run.settings, world)


def share_kept(run: Run) -> float:
    """Of a picture's patches, those that training keeps: as set, else as the model's own file says."""
    if run.plan.keep_patches is not None:
        return run.plan.keep_patches
    return 1 - run.config["model_cfg"]["vision_cfg"].get("patch_dropout", 0.0)


def prepare(run: Run, phase: Phase, weights: dict[str, torch.Tensor] | None) -> Tokens:
    """Make the model and the optimiser of a phase; what makes tokens for it."""
    plan, place = run.plan, run.place
    run.model, tokenizer, run.config = build_model(plan.model, run.seed, plan.loss, phase.side, phase.context)
    if weights is not None:
        carry(weights, run.model)
    run.model.to(place.device).train()
    run.model.set_grad_checkpointing(plan.checkpointing)
    run.kept = dropping(run.model) if share_kept(run) < 1 else None
    run.optimizer = adamw(run.model, plan)
    run.module = torch.compile(run.model) if plan.compile else run.model
    if place.world > 1:
        run.module = DistributedDataParallel(run.module, broadcast_buffers=False)
    return Tokens(tokenizer, phase.context, plan.tokens)
