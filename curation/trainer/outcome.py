"""What came of evaluating: numbers under CLIP_benchmark's names, as a table, a plot and hits picture by picture."""

import io
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from curation.files import committing, write_json
from curation.report.drawing import Picture, Theme, figure, label_width

# CLIP_benchmark names the recall by what is looked for: image_retrieval finds the image of a text.
NAMES = {"image_to_text": "text_retrieval_recall", "text_to_image": "image_retrieval_recall", "mean": "mean_recall"}
ROW, HEAD, FOOT, WIDTH = 22, 16, 40, 900  # px of the plot


class Outcome(NamedTuple):
    """`shown` is JSON: metrics, their intervals and what they are of; `hits` are arrays, one number a picture."""

    shown: dict[str, Any]
    hits: dict[str, np.ndarray]

    @property
    def main(self) -> float:
        """The metric that counts for the average."""
        return self.shown["metrics"][self.shown["main_metric"]]


def of_classes(about: dict[str, Any], found: dict[str, Any]) -> Outcome:
    """Of what `accuracies` found."""
    shown = {"metrics": found["metrics"], "intervals": found["intervals"], "chance": 1 / about["classes"]}
    return Outcome(about | shown, {"acc1": found["hits"]})


def of_retrieval(about: dict[str, Any], found: Outcome) -> Outcome:
    """Of what `recalls` found."""
    metrics, intervals = {}, {}
    for way, name in NAMES.items():
        for cutoff, value in found.shown[way].items():
            metrics[f"{name}@{cutoff[1:]}"] = value
            intervals[f"{name}@{cutoff[1:]}"] = found.shown.get("intervals", {}).get(way, {}).get(cutoff)
    about |= {"pictures": len(found.hits["by_image"]), "captions": found.shown["pairs"]}
    about |= {"unreadable": found.shown["unreadable"], "chance": found.shown["chance"]["r1"]}
    return Outcome(about | {"metrics": metrics, "intervals": intervals}, found.hits)


def numbered(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The same; where two sets of a task have one name, the second's is `NAME (2)`, so that neither hides the other."""
    taken = {(one.shown["name"], one.shown["task"]) for one in outcomes}
    seen, found = set(), []
    for one in outcomes:
        name, task = one.shown["name"], one.shown["task"]
        if (name, task) in seen:
            name = next(each for n in count(2) if ((each := f"{name} ({n})"), task) not in taken)
            taken.add((name, task))
        seen.add((name, task))
        found.append(one._replace(shown=one.shown | {"name": name}))
    return found


def written(folder: Path, result: dict[str, Any], outcomes: Sequence[Outcome], details: bool) -> None:
    """evaluation.json, evaluation.md and evaluation.svg in a folder, and hits.npz of all sets."""
    write_json(str(folder / "evaluation.json"), result)
    _write(folder / "evaluation.md", markdown(outcomes).encode())
    _write(folder / "evaluation.svg", plot(outcomes).svg().encode())
    if details:
        file = io.BytesIO()
        arrays = {
            f"{one.shown['name']}/{one.shown['task']}/{name}": v for one in outcomes for name, v in one.hits.items()
        }
        np.savez_compressed(file, **arrays)
        _write(folder / "hits.npz", file.getvalue())


def _write(path: Path, data: bytes) -> None:
    with committing(str(path)) as file:
        file.write(data)


def markdown(outcomes: Sequence[Outcome]) -> str:
    """A table: a row for each metric of each set."""
    rows = ["| set | task | metric | value | 95 % | chance |", "| --- | --- | --- | --: | --- | --: |"]
    for one in outcomes:
        for metric, value in one.shown["metrics"].items():
            spread = one.shown["intervals"].get(metric)
            shown = f"{spread[0]:.4f} to {spread[1]:.4f}" if spread else ""
            chance = f"{one.shown['chance']:.4f}" if metric.endswith(("1", "recall")) else ""
            rows.append(f"| {one.shown['name']} | {one.shown['task']} | {metric} | {value:.4f} | {shown} | {chance} |")
    return "\n".join(rows) + "\n"


def plot(outcomes: Sequence[Outcome]) -> Picture:
    """Each set's metrics as points with their intervals, and the chance of guessing as a tick."""
    rows = [(one.shown, metric) for one in outcomes for metric in one.shown["metrics"]]

    def draw(theme: Theme) -> Figure:
        labels = [theme.label(f"{shown['name']} {metric}") for shown, metric in rows]
        height, left = HEAD + ROW * max(1, len(rows)) + FOOT, 24 + label_width(labels)
        made, axes = figure(WIDTH, height)
        axes.set_position((left / WIDTH, FOOT / height, (WIDTH - left - 70) / WIDTH, ROW * max(1, len(rows)) / height))
        for place, (shown, metric) in enumerate(rows):
            value, spread = shown["metrics"][metric], shown["intervals"].get(metric)
            if spread:
                axes.plot(spread, [place, place], color=theme.kept, linewidth=2)
            if metric.endswith("1"):
                axes.plot([shown["chance"]], [place], marker="|", markersize=9, color=theme.dropped)
            axes.plot([value], [place], marker="o", markersize=5, color=theme.kept, clip_on=False)
            axes.annotate(f"{value:.3f}", (1.02, place), xycoords=("axes fraction", "data"), va="center")
        axes.set_yticks(range(len(rows)), labels)
        axes.set_xlim(0, 1)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params(length=0)
        axes.set_xlabel("share found; the line is the interval, the tick what guessing finds")
        return made

    return Picture(draw)
