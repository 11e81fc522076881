"""Train a CLIP model on a release, top to bottom: settings, phases, loop, step, loss, log, result.

    python -m curation.trainer.train RELEASE --scale NAME --out RUN
    torchrun --nproc-per-node 8 -m curation.trainer.train RELEASE --scale NAME --out RUN

RUN/ holds `model.safetensors` and `open_clip_config.json` (so `local-dir:RUN` names the model), `log.jsonl` (one line
per step), `loss.png`, `result.json` (written last) and, until then, a checkpoint from which a killed run goes on when
the same command is given again. docs/trainer.md says what can be set.
"""

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import xxhash

from curation.errors import CurationError
from curation.files import read_json, write_json
from curation.trainer.checkpoints import (
    RESULT,
    local_folder,
    read_optimizer,
    read_weights,
    remove_checkpoints,
    same_run,
    save_checkpoint,
    save_model,
)
from curation.trainer.data import Batches, Collate, loader
from curation.trainer.distributed import agree, gather, join, mean, own_sum, together, wait
from curation.trainer.evaluate import evaluate
from curation.trainer.logs import Log, event_writer, plot, read_log
from curation.trainer.losses import STARTS, guessing, loss_of
from curation.trainer.model import normalised, side_of
from curation.trainer.patches import drawn, grid_of
from curation.trainer.phases import Phase, learning_rate
from curation.trainer.run import Run, alone, checked, opened, prepare, share_kept
from curation.trainer.scales import plan_of

CHECKPOINT_S = 1800  # a killed run loses at most about half an hour of its work, however few its checkpoints
TOLD = 5  # uids in a message; the file beside it has them all


# ---- settings -------------------------------------------------------------------------------------------------------


def train(
    release: str,
    *,
    scale: str = "tiny",
    out: str,
    seed: int = 0,
    holdout: float = 0.05,
    samples_seen: int | None = None,
    set: list[str] | None = None,
    uids: str | None = None,
    start: str | None = None,
    workers: int = 1,
    device: str | None = None,
    tensorboard: bool = False,
) -> dict[str, Any] | None:
    """Train a CLIP model of a scale on a release and say how well it finds the pairs that were held out.

    --holdout is the share of images never trained on; --samples-seen replaces the scale's; --set NAME=VALUE replaces
    any setting of it, as loss=siglip (docs/trainer.md lists them); --uids is a file with the uids to train on, one a
    line or as `curate export` writes them; --start is the folder of another run, whose weights are the first ones;
    --workers read and decode beside the training and do not change the result; --device is cpu, cuda or, without
    torchrun, cuda:N, by default cuda where there is one. On the CPU the result is a function of the release, the
    settings and the number of ranks and threads.
    Raises RecipeError for a wrong setting, StaleOutputError where OUT holds another run, CurationError where the loss
    stops being a number.
    """
    place = join(device)
    with together():
        plan = plan_of(scale, samples_seen, set or [])
        out, start = local_folder("--out", out), start and local_folder("--start", start)
    if plan.experts:
        from curation.trainer.experts import train_experts

        told = {"scale": scale, "out": out, "seed": seed, "holdout": holdout, "set": set, "start": start}
        told |= {"workers": workers, "device": device, "tensorboard": tensorboard}
        return train_experts(release, plan, told, uids)
    with together():
        if tensorboard and place.rank == 0:
            event_writer()
        run, chosen, held = opened(release, out, plan, place, seed=seed, holdout=holdout, uids=uids, start=start)
    if (found := _finished(run)) is not None:
        return found
    stretches, mark = checked(run, chosen)
    with alone(run, mark):
        with together():
            run.log = Log(run.out, mark["step"] if mark else 0, plan.steps, tensorboard) if place.rank == 0 else None
        fit(run, stretches, mark, None if start is None else read_weights(Path(start)), workers)
        result = _result(run, release, held) if place.rank == 0 else None
    wait(place)  # whoever comes next finds what rank 0 has written
    return result


def _result(run: Run, release: str, held: int) -> dict[str, Any]:
    """Write the model, the plot and, last, result.json; checkpoints go."""
    run.log.close()
    plan = run.plan
    save_model(run.out, run.model, run.config, plan.weights)
    plot(run.out, f"{plan.model}, {plan.loss} loss, batch {plan.batch}", guessing(plan.loss, plan.batch))
    holdout, device = run.settings["holdout"], str(run.place.device)
    held_out = evaluate(str(run.out), release=release, holdout=holdout, device=device) if held else None
    lines = read_log(run.out)
    seconds = [plan.batch / line["samples_per_s"] for line in lines]
    waited = sum(line["data_wait_share"] * s for line, s in zip(lines, seconds))
    result = {"out": str(run.out), "settings": run.settings, "steps": run.step, "loss": lines[-1]["loss"]}
    result |= {"device": device, "ranks": run.place.world, "threads": torch.get_num_threads()}
    result |= {"samples_per_s": round(plan.batch * len(lines) / sum(seconds), 1)}
    result |= {"data_wait_share": round(waited / sum(seconds), 4), "held_out": held_out}
    write_json(str(run.out / RESULT), result)
    remove_checkpoints(run.out)
    return result


def _finished(run: Run) -> dict[str, Any] | None:
    """The result of this very run if it is there; StaleOutputError where another run is."""
    with together():
        result = read_json(str(run.out / RESULT))
        if result is not None:
            same_run(run.out, result, run.settings)
    agree(run.place, {"finished": int(result is not None)}, run.out)
    return result


# ---- phases and loop ------------------------------------------------------------------------------------------------


def fit(run: Run, stretches: list[Phase], mark: dict[str, Any] | None, weights: Any, workers: int) -> None:
    """Train phase after phase, from the checkpoint on where there is one; each has a fresh optimiser."""
    run.step = mark["step"] if mark else 0
    weights = read_weights(run.out / mark["folder"]) if mark else weights
    first, epoch = 0, 0  # of the phase: its first step, and the number of its first epoch
    for number, phase in enumerate(stretches):
        per_epoch = phase.per_epoch(run.plan.batch, run.lanes[2])
        if run.step < first + phase.steps or number == len(stretches) - 1:
            tokens = prepare(run, phase, weights)
            if mark and mark["phase"] == number:
                run.optimizer.load_state_dict(read_optimizer(run.out / mark["folder"]))
            past, start = divmod(run.step - first, per_epoch)
            side, strong = side_of(run.model), run.plan.augment == "strong"
            collate = Collate(side, tokens, run.seed, epoch + past, strong)
            told = {"uids": phase.uids, "lanes": run.lanes, "batch": run.plan.batch}
            batches = Batches(run.release.out, collate, captions=run.plan.drawn, **told)
            fit_phase(run, phase, number, first, timed(batches.begin(epoch + past, start), workers))
            weights = run.model.state_dict()
        first, epoch = first + phase.steps, epoch + math.ceil(phase.steps / per_epoch)


def timed(batches: Batches, workers: int) -> Iterator[dict[str, Any]]:
    """The batches of epoch after epoch, each with its `epoch` and the seconds it was `waited` for."""
    epoch, loaded = batches.epoch, loader(batches, workers, torch.cuda.is_available())
    began = time.perf_counter()
    while True:
        for batch in loaded:
            yield {**batch, "epoch": epoch, "waited": time.perf_counter() - began}
            began = time.perf_counter()
        epoch += 1


def fit_phase(run: Run, phase: Phase, number: int, first: int, batches: Iterator[dict[str, Any]]) -> None:
    """Train from `run.step` to the end of the phase, whose first step is `first`, telling and saving on the way.

    A step is told once the next one has been given to the device, so that a GPU never waits for a number to be read.
    """
    every = max(run.plan.steps // max(run.plan.checkpoints, 1), 1)
    saved = began = time.perf_counter()
    last = None
    while run.step < first + phase.steps:
        batch = next(batches)
        found = update(run, learning_rate(run.step - first, phase), batch)
        tell(run, last)
        now = time.perf_counter()
        last = found | {"phase": phase.name, "epoch": batch["epoch"], "seconds": now - began, "waited": batch["waited"]}
        began = now
        if run.step % every == 0 or run.step == first + phase.steps or now - saved > CHECKPOINT_S:
            tell(run, last)
            last, saved = None, now
            mark = {"settings": run.settings, "ranks": run.place.world, "step": run.step, "phase": number}
            if run.place.rank == 0:
                save_checkpoint(run.out, mark, run.model, run.optimizer, run.config)


# ---- one step -------------------------------------------------------------------------------------------------------


def update(run: Run, lr: float, batch: dict[str, Any]) -> dict[str, Any]:
    """One step of gradient descent on this rank's part of a batch; what is to be told of it, as tensors.

    The loss compares each picture with every caption of the batch, so it is no sum over pieces of it: all features are
    computed first, and the loss's gradient by them then goes through the model piece by piece (GradCache,
    arXiv:2101.06983). That is the gradient of the whole batch, whatever the number of pieces and ranks.
    """
    for group in run.optimizer.param_groups:
        group["lr"] = lr
    pieces, whole = list(_pieces(run, batch)), run.plan.accumulate == 1
    with torch.set_grad_enabled(whole):
        given = [_forward(run, n, piece) for n, piece in enumerate(pieces)]
    # (n, dim) unit rows of pictures, of captions; the scale's exponential; the bias where there is one
    features = [torch.cat(each).detach().float() for each in list(zip(*given))[:2]]
    leaves = [gather(each, run.place).requires_grad_() for each in features]
    leaves += [each.detach().float().requires_grad_() for each in given[0][2:]]
    size = len(features[0])
    loss = loss_of(leaves, slice(run.place.rank * size, (run.place.rank + 1) * size))
    loss.backward()
    rows = [own_sum(leaf.grad, run.place).split(size // len(pieces)) for leaf in leaves[:2]]
    run.optimizer.zero_grad()
    for n, piece in enumerate(pieces):
        # Ranks exchange their gradients once, in the last backward pass.
        with nullcontext() if run.place.world == 1 or n == len(pieces) - 1 else run.module.no_sync():
            outputs = given[0] if whole else _forward(run, n, piece)
            numbers = [leaf.grad if n == 0 else torch.zeros_like(leaf) for leaf in leaves[2:]]
            gradients = [rows[0][n], rows[1][n], *numbers]
            torch.autograd.backward(outputs, [g.to(o.dtype) for g, o in zip(gradients, outputs)])
    norm = torch.nn.utils.clip_grad_norm_(run.model.parameters(), run.plan.clip_norm or math.inf)
    run.optimizer.step()
    largest = STARTS[run.plan.loss].largest
    if largest < math.inf:
        run.model.logit_scale.data.clamp_(0, largest)
    run.step += 1
    finite = torch.isfinite(features[0]).all(1) & torch.isfinite(features[1]).all(1)
    told = {"step": run.step, "loss": mean(loss.detach(), run.place), "lr": lr, "grad_norm": norm}
    return told | {"logit_scale": run.model.logit_scale.detach().exp(), "finite": finite, "uids": batch["uid"]}


def _pieces(run: Run, batch: dict[str, Any]) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]]:
    """(pixels, tokens, kept patches) of each piece of this rank's batch."""
    count = run.plan.accumulate
    share, places = share_kept(run), [None] * count
    if share < 1:
        # Which patches are kept depends on seed, step and lane alone: neither on the ranks nor on a restart.
        uniforms, patches = [], grid_of(run.model) ** 2
        for lane in range(*run.lanes[:2]):
            key = xxhash.xxh64_intdigest(f"patches\0{run.seed}\0{run.step}\0{lane}".encode()) >> 1
            drawing = torch.Generator().manual_seed(key)
            uniforms.append(torch.rand(run.plan.batch // run.lanes[2], patches, generator=drawing))
        places = drawn(torch.cat(uniforms), share, run.plan.patches).to(run.place.device).chunk(count)
    pixels, tokens = (batch[n].to(run.place.device, non_blocking=True).chunk(count) for n in ("pixels", "tokens"))
    yield from zip(pixels, tokens, places)


def _forward(run: Run, number: int, piece: tuple) -> tuple[torch.Tensor, ...]:
    """What the model gives for one piece of the step; twice the same where it is asked twice."""
    pixels, tokens, places = piece
    # A model's own dropout draws from this: as in an uninterrupted run, other on each rank.
    torch.manual_seed(run.seed + 1_000_003 * ((run.step * run.place.world + run.place.rank + 1) * 1009 + number))
    if run.kept is not None:
        run.kept.places = places
    half = {"auto": run.place.device.type == "cuda", "bfloat16": True, "float32": False}[run.plan.precision]
    with torch.autocast(run.place.device.type, torch.bfloat16, enabled=half):
        return run.module(normalised(pixels, run.model.visual.preprocess_cfg), tokens)


# ---- what is told ---------------------------------------------------------------------------------------------------


def tell(run: Run, found: dict[str, Any] | None) -> None:
    """One line of the log; CurationError, with the step and the batch, where loss or gradient is no number."""
    if found is None:
        return
    step = found["step"]
    values = {"step": step, "samples": step * run.plan.batch, "phase": found["phase"], "epoch": found["epoch"]}
    values |= {"loss": found["loss"].item(), "lr": found["lr"]}
    values |= {name: found[name].item() for name in ("grad_norm", "logit_scale")}
    for name in ("loss", "grad_norm"):
        if not math.isfinite(values[name]):
            _stop(run, found, f"{name} is {values[name]}")
    if run.log is None:
        return
    speed, share = run.plan.batch / found["seconds"], found["waited"] / found["seconds"]
    run.log.add(values | {"samples_per_s": float(f"{speed:.4g}"), "data_wait_share": round(share, 4)})


def _stop(run: Run, found: dict[str, Any], what: str) -> None:
    """Every rank leaves the uids of its part of the batch, and names those whose features are no numbers."""
    bad = [uid for uid, fine in zip(found["uids"], found["finite"].tolist()) if not fine] or found["uids"]
    path = run.out / f"stopped-{run.place.rank}.json"
    write_json(str(path), {"step": found["step"], "lr": repr(found["lr"]), "uids": found["uids"], "not_finite": bad})
    raise CurationError(
        f"{what} at step {found['step']}, lr {found['lr']:.2g}, {len(bad)} of {len(found['uids'])} samples of "
        f"rank {run.place.rank}: {', '.join(bad[:TOLD])} (all in {path}): lower the lr, or look at these samples"
    )


if __name__ == "__main__":
    from curation.job import main

    main(train)
