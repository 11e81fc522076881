"""The pictures of the report. Each is told its numbers and gives a Picture; nothing is drawn before it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from curation.report.drawing import Picture, Theme, figure, label_logarithms, label_width

ROW = 26  # px per bar
BINS = 40
HALVES = 2.0**52  # floats from here on hold no halves, the edges of bins of whole numbers
LARGEST = 1e300  # of an axis: what lies further out is counted as beyond it, so that every span is a number
TAILS = (0.5, 99.5)  # percentiles: what lies further out is counted but not drawn
DASHED = (0, (3, 2))
FEW = 20  # points of a curve that are marked: one alone is no line
WIDE = 50  # largest over smallest share from which on an axis of shares is logarithmic
HEAD, FOOT, GAP, NOTE = 46, 34, 34, 84  # px above, below and between the panels of `compared`, and for its notes


def bars(rows: Sequence[tuple[str, int, int]], total: int, *, width: int = 1060) -> Picture:
    """Horizontal bars, one per (label, kept, dropped), kept first; beside them the count, its share of `total`, and
    what was dropped of it.
    """
    three = any(kept and dropped for _, kept, dropped in rows)
    right = 245 if three else 155
    most = max((kept + dropped for _, kept, dropped in rows), default=0) or 1

    def draw(theme: Theme) -> Figure:
        made, axes = figure(width, ROW * max(1, len(rows)) + 8)
        labels = [theme.label(label) for label, _, _ in rows]
        margin = 16 + label_width(labels)
        axes.set_position((margin / width, 0, (width - margin - right) / width, 1))
        pixel = most / (width - margin - right)
        for place, (label, (_, kept, dropped)) in enumerate(zip(labels, rows)):
            axes.barh(place, kept, 0.62, color=theme.kept)
            axes.barh(place, dropped, 0.62, left=kept, color=theme.dropped)
            axes.text(-12 * pixel, place, label, va="center", ha="right")
            shown = dropped if dropped and not kept and not three else kept
            axes.text(most + 90 * pixel, place, f"{shown:,}", va="center", ha="right")
            axes.text(most + 155 * pixel, place, share(shown, total), va="center", ha="right", color=theme.soft)
            if dropped and three:
                axes.text(most + 245 * pixel, place, f"−{dropped:,}", va="center", ha="right", color=theme.dropped)
        axes.set_xlim(0, most)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_axis_off()
        return made

    return Picture(draw)


def share(part: float, total: float) -> str:
    """Part of a total in percent, with as many digits as a small share needs.

    >>> share(1, 3), share(1, 200_000), share(0, 5), share(5, 0)
    ('33.3 %', '<0.01 %', '0 %', '0 %')
    """
    percent = 100 * part / total if total else 0
    if percent == 0:
        return "0 %"
    if percent < 0.01:
        return "<0.01 %"
    return f"{percent:.2f} %" if percent < 1 else f"{percent:.1f} %" if percent < 100 else "100 %"


def histogram(values: np.ndarray, passed: np.ndarray, lines: Sequence[float], whole: bool) -> tuple[Picture, int]:
    """How values are spread: those that pass the bound and those that fail it, with the bound drawn in.

    Also how many values lie beyond the ends of the axis, which cover all but the outermost percent.
    """
    low, high = np.percentile(np.clip(values, -LARGEST, LARGEST), TAILS)
    near = [x for x in lines if low - (high - low) <= x <= high + (high - low)]
    low, high = min([low, *near]), max([high, *near])
    log = low > (10 if whole else 0) and high / low > 50
    edges = _edges(low, high, log, whole)
    inside = (values >= edges[0]) & (values <= edges[-1])
    parts = [values[inside & passed], values[inside & ~passed]]

    def draw(theme: Theme) -> Figure:
        made, axes = figure(520, 190)
        axes.set_position((0.1, 0.17, 0.88, 0.78))
        axes.hist(parts, bins=edges, stacked=True, histtype="stepfilled", color=[theme.kept, theme.dropped])
        for line in near:
            axes.axvline(line, color=theme.ink, linewidth=1, linestyle=DASHED, clip_on=False)
        axes.set_xscale("log" if log else "linear")
        axes.set_xlim(edges[0], edges[-1])
        axes.yaxis.set_major_locator(ticker.MaxNLocator(3, integer=True))
        axes.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
        if log:
            label_logarithms(axes.xaxis)
        elif whole:
            axes.xaxis.set_major_locator(ticker.MaxNLocator(8, integer=True))
        axes.tick_params(length=3)
        return made

    return Picture(draw), int((~inside).sum())


def _edges(low: float, high: float, log: bool, whole: bool) -> np.ndarray:
    """Edges of the bins; of whole numbers, as many to each bin as to its neighbours."""
    if log:
        return np.geomspace(low, high, BINS + 1)
    if whole and max(-low, high) < HALVES:
        step = max(1, -(-int(high - low + 1) // BINS))
        return np.arange(np.floor(low), high + step + 1, step) - 0.5
    return np.linspace(low, high if high > low else low + max(1.0, abs(low)), BINS + 1)


def curves(
    before: np.ndarray, after: np.ndarray, limit: float | None, names: tuple[str, str], axes_names: tuple[str, str]
) -> Picture:
    """Counts in falling order against their rank, both axes logarithmic; `limit` is drawn as a level.

    `names` are those of the two curves, before and after, `axes_names` of what has a rank and of what is counted.
    """
    lines = [_ranked(counts) for counts in (before, after)]

    def draw(theme: Theme) -> Figure:
        made, axes = figure(520, 300)
        axes.set_position((0.18, 0.15, 0.79, 0.81))
        for (ranks, counts), colour, name in zip(lines, (theme.dropped, theme.kept), names):
            marker = "o" if len(ranks) < FEW else None
            axes.plot(ranks, counts, color=colour, linewidth=2, marker=marker, markersize=4, label=name)
        if limit is not None:
            axes.axhline(limit, color=theme.ink, linewidth=1, linestyle=DASHED, label="t")
        if any(len(ranks) for ranks, _ in lines):  # nothing at all has no place on an axis of logarithms
            axes.set(xscale="log", yscale="log")
        for axis in (axes.xaxis, axes.yaxis):
            label_logarithms(axis)
        axes.set_xlabel(axes_names[0])
        axes.set_ylabel(axes_names[1])
        axes.legend(loc="upper right")
        axes.tick_params(which="both", length=3)
        return made

    return Picture(draw)


def _ranked(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Some ranks, as fine as the picture, and the counts that have them."""
    counts = np.sort(counts[counts > 0])[::-1]
    ranks = np.unique(np.geomspace(1, len(counts), 300).astype(int)) if len(counts) else np.zeros(0, int)
    return ranks, counts[ranks - 1]


@dataclass(frozen=True)
class Panel:
    """Shares of some rows, after and, where there are any, before; `targets` are marked, `notes` stand at the right."""

    title: str
    after: Sequence[float | None]
    before: Sequence[float | None] = ()
    targets: Sequence[float | None] = ()
    notes: Sequence[str] = ()


def compared(labels: Sequence[str], panels: Sequence[Panel], names: tuple[str, str], *, width: int = 1060) -> Picture:
    """Rows with a label each, and beside each other the panels of their shares; `names` are before's and after's."""
    height = HEAD + ROW * max(1, len(labels)) + FOOT

    def draw(theme: Theme) -> Figure:
        made, first = figure(width, height)
        shown = [theme.label(label) for label in labels]
        left = 24 + label_width(shown)
        notes = [NOTE * bool(panel.notes) for panel in panels]
        each = (width - left - sum(notes) - GAP * len(panels)) / len(panels)
        for place, panel in enumerate(panels):
            axes = made.add_axes((0, 0, 1, 1)) if place else first
            start = left + place * (each + GAP) + sum(notes[:place])
            box = (start, FOOT, each, height - HEAD - FOOT)
            axes.set_position([n / m for n, m in zip(box, (width, height) * 2)])
            _rows(axes, len(labels), shown if place == 0 else [], theme)
            _draw_panel(axes, panel, theme, NOTE / each)
        handles = [first.scatter([], [], s=40, color=colour) for colour in (theme.dropped, theme.kept)]
        made.legend(handles, names, loc="upper right", ncols=2, handletextpad=0.2, borderaxespad=0.2)
        return made

    return Picture(draw)


def _rows(axes: Axes, rows: int, labels: list[str], theme: Theme) -> None:
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_yticks(range(rows), labels or [""] * rows)
    axes.tick_params(axis="y", length=0, labelcolor=theme.ink, pad=8)
    axes.tick_params(axis="x", length=3)
    axes.hlines(range(rows), 0, 1, color=theme.line, linewidth=0.8, transform=axes.get_yaxis_transform(), zorder=0)
    axes.spines["left"].set_visible(False)


def _draw_panel(axes: Axes, panel: Panel, theme: Theme, note: float) -> None:
    """A dot for each share, joined where there are two; a bar where there is nothing to compare with."""
    found = [x for x in (*panel.before, *panel.after, *panel.targets) if x]
    log = bool(panel.before) and bool(found) and max(found) / min(found) > WIDE
    if panel.before:
        for row, pair in enumerate(zip(panel.before, panel.after)):
            if None not in pair and (min(pair) > 0 or not log):
                axes.plot(pair, (row, row), color=theme.soft, linewidth=1.2, zorder=1)
        for side, colour in ((panel.before, theme.dropped), (panel.after, theme.kept)):
            axes.scatter(*_points(side, log), s=40, color=colour, zorder=3, clip_on=False)
    else:
        places, rows = _points(panel.after, log)
        axes.barh(rows, places, 0.5, color=theme.kept)
    axes.scatter(*_points(panel.targets, log), s=150, marker="|", color=theme.ink, zorder=2, linewidth=1.4)
    axes.set_title(panel.title, pad=6)
    axes.set_xscale("log" if log else "linear")
    if not log:
        axes.set_xlim(0, max(found, default=1) * 1.04)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(4))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda x, _: f"{100 * x:.6g} %"))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    for row, text in enumerate(panel.notes):
        style = {"va": "center", "ha": "right", "color": theme.soft}
        axes.text(1 + note, row, text, transform=axes.get_yaxis_transform(), **style)


def _points(shares: Sequence[float | None], log: bool) -> tuple[list[float], list[int]]:
    """The shares that can be drawn, and their rows."""
    shown = [(x, row) for row, x in enumerate(shares) if x is not None and (x > 0 or not log)]
    return [x for x, _ in shown], [row for _, row in shown]
