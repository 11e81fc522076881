"""The picture: cost of a pair per stage at each size, and memory over time."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from scaling.tables import RECIPES, net_cost
from scaling.watching import SAMPLE

matplotlib.use("Agg")
COLOURS = {"driver": "#4477aa", "jvm": "#cc6677", "worker": "#228833"}  # Tol's bright: told apart by all eyes
BLUES = ("#bbccee", "#77aadd", "#225599", "#112244")  # sizes, the larger the darker
NAMES = {"driver": "driver", "jvm": "JVM", "worker": "largest worker"}
POINTS = 600  # a line's samples: more cannot be seen


def draw(results: dict[str, list[dict]], start: dict[str, Any], path: Path) -> None:
    """Write the picture: a row per recipe, costs on the left, memory of the run on the right."""
    figure = Figure(figsize=(13, 4.6 * len(results)), layout="constrained")
    axes = figure.subplots(len(results), 2, squeeze=False)
    for (costs, memory), (name, sizes) in zip(axes, results.items()):
        _costs(costs, sizes, start)
        _memory(memory, sizes)
        costs.set_title(f"{RECIPES[name]}: CPU seconds per 10⁶ pairs, start-up taken off", fontsize=10)
        memory.set_title(f"{RECIPES[name]}: resident memory while it runs", fontsize=10)
    figure.savefig(path, dpi=110)


def _costs(axes: Any, sizes: list[dict], start: dict[str, Any]) -> None:
    all_costs = [net_cost(one, start, "ingest") | net_cost(one, start, "run") for one in sizes]
    names = [name for name in all_costs[0] if name not in ("total", "start")]
    height = 0.8 / len(sizes)
    for number, (one, costs) in enumerate(zip(sizes, all_costs)):
        places = np.arange(len(names)) + (number - (len(sizes) - 1) / 2) * height
        axes.barh(places, [costs[name] for name in names], height, color=BLUES[number], label=f"{one['size']:,} pairs")
    axes.set_yticks(np.arange(len(names)), names)
    axes.invert_yaxis()
    axes.legend(fontsize=8)


def _memory(axes: Any, sizes: list[dict]) -> None:
    """Each size over the share of its time, so that equal stages lie over one another."""
    for number, one in enumerate(sizes):
        samples = np.array(one["run"]["samples"])
        step = max(1, len(samples) // POINTS)
        share = samples[::step, 0] / one["run"]["seconds"]
        style = {"linewidth": 0.6 + 0.7 * number, "alpha": 0.5 + 0.5 * (number + 1) / len(sizes)}
        for kind, colour in COLOURS.items():
            line = samples[::step, SAMPLE.index(f"rss_{kind}")]
            axes.plot(share, line, color=colour, label=f"{NAMES[kind]}, {one['size']:,}", **style)
    heap = max(one["run"]["peaks"]["heap"] for one in sizes)
    axes.axhline(heap, color=COLOURS["jvm"], linestyle=":", linewidth=1, label="largest heap")
    axes.set_xlabel("share of the run's time")
    axes.set_ylabel("MB")
    axes.set_ylim(0)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
