"""How pictures are drawn: once for the page, as SVG, and once for its own file, as PNG; equal numbers, equal bytes.

In the page colours are CSS variables with a light and a dark value, and text stays text, so that any script can be
shown. A PNG is light and in the font that comes with matplotlib; what that cannot draw is written as escapes.
"""

import base64
import functools
import io
import unicodedata
import warnings
from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any

import matplotlib
from matplotlib import font_manager, ticker
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from curation.shown import cut, plain

FONTS = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', sans-serif"
FONT = "DejaVu Sans"  # comes with matplotlib
PIXEL = 0.01  # inches; a figure of 100 px is 72 points wide and shown at 100 px
DENSITY = 200  # dots per inch of a PNG: twice the px of the page, enough for a printed column
LETTER = 7  # px, of a letter of a label: wide ones, so that none is cut off
UNSAID = ("Date", "Creator", "Format", "Type")  # metadata that would tell one writing from another


@dataclass(frozen=True)
class Theme:
    """The colours of a picture; `glyphs`, where its text is drawn here and not by the reader, are those of the font."""

    ink: str
    soft: str
    line: str
    kept: str
    dropped: str
    glyphs: frozenset[int] | None = None

    def label(self, text: str) -> str:
        """`text` fit to stand in the picture: short, on one line, without what the font does not have."""
        text = cut(plain(text), 46)
        if self.glyphs is None:
            return text
        return "".join(c if ord(c) in self.glyphs else c.encode("unicode_escape").decode() for c in text)

    def rc(self) -> dict[str, Any]:
        """The settings of matplotlib for a picture in these colours."""
        return {
            "svg.fonttype": "none",
            "svg.hashsalt": "curation",
            "font.family": [FONT],
            "font.size": 9,
            "text.color": self.ink,
            "text.parse_math": False,
            "axes.edgecolor": self.line,
            "axes.labelcolor": self.soft,
            "axes.titlecolor": self.soft,
            "axes.titlesize": 9,
            "axes.titlelocation": "left",
            "xtick.color": self.soft,
            "ytick.color": self.soft,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.formatter.use_mathtext": False,
            "axes.grid": False,
            "legend.frameon": False,
            "legend.labelcolor": self.soft,
        }


NAMED = Theme("#010101", "#010102", "#010103", "#010104", "#010105")  # what variables take the place of
LIGHT = Theme("#1f2933", "#616e7c", "#d5dbe1", "#2f6f9f", "#d9935b")
DARK = Theme("#e4e7eb", "#9aa5b1", "#3e4c59", "#6aa9d8", "#c07f4b")
COLOURS = 5


@dataclass(frozen=True)
class Picture:
    """A picture that `draw` draws in any theme."""

    draw: Callable[[Theme], Figure]

    def uri(self) -> str:
        """The picture as SVG in a data URI."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg().encode()).decode()

    def svg(self) -> str:
        """The picture as SVG, its colours as variables with a light and a dark value."""
        file = io.StringIO()
        with matplotlib.rc_context(NAMED.rc()), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph")  # the reader's font draws the text, not matplotlib's
            self.draw(NAMED).savefig(file, format="svg", transparent=True, metadata=dict.fromkeys(UNSAID))
        svg = file.getvalue()
        for colour in _colours(NAMED):
            svg = svg.replace(colour, f"var(--c{colour[-1]})")
        svg = svg.replace(f"'{FONT}'", FONTS)
        light, dark = (_variables(theme) for theme in (LIGHT, DARK))
        style = f"<style>:root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"
        start = svg.index(">", svg.index("<svg")) + 1
        return svg[svg.index("<svg") : start] + style + svg[start:]

    def png(self) -> bytes:
        """The picture as PNG on white, without a word on when and by what it was made."""
        file = io.BytesIO()
        theme = Theme(*_colours(LIGHT), _glyphs())
        with matplotlib.rc_context(theme.rc()):
            self.draw(theme).savefig(file, format="png", dpi=DENSITY, facecolor="white", metadata={"Software": None})
        return file.getvalue()


def _colours(theme: Theme) -> tuple[str, ...]:
    return astuple(theme)[:COLOURS]


def _variables(theme: Theme) -> str:
    return ";".join(f"--c{name[-1]}:{value}" for name, value in zip(_colours(NAMED), _colours(theme)))


@functools.cache
def _glyphs() -> frozenset[int]:
    return frozenset(font_manager.get_font(font_manager.findfont(FONT)).get_charmap())


def figure(width: int, height: int) -> tuple[Figure, Axes]:
    """An empty figure of this size in px, and axes that fill it."""
    made = Figure(figsize=(width * PIXEL, height * PIXEL))
    return made, made.add_axes((0, 0, 1, 1))


def label_width(labels: list[str]) -> int:
    """Px that the longest of some labels takes; letters of Chinese, Japanese and Korean count twice."""
    widths = (sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in text) for text in labels)
    return LETTER * max(widths, default=0)


def label_logarithms(axis: Axis) -> None:
    """Whole decades in full, and steps between them where there is hardly one decade."""
    axis.set_major_formatter(ticker.StrMethodFormatter("{x:,.15g}"))
    axis.set_minor_formatter(ticker.LogFormatter(minor_thresholds=(1.2, 0.5)))
