"""What was measured, as Markdown tables and as a picture."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from curation.report.drawing import Picture, Theme, figure, label_width
from planting.filters import LOST, REMOVED
from planting.outcome import auc, best_threshold, curve
from planting.table import CLEAN, FAULTS, Row

CURVED = ("swapped", "language", "drawn_text", "digits")  # faults that a score may tell
CELL, LINE, CURVES = 66, 24, 300  # px: width and height of a cell, side of the panel of curves
BOTH = 4  # figures of a number of words that has clean and faulty pairs
BIT = 0.5  # shares from which on a cell's number is written in the ground's colour


class Scores(NamedTuple):
    """Figures by score and fault, and of clip_score the curves: shares lost and removed."""

    figures: dict[str, dict[str, dict[str, float]]]
    curves: dict[str, tuple[np.ndarray, np.ndarray]]


def scores_of(rows: Mapping[int, Row], numbers: Mapping[str, int], values: dict[str, np.ndarray]) -> Scores:
    """AUC and best threshold of each score for each fault it may tell, against the clean pairs."""
    faults = np.array([rows[numbers[uid]].fault for uid in values["uid"]])
    figures: dict[str, dict[str, dict[str, float]]] = {}
    curves = {}
    for name in values.keys() - {"uid"}:
        found = {fault: finite(values[name][faults == fault]) for fault in (CLEAN, *CURVED)}
        figures[name] = {}
        for fault in CURVED:
            if len(found[fault]) and len(found[CLEAN]):
                threshold, removed, lost = best_threshold(found[CLEAN], found[fault])
                best = {"best_threshold": threshold, "removed_there": removed, "lost_there": lost}
                best["auc"] = auc(found[CLEAN], found[fault])
                figures[name][fault] = {key: round(value, 4) for key, value in best.items()}
        if name == "clip_score":
            curves = {fault: curve(found[CLEAN], found[fault]) for fault in figures[name]}
    return Scores(dict(sorted(figures.items())), curves)


def finite(values: np.ndarray) -> np.ndarray:
    """Those that are numbers."""
    return values[np.isfinite(values)]


def markdown(result: dict[str, Any]) -> str:
    """The tables: filters by faults, targets, scores, why clean pairs went."""
    faults = [fault for fault in FAULTS if fault in result["planted"]]
    counts = ", ".join(f"{fault} {result['planted'][fault]}" for fault in (CLEAN, *faults))
    lines = [f"Pairs: {counts}. Model: {result['clip']}.", "", "Share removed; clean: share lost.", ""]
    lines += table(["filter", *faults, CLEAN], shares_by_filter(result, faults))
    lines += ["", f"Targets: removed at least {REMOVED}, clean lost at most {LOST}.", ""]
    told = [
        [f, t["filter"], t["removed"], t["lost"], "yes" if t["met"] else "no"] for f, t in result["targets"].items()
    ]
    lines += table(["fault", "filter", "removed", "clean lost", "met"], told)
    lines += ["", "Scores: clean above fault (AUC), and the threshold with the best balance of both shares.", ""]
    keys = ("auc", "best_threshold", "removed_there", "lost_there")
    scored = [[n, f, *(v[k] for k in keys)] for n, by_fault in result["scores"].items() for f, v in by_fault.items()]
    lines += table(["score", "fault", "AUC", "threshold", "removed", "clean lost"], scored)
    for name, kinds in result["by_kind"].items():
        lines += [
            "",
            f"{name}: share removed by kind.",
            "",
            *table(["kind", "removed"], [[*kind] for kind in kinds.items()]),
        ]
    for name, found in result["by_words"].items():
        rows = [[words, *shown.values()] for words, shown in found.items() if len(shown) == BOTH]
        heads = next(list(shown) for shown in found.values() if len(shown) == BOTH)
        lines += ["", f"{name}: by words of the caption.", "", *table(["words", *heads], rows)]
    lines += ["", "Clean pairs lost, by reason.", ""]
    lost = [[n, reason, c] for n, found in result["loss_by_reason"].items() for reason, c in found.items()]
    lines += table(["filter", "reason", "pairs"], lost)
    return "\n".join(lines) + "\n"


def shares_by_filter(result: dict[str, Any], faults: list[str]) -> list[list[Any]]:
    """A row for the ingest alone and one for each filter: name, share of each fault, share of the clean pairs."""
    rows = {"ingest alone": result["ingest"]} | result["filters"]
    return [[name, *(f"{found[fault]:.2f}" for fault in faults), f"{found[CLEAN]:.3f}"] for name, found in rows.items()]


def table(head: list[str], rows: list[list[Any]]) -> list[str]:
    """A Markdown table."""
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in (head, *rows)]
    ruler = ["---" if place < 1 else "--:" for place in range(len(head))]
    return ["| " + " | ".join(row) + " |" for row in (cells[0], ruler, *cells[1:])]


def picture(result: dict[str, Any], scores: Scores) -> Picture:
    """Shares as a grid of filters and faults; under it, of clip_score, what is removed over what is lost."""
    faults = [fault for fault in FAULTS if fault in result["planted"]]
    rows = {"ingest alone": result["ingest"]} | result["filters"]
    grid = np.array([[found[fault] for fault in (*faults, CLEAN)] for found in rows.values()])

    def draw(theme: Theme) -> Figure:
        labels = [theme.label(name) for name in rows]
        left, wide = 16 + label_width(labels), CELL * (len(faults) + 1)
        width, height = left + wide + 16, 60 + LINE * len(rows) + 90 + CURVES
        made, axes = figure(width, height)
        axes.set_position((left / width, (CURVES + 90) / height, wide / width, LINE * len(rows) / height))
        shade = LinearSegmentedColormap.from_list("shares", ["white", theme.kept])
        axes.imshow(grid, aspect="auto", cmap=shade, vmin=0, vmax=1)
        for (row, column), share in np.ndenumerate(grid):
            colour = "white" if share > BIT else theme.ink
            axes.text(column, row, f"{share:.2f}", ha="center", va="center", color=colour, fontsize=7)
        axes.set_yticks(range(len(rows)), labels)
        axes.set_xticks(range(len(faults) + 1), [name.replace("_", "\n") for name in (*faults, "clean lost")])
        axes.tick_params(length=0, labeltop=True, labelbottom=False, labelcolor=theme.ink)
        _draw_curves(made.add_axes((left / width, 50 / height, 1.4 * CURVES / width, CURVES / height)), scores)
        return made

    return Picture(draw)


def _draw_curves(axes: Any, scores: Scores) -> None:
    for fault, (lost, removed) in scores.curves.items():
        axes.plot(lost, removed, linewidth=1.6, label=f"{fault}, AUC {scores.figures['clip_score'][fault]['auc']:.3f}")
        best = scores.figures["clip_score"][fault]
        axes.scatter([best["lost_there"]], [best["removed_there"]], s=16)
    axes.plot((0, 1), (0, 1), linewidth=0.8, linestyle=(0, (3, 2)), color="grey")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="clean pairs below a clip_score", ylabel="faulty pairs below it")
    axes.legend(loc="lower right")
