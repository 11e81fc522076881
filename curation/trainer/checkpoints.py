"""Checkpoints of a run: folders that open_clip loads as they are, with what a resumed run needs beside the weights.

RUN/checkpoint-STEP/ holds `model.safetensors` (float32), `open_clip_config.json` and `optimizer.pt` (tensors and plain
values only); RUN/checkpoint.json, written last, names the folder. So a kill at any moment leaves the one before whole.
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from curation.errors import RecipeError, StaleOutputError
from curation.files import committing, holds_files, local_path, read_json, write_json

DTYPES = {"float16": torch.float16, "float32": torch.float32, "bfloat16": torch.bfloat16}
MARK, RESULT, CONFIG = "checkpoint.json", "result.json", "open_clip_config.json"
RUN_FILES = ("log.jsonl", MARK, RESULT)  # the first is written before anything else of a run
FOLDER = re.compile(r"checkpoint-\d+")
SHOWN = 10  # names of what was found


def local_folder(flag: str, uri: str) -> str:
    """The plain path of a run's folder; RecipeError where it lies in an object store, which no run is read from."""
    path = local_path(uri)
    if path is None:
        raise RecipeError(f"{flag} {uri}: wanted a local folder: runs are neither written nor read elsewhere")
    return path


def check_folder(out: Path, ours: Sequence[str] = RUN_FILES) -> None:
    """StaleOutputError where `out` holds something, and none of what a run, or one of experts, writes first."""
    if holds_files(str(out)) and not any((out / name).exists() for name in ours):
        found = sorted(each.name for each in out.iterdir())[:SHOWN]
        raise StaleOutputError(f"{out} holds what is no run: {found}: name another --out")


def same_run(out: Path, record: Any, wanted: dict[str, Any]) -> None:
    """StaleOutputError, naming the settings that differ, unless the run of that record in `out` is the one wanted."""
    found = record.get("settings") if isinstance(record, dict) else None
    found = found if isinstance(found, dict) else {}
    other = {k: f"{found.get(k)} (wanted {v})" for k, v in wanted.items() if found.get(k) != v}
    if other:
        raise StaleOutputError(f"{out} holds another run, with {other}: name another --out")


def save_model(folder: Path, model: torch.nn.Module, config: dict[str, Any], weights: str) -> None:
    """FOLDER/model.safetensors in the dtype `weights` and open_clip_config.json: open_clip loads `local-dir:FOLDER`."""
    from safetensors.torch import save

    tensors = {k: v.detach().to("cpu", DTYPES[weights]).contiguous() for k, v in model.state_dict().items()}
    write_json(str(folder / CONFIG), {**config, "preprocess_cfg": model.visual.preprocess_cfg})
    with committing(str(folder / "model.safetensors")) as file:
        file.write(save(tensors, {"format": "pt"}))


def save_checkpoint(
    out: Path, mark: dict[str, Any], model: torch.nn.Module, optimizer: torch.optim.Optimizer, config: dict[str, Any]
) -> None:
    """Commit a checkpoint; `mark` says what run it is of and how far: settings, ranks, step, phase. Older ones go."""
    folder = out / f"checkpoint-{mark['step']}"
    save_model(folder, model, config, "float32")
    with committing(str(folder / "optimizer.pt")) as file:
        torch.save(optimizer.state_dict(), file)
    write_json(str(out / MARK), {**mark, "folder": folder.name})
    remove_checkpoints(out, but=folder.name)


def remove_checkpoints(out: Path, but: str | None = None) -> None:
    """Delete all checkpoints of a run, or all but one; what others put beside them under such a name stays."""
    if but is None:
        (out / MARK).unlink(missing_ok=True)
    for folder in out.glob("checkpoint-*"):
        # The configuration is the first file of ours; optimizer.pt is in the checkpoints of other trainers too.
        ours = FOLDER.fullmatch(folder.name) and not folder.is_symlink() and (folder / CONFIG).is_file()
        if ours and folder.name != but:
            shutil.rmtree(folder)


def read_mark(out: Path, settings: dict[str, Any], ranks: int) -> dict[str, Any] | None:
    """What RUN/checkpoint.json says, or None without one; StaleOutputError where another run left it, or other ranks
    did: their sums round otherwise, so that the loss curve would be another one.
    """
    mark = read_json(str(out / MARK))
    if mark is None:
        return None
    same_run(out, mark, settings)
    if mark["ranks"] != ranks:
        raise StaleOutputError(
            f"{out} holds a run of {mark['ranks']} ranks at step {mark['step']}, this is one of {ranks}: "
            f"start {mark['ranks']} to go on, or name another --out"
        )
    return mark


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of FOLDER/model.safetensors, float32."""
    from safetensors.torch import load_file

    return {k: v.float() for k, v in load_file(folder / "model.safetensors").items()}


def read_optimizer(folder: Path) -> dict[str, Any]:
    """The optimiser's state; nothing but tensors and plain values is unpickled."""
    return torch.load(folder / "optimizer.pt", map_location="cpu", weights_only=True)
