"""Plain shapes in named colours, and the backgrounds that scenes stand on."""

import math
from dataclasses import dataclass

from PIL import Image, ImageDraw

SMOOTH = 4  # shapes are drawn this much larger and scaled down: smooth edges

# Named colours as sRGB values near their CSS namesakes, moved to where a drawing's word for them is plain.
COLOURS = {
    "red": (215, 30, 35), "orange": (245, 140, 20), "yellow": (250, 220, 40), "green": (40, 155, 60),
    "blue": (40, 90, 210), "purple": (130, 50, 160), "pink": (250, 150, 190), "brown": (130, 80, 40),
    "black": (15, 15, 15), "white": (250, 250, 250), "gray": (135, 135, 135),
}  # fmt: skip


def polygon(corners: int, turn: float, inner: float = 0.0) -> list[tuple[float, float]]:
    """A regular polygon in the unit square; with `inner`, a star with notches at that share of the radius."""
    steps = corners * (2 if inner else 1)
    points = []
    for step in range(steps):
        radius = 0.5 * (inner if inner and step % 2 else 1.0)
        angle = math.radians(turn) + 2 * math.pi * step / steps
        points.append((0.5 + radius * math.sin(angle), 0.5 - radius * math.cos(angle)))
    return points


POLYGONS = {
    "triangle": polygon(3, 0),
    "square": [(0.08, 0.08), (0.92, 0.08), (0.92, 0.92), (0.08, 0.92)],
    "rectangle": [(0, 0.24), (1, 0.24), (1, 0.76), (0, 0.76)],
    "diamond": [(0.5, 0), (0.85, 0.5), (0.5, 1), (0.15, 0.5)],
    "pentagon": polygon(5, 0),
    "hexagon": polygon(6, 30),
    "star": polygon(5, 0, inner=0.42),
    "cross": [(0.34, 0), (0.66, 0), (0.66, 0.34), (1, 0.34), (1, 0.66), (0.66, 0.66), (0.66, 1), (0.34, 1),
              (0.34, 0.66), (0, 0.66), (0, 0.34), (0.34, 0.34)],
    "arrow": [(0, 0.35), (0.55, 0.35), (0.55, 0.1), (1, 0.5), (0.55, 0.9), (0.55, 0.65), (0, 0.65)],
    "heart": [(0.5 + 0.5 * math.sin(t / 20) ** 3,
               0.48 - (13 * math.cos(t / 20) - 5 * math.cos(t / 10) - 2 * math.cos(3 * t / 20) - math.cos(t / 5)) / 34)
              for t in range(126)],  # the usual heart curve, a full turn in steps of 1/20 rad
}  # fmt: skip
NAMES = (*POLYGONS, "circle", "oval", "ring")


def shape(name: str, colour: tuple[int, int, int], side: int) -> Image.Image:
    """The shape as RGBA of `side` px, clear outside."""
    large = side * SMOOTH
    mask = Image.new("L", (large, large))
    pen = ImageDraw.Draw(mask)
    if name in POLYGONS:
        pen.polygon([(x * (large - 1), y * (large - 1)) for x, y in POLYGONS[name]], fill=255)
    else:
        squeeze = large // 5 if name == "oval" else 0
        pen.ellipse((0, squeeze, large - 1, large - 1 - squeeze), fill=255)
    if name == "ring":
        pen.ellipse((large // 4, large // 4, large * 3 // 4, large * 3 // 4), fill=0)
    image = Image.new("RGBA", (side, side), (*colour, 0))
    image.putalpha(mask.resize((side, side), Image.Resampling.BOX))
    return image


@dataclass(frozen=True)
class Backdrop:
    """A background: its kind (a key of BACKDROPS) and its two colours, the same twice where it is plain."""

    kind: str
    first: str
    second: str


# Kind -> words for it; {0} and {1} are the colours.
BACKDROPS = {
    "plain": ("{0} background", "plain {0} background"),
    "gradient": ("background that fades from {0} to {1}", "{0} and {1} gradient"),
    "stripes": ("background of {0} and {1} stripes", "striped {0} and {1} background"),
    "dots": ("{0} background with {1} dots", "{1} dotted {0} background"),
    "checks": ("{0} and {1} checkered background", "checkerboard of {0} and {1}"),
}


def draw_backdrop(backdrop: Backdrop, side: int, step: int, shade: int) -> Image.Image:
    """The background as RGB of `side` px, its pattern `step` px wide, its colours lightened by `shade` levels."""
    first, second = (
        tuple(min(255, max(0, level + shade)) for level in COLOURS[name]) for name in (backdrop.first, backdrop.second)
    )
    image = Image.new("RGB", (side, side), first)
    if backdrop.kind == "plain":
        return image
    if backdrop.kind == "gradient":
        ramp = Image.linear_gradient("L").resize((side, side))  # black at the top, white at the bottom
        return Image.composite(Image.new("RGB", (side, side), second), image, ramp)
    pen = ImageDraw.Draw(image)
    for row in range(0, side, step):
        if backdrop.kind == "stripes" and row // step % 2:
            pen.rectangle((0, row, side, row + step - 1), fill=second)
        for column in range(0, side, step):
            if backdrop.kind == "checks" and (row + column) // step % 2:
                pen.rectangle((column, row, column + step - 1, row + step - 1), fill=second)
            if backdrop.kind == "dots":
                pen.ellipse(
                    (column + step // 4, row + step // 4, column + step * 5 // 8, row + step * 5 // 8), fill=second
                )
    return image
