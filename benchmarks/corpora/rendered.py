"""Pictures with known words drawn into them: many fonts, heights, colours and grounds, seeded."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from curation.entries import load_entries

# Pillow's own font (""), and fonts that come with matplotlib.
FONTS = (
    "",
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSerif",
    "DejaVuSerif-Italic",
    "DejaVuSansMono",
    "STIXGeneral",
    "STIXGeneralBol",
)
HEIGHTS = (
    8,
    10,
    12,
    14,
    16,
    20,
    24,
    32,
    48,
)  # font sizes, px
WIDTH = 256
CONTRAST = 90  # least difference in luma between a line and the mean of its ground
DETAIL = ((4, 50), (16, 25), (64, 12))  # of a textured ground: noise of so many cells across and so strong
UPPER, CAPITALISED = 0.3, 0.35  # shares of lines
MARGIN = 4  # px to the border
LUMA = 0.299, 0.587, 0.114  # luma of red, green, blue (Rec. 601)


class Word(NamedTuple):
    """A word as drawn and its font's size in pixels."""

    text: str
    height: int


class Picture(NamedTuple):
    """uint8 RGB (H, W, 3) and the words in it."""

    pixels: np.ndarray
    words: list[Word]


def rendered(seed: int, width: int = WIDTH, heights: Sequence[int] = HEIGHTS) -> Picture:
    """A picture with up to three lines of up to three words, each in one of the font sizes `heights`."""
    draw = np.random.default_rng((seed, width))
    size = (width, int(width * draw.choice([0.75, 1.0])))
    image, words, zoom = Image.fromarray(_ground(draw, *size)), [], width / WIDTH
    top = int(draw.integers(MARGIN, size[1] // 4))
    for _ in range(int(draw.integers(1, 4))):
        height = int(draw.choice(heights))
        line, bottom = _line(draw, image, top, height)
        words += [Word(text, height) for text in line]
        top = bottom + int(draw.integers(MARGIN, 20) * zoom)
    return Picture(np.asarray(image), words)


def _line(draw: np.random.Generator, image: Image.Image, top: int, height: int) -> tuple[list[str], int]:
    """Draw a line where there is room; its words and where it ends."""
    pen, letters = ImageDraw.Draw(image), font(str(draw.choice(FONTS)), height)
    words, style = [str(word) for word in draw.choice(_words(), draw.integers(1, 4))], draw.random()
    words = [w.upper() if style < UPPER else w.capitalize() if style < UPPER + CAPITALISED else w for w in words]
    while words and pen.textlength(" ".join(words), letters) > image.width - 3 * MARGIN:
        words.pop()
    text = " ".join(words)
    left = int(draw.integers(MARGIN, max(MARGIN + 1, image.width - int(pen.textlength(text, letters)) - MARGIN)))
    box = pen.textbbox((left, top), text, letters)
    if not words or box[3] > image.height - MARGIN:
        return [], top
    below = np.asarray(image.crop(box)).reshape(-1, 3).mean(axis=0) @ LUMA
    colours = draw.integers(0, 256, (64, 3))
    gaps = np.minimum(np.abs(colours @ LUMA - below), CONTRAST)
    pen.text((left, top), text, tuple(int(v) for v in colours[gaps.argmax()]), letters)
    return words, int(box[3])


def _ground(draw: np.random.Generator, width: int, height: int) -> np.ndarray:
    kind, colour = draw.integers(4), draw.integers(0, 256, 3)
    pixels = np.zeros((height, width, 3)) + colour
    if kind == 1:
        pixels += (draw.integers(0, 256, 3) - colour) * np.linspace(0, 0.5, width)[None, :, None]
    for cells, strength in DETAIL if kind > 1 else ():
        noise = draw.normal(0, strength * (1 if kind == 2 else 0.4), (cells, cells, 3)).astype(np.float32)
        for band in range(3):
            layer = Image.fromarray(noise[..., band]).resize((width, height), Image.Resampling.BICUBIC)
            pixels[..., band] += np.asarray(layer)
    return pixels.clip(0, 255).astype(np.uint8)


@functools.cache
def font(name: str, height: int) -> ImageFont.FreeTypeFont:
    """One of FONTS at a height in pixels."""
    if not name:
        return ImageFont.load_default(height)
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts/ttf", f"{name}.ttf")), height)


@functools.cache
def _words() -> np.ndarray:
    return np.array([e.lower() for e in load_entries() if e.isascii() and e.isalpha() and 4 <= len(e) <= 9])
