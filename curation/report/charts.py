"""The pictures of the report: SVG by matplotlib's object interface, the same bytes for the same numbers.

Colours are names until the end, when they become CSS variables with a light and a dark value; text stays text, so that
any script can be shown.
"""

import base64
import io
import warnings
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from curation.shown import cut, plain

INK, SOFT, LINE, KEPT, DROPPED = "#010101", "#010102", "#010103", "#010104", "#010105"
LIGHT = {INK: "#1f2933", SOFT: "#616e7c", LINE: "#d5dbe1", KEPT: "#2f6f9f", DROPPED: "#d9935b"}
DARK = {INK: "#e4e7eb", SOFT: "#9aa5b1", LINE: "#3e4c59", KEPT: "#6aa9d8", DROPPED: "#c07f4b"}
FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', sans-serif"
PIXEL = 0.01  # inches; a figure of 100 px is 72 points wide and shown at 100 px
ROW = 26  # px per bar
LETTER = 7  # px, of a letter of a label: wide ones, so that none is cut off
UNSAID = ("Date", "Creator", "Format", "Type")  # metadata that would tell one writing from another
BINS = 40
TAILS = (0.5, 99.5)  # percentiles: what lies further out is counted but not drawn
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "curation",
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.use_mathtext": False,
    "axes.grid": False,
}


def _figure(width: int, height: int) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width * PIXEL, height * PIXEL))
    FigureCanvasSVG(figure)
    return figure, figure.add_axes((0, 0, 1, 1))


def _uri(figure: Figure) -> str:
    """The figure as a data URI, its colours as variables."""
    file = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the reader's font draws the text, not matplotlib's
        figure.savefig(file, format="svg", transparent=True, metadata=dict.fromkeys(UNSAID))
    svg = file.getvalue()
    for colour in LIGHT:
        svg = svg.replace(colour, f"var(--c{colour[-1]})")
    svg = svg.replace("'DejaVu Sans'", FONT)
    light, dark = (";".join(f"--c{c[-1]}:{v}" for c, v in theme.items()) for theme in (LIGHT, DARK))
    style = f"<style>:root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"
    start = svg.index(">", svg.index("<svg")) + 1
    svg = svg[svg.index("<svg") : start] + style + svg[start:]
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _label(text: str) -> str:
    return cut(plain(text), 46)


def bars(rows: Sequence[tuple[str, int, int]], total: int, *, width: int = 1060) -> str:
    """Horizontal bars, one per (label, kept, dropped), kept first; beside them the count, its share of `total`, and
    what was dropped of it.
    """
    height = ROW * max(1, len(rows)) + 8
    margin = 16 + LETTER * max((len(_label(label)) for label, _, _ in rows), default=0)
    three = any(kept and dropped for _, kept, dropped in rows)
    right = 245 if three else 155
    with matplotlib.rc_context(STYLE):
        figure, axes = _figure(width, height)
        axes.set_position((margin / width, 0, (width - margin - right) / width, 1))
        most = max((kept + dropped for _, kept, dropped in rows), default=0) or 1
        pixel = most / (width - margin - right)
        for place, (label, kept, dropped) in enumerate(rows):
            axes.barh(place, kept, 0.62, color=KEPT)
            axes.barh(place, dropped, 0.62, left=kept, color=DROPPED)
            axes.text(-12 * pixel, place, _label(label), va="center", ha="right")
            shown = dropped if dropped and not kept and not three else kept
            axes.text(most + 90 * pixel, place, f"{shown:,}", va="center", ha="right")
            axes.text(most + 155 * pixel, place, share(shown, total), va="center", ha="right", color=SOFT)
            if dropped and three:
                axes.text(most + 245 * pixel, place, f"−{dropped:,}", va="center", ha="right", color=DROPPED)
        axes.set_xlim(0, most)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_axis_off()
        return _uri(figure)


def share(part: int, total: int) -> str:
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


def histogram(values: np.ndarray, passed: np.ndarray, lines: Sequence[float], whole: bool) -> tuple[str, int]:
    """How values are spread: those that pass the bound and those that fail it, with the bound drawn in.

    Also how many values lie beyond the ends of the axis, which cover all but the outermost percent.
    """
    low, high = np.percentile(values, TAILS)
    near = [x for x in lines if low - (high - low) <= x <= high + (high - low)]
    low, high = min([low, *near]), max([high, *near])
    log = low > (10 if whole else 0) and high / low > 50
    edges = _edges(low, high, log, whole)
    inside = (values >= edges[0]) & (values <= edges[-1])
    with matplotlib.rc_context(STYLE):
        figure, axes = _figure(520, 190)
        axes.set_position((0.1, 0.17, 0.88, 0.78))
        parts = [values[inside & passed], values[inside & ~passed]]
        axes.hist(parts, bins=edges, stacked=True, histtype="stepfilled", color=[KEPT, DROPPED])
        for line in near:
            axes.axvline(line, color=INK, linewidth=1, linestyle=(0, (3, 2)), clip_on=False)
        axes.set_xscale("log" if log else "linear")
        axes.set_xlim(edges[0], edges[-1])
        axes.yaxis.set_major_locator(ticker.MaxNLocator(3, integer=True))
        axes.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
        if log:
            _label_logarithms(axes.xaxis)
        elif whole:
            axes.xaxis.set_major_locator(ticker.MaxNLocator(8, integer=True))
        axes.tick_params(length=3)
        return _uri(figure), int((~inside).sum())


def _edges(low: float, high: float, log: bool, whole: bool) -> np.ndarray:
    """Edges of the bins; of whole numbers, as many to each bin as to its neighbours."""
    if log:
        return np.geomspace(low, high, BINS + 1)
    if whole:
        step = max(1, -(-int(high - low + 1) // BINS))
        return np.arange(np.floor(low), high + step + 1, step) - 0.5
    return np.linspace(low, high if high > low else low + 1, BINS + 1)


def _label_logarithms(axis: Axis) -> None:
    """Whole decades in full, and steps between them where there is hardly one decade."""
    axis.set_major_formatter(ticker.StrMethodFormatter("{x:,.15g}"))
    axis.set_minor_formatter(ticker.LogFormatter(minor_thresholds=(1.2, 0.5)))


def curves(before: np.ndarray, after: np.ndarray, limit: float | None) -> str:
    """Counts in falling order against their rank, both axes logarithmic; `limit` is drawn as a level."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _figure(520, 300)
        axes.set_position((0.13, 0.15, 0.84, 0.81))
        for counts, colour in ((before, DROPPED), (after, KEPT)):
            counts = np.sort(counts[counts > 0])[::-1]
            if len(counts):
                ranks = np.unique(np.geomspace(1, len(counts), 300).astype(int))  # as fine as the picture
                axes.plot(ranks, counts[ranks - 1], color=colour, linewidth=2)
        if limit is not None:
            axes.axhline(limit, color=INK, linewidth=1, linestyle=(0, (3, 2)))
        axes.set_xscale("log")
        axes.set_yscale("log")
        for axis in (axes.xaxis, axes.yaxis):
            _label_logarithms(axis)
        axes.set_xlabel("rank of the entry")
        axes.tick_params(which="both", length=3)
        return _uri(figure)
