"""What a training run leaves in its folder: checkpoints to go on from, the model for open_clip, the loss plot."""

import json
from pathlib import Path
from typing import Any

import torch

from curation.errors import StaleOutputError
from curation.files import committing, write_json

DTYPES = {"float16": torch.float16, "float32": torch.float32}


def same_run(out: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """StaleOutputError, naming the settings that differ, unless the run in `out` is the one that is wanted."""
    other = {k: f"{found.get(k)} (wanted {v})" for k, v in wanted.items() if found.get(k) != v}
    if other:
        raise StaleOutputError(f"{out} holds another run, with {other}: name another --out")


def save_checkpoint(
    out: Path, settings: dict[str, Any], model: torch.nn.Module, optimizer: torch.optim.Optimizer, step: int
) -> None:
    """Commit all that a resumed run needs to OUT/checkpoint.pt; it holds tensors and plain values only."""
    state = {"settings": settings, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
    with committing(str(out / "checkpoint.pt")) as file:
        torch.save(state, file)


def resume(out: Path, settings: dict[str, Any], model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """The step that OUT/checkpoint.pt holds, once it is loaded, or 0; log lines of later steps are forgotten."""
    path, log = out / "checkpoint.pt", out / "log.jsonl"
    step = 0
    if path.exists():
        state = torch.load(path, map_location="cpu", weights_only=True)
        same_run(out, state["settings"], settings)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    if log.exists():
        lines = log.read_text().splitlines(keepends=True)
        # A line cut by a kill has no end; it is of a later step than any checkpoint.
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        log.write_text("".join(kept))
    return step


def save_model(out: Path, model: torch.nn.Module, config: dict[str, Any], weights: str) -> None:
    """OUT/model.safetensors in the dtype `weights` and OUT/open_clip_config.json: open_clip loads `local-dir:OUT`."""
    from safetensors.torch import save

    tensors = {k: v.detach().to("cpu", DTYPES[weights]).contiguous() for k, v in model.state_dict().items()}
    write_json(str(out / "open_clip_config.json"), {**config, "preprocess_cfg": model.visual.preprocess_cfg})
    with committing(str(out / "model.safetensors")) as file:
        file.write(save(tensors, {"format": "pt"}))


def plot(out: Path, title: str, chance: float) -> None:
    """OUT/loss.png: the loss over the samples seen, with the loss of guessing."""
    from matplotlib.figure import Figure

    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([line["samples"] for line in lines], [line["loss"] for line in lines])
    axes.axhline(chance, color="grey", linestyle=":", label="chance")
    axes.set(xlabel="samples seen", ylabel="contrastive loss", title=title)
    axes.legend()
    figure.savefig(out / "loss.png", dpi=120, metadata={"Software": None})
