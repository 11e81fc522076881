"""What a run tells: a JSON line per step, TensorBoard's scalars, and a plot of the loss."""

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from curation.errors import RecipeError
from curation.files import committing

SHOWN = 20  # lines of a run that go to stderr too: enough to see how it goes; the file has all


class Log:
    """RUN/log.jsonl, to go on from a step: what a killed run wrote of later steps is forgotten."""

    def __init__(self, out: Path, step: int, steps: int, tensorboard: bool = False) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.every = max(steps // SHOWN, 1)
        path = out / "log.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        # A line cut by a kill has no end; it is of a later step than any checkpoint.
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        with committing(str(path)) as file:  # a kill in the middle of this must not lose what is kept
            file.write("".join(kept).encode())
        self.file = open(path, "a", buffering=1)  # noqa: SIM115 - closed by close()
        self.events = event_writer()(str(out / "tensorboard"), purge_step=step + 1) if tensorboard else None

    def add(self, values: dict[str, Any]) -> None:
        """One line of one step."""
        line = json.dumps(values)
        self.file.write(line + "\n")
        if values["step"] % self.every == 0:
            print(line, file=sys.stderr, flush=True)
        if self.events is not None:
            for name, value in values.items():
                if name not in ("step", "phase"):
                    self.events.add_scalar(name, value, values["step"])

    def close(self) -> None:
        """Nothing more comes."""
        self.file.close()
        if self.events is not None:
            self.events.close()


def event_writer() -> Any:
    """TensorBoard's class; RecipeError where its package is not here."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise RecipeError("--tensorboard: its package is not here: pip install 'curation[tensorboard]'") from error
    return SummaryWriter


def read_log(out: Path) -> list[dict[str, Any]]:
    """The lines of RUN/log.jsonl."""
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def plot(out: Path, title: str, chance: float) -> None:
    """OUT/loss.png: the loss over the samples seen, with the loss of guessing, and where phases begin."""
    from matplotlib import rc_context

    with rc_context({"text.parse_math": False}):  # a name may have dollars in it
        _plot(out, title, chance)


def _plot(out: Path, title: str, chance: float) -> None:
    from matplotlib.figure import Figure

    lines = read_log(out)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([line["samples"] for line in lines], [line["loss"] for line in lines])
    axes.axhline(chance, color="grey", linestyle=":", label="chance")
    for before, line in pairwise(lines):
        if before["phase"] != line["phase"]:
            axes.axvline(before["samples"], color="grey", linewidth=0.8, label=line["phase"])
    axes.set(xlabel="samples seen", ylabel="contrastive loss", title=title)
    axes.legend()
    figure.savefig(out / "loss.png", dpi=120, metadata={"Software": None})
