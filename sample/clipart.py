"""Cut-outs for composed scenes: clip art that is one thing with a plain name, cropped and scaled once.

`cutouts` keeps its result under DIR/cutouts-KEY: PNG files of at most SIDE pixels and a table of name, colour and kind.
A drawing is taken where WordNet calls the last words of its title a thing of a kind that fits its folder, where every
other word is English, and where its opaque area stands clear of its frame.
"""

import csv
import hashlib
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import titles
import wordnet
from PIL import Image
from shapes import COLOURS

VERSION = 1  # raised whenever other drawings are chosen, or they are cut in another way
PACKAGES = ("openclipart-png", "openclipart-svg", "wordnet-base")
SIDE = 112  # a scene is 128 px wide and a thing fills at most 7/8 of it
MAX_PIXELS = 100_000_000  # a few drawings are rendered at 15,000 px a side; they are maps and flags

# Folder of the collection -> kinds of things that its drawings may be. Folders of icons, signs, maps, logos and
# patterns are missing: their titles name what they stand for.
KINDS = {
    "animals": {"animal"},
    "buildings": {"artifact"},
    "computer/hardware": {"artifact"},
    "containers": {"artifact"},
    "education": {"artifact"},
    "electronics": {"artifact"},
    "food": {"food", "plant", "artifact"},
    "office": {"artifact"},
    "people": {"artifact", "body", "person"},
    "plants": {"plant", "food"},
    "recreation": {"artifact", "plant"},
    "science": {"artifact", "object"},
    "tools": {"artifact"},
    "transportation": {"artifact"},
    "geography/astronomy": {"object"},
    "unsorted": {"animal", "artifact", "food", "plant"},
}
NOT_UNDER = ("transportation/roadsigns", "transportation/aiga-symbols", "recreation/games/cards", "people/smilies",
             "recreation/religion")  # fmt: skip

# Shares of the cropped frame that are opaque: below, line art that scales to nothing; above, a picture with its
# background. Set by looking at contact sheets.
COVERAGE = (0.18, 0.93)
MIN_SIDE = 40  # px of the original's shorter side: icons of 16-32 px blur when they are scaled up
MAX_ASPECT = 3.0  # longer over shorter: a longer thing fills a scene's cell only as a line

COLOUR_SHARE = 0.6  # assumption: a thing is called red where at least so much of it is red

# Words of titles that tell of the drawing's manner, or a size that the scene sets itself.
NOT_NAMES = {
    "an", "another", "az", "basic", "big", "body", "cartoon", "clothing", "color", "contour", "fifties",
    "generic", "icon", "illustration", "large", "little", "md", "new", "part", "simple", "sketch", "small",
    "sprint", "stylized", "symbolic",
}  # fmt: skip
# Words that name no thing a caption should teach: seen on the contact sheet.
NOT_DRAWN = {
    "adult", "airplane", "al", "alarm", "antilope", "atomic", "blazer", "brick", "cannabis", "carnegie",
    "clove", "crystal", "double", "drawbridge", "driving", "einstein", "enthusiast", "evolution", "figure",
    "flan", "full", "gallows", "golf", "grandpa", "gun", "hide", "knot", "load", "lotion", "maya", "mobile",
    "mute", "paint", "patchwork", "pavement", "pea", "picnic", "pimp", "pin", "portrait", "rana", "reminder",
    "rollerblading", "rosa", "route", "rpm", "school", "self", "sexy", "signore", "signorina", "slalom",
    "sport", "spread", "straw", "stripper", "thanksgiving", "toyota", "two", "video", "working", "yoga",
    "youngster",
}  # fmt: skip


@dataclass(frozen=True)
class Cutout:
    """A thing to place: file, name ("teddy bear"), plural ("" where not counted), kind, colour to call it or ""."""

    file: Path
    name: str
    plural: str
    kind: str
    colour: str


def cutouts(work: Path) -> list[Cutout]:
    """The cut-outs in path order, made on first use (some seconds) and read back while the packages stay the same."""
    marks = [(work / "packages" / name / "_done.json").read_text() for name in PACKAGES]
    folder = work / f"cutouts-{hashlib.sha256(f'{VERSION}{marks}'.encode()).hexdigest()[:12]}"
    if not folder.is_dir():
        fresh = work / "cutouts.part"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        make(work / "packages", fresh)
        fresh.rename(folder)
    with (folder / "cutouts.tsv").open(encoding="utf-8", newline="") as table:
        return [Cutout(folder / row.pop("file"), **row) for row in csv.DictReader(table, dialect="excel-tab")]


def make(packages: Path, folder: Path) -> None:
    """Write the cut-outs and their table into `folder`."""
    english = wordnet.load(packages / "wordnet-base")
    chosen = list(choose(titles.drawings(packages), english))
    targets = [folder / f"{number:05d}.png" for number in range(len(chosen))]
    with ProcessPoolExecutor(2) as pool:
        colours = pool.map(cut, [drawing.file for drawing, _, _ in chosen], targets, chunksize=16)
        rows = [
            (target.name, name, english.plural(name), kind, "" if untold(name, kind, colour) else colour)
            for target, (_, name, kind), colour in zip(targets, chosen, colours, strict=True)
            if colour is not None
        ]
    with (folder / "cutouts.tsv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, dialect="excel-tab", lineterminator="\n")
        writer.writerows([("file", "name", "plural", "kind", "colour"), *rows])


def untold(name: str, kind: str, colour: str) -> bool:
    """Whether the colour stays out of captions: the name has one, or it is a person's skin."""
    return bool(COLOURS.keys() & name.split()) or (kind in ("body", "person") and colour != "black")


def choose(drawings: list[titles.Drawing], english: wordnet.WordNet) -> Iterator[tuple[titles.Drawing, str, str]]:
    """(drawing, name, kind) of those whose title names a thing that fits their folder."""
    for drawing in drawings:
        if drawing.category.startswith(NOT_UNDER):
            continue
        allowed = next((kinds for folder, kinds in KINDS.items() if drawing.category.startswith(folder)), set())
        words = tuple(word for word in drawing.words if word not in NOT_NAMES)
        name, kind = thing(words, allowed, english)
        if name and not NOT_DRAWN.intersection(words):
            yield drawing, name, kind


def thing(words: tuple[str, ...], allowed: set[str], english: wordnet.WordNet) -> tuple[str, str]:
    """(name, kind) of a title of one to three English words that ends in a thing of an allowed kind, else ("", "")."""
    if not 1 <= len(words) <= 3 or not all(word in english.words for word in words):
        return "", ""
    if len(words) > 1 and words[-1] in COLOURS:  # "phone handset gray"
        return "", ""
    for start in range(len(words)):
        kinds = english.things.get(" ".join(words[start:]))
        if kinds is not None:
            # Only the usual senses: the ninth sense of "tie" is a musical sign.
            kind = next((kind for kind in kinds[:3] if kind in allowed), "")
            return (" ".join(words), kind) if kind else ("", "")
    return "", ""


def cut(file: Path, target: Path) -> str | None:
    """Write the drawing cropped to what is opaque, at most SIDE px; its colour or "", None where it is no cut-out."""
    Image.MAX_IMAGE_PIXELS = None  # checked on the next lines, by size alone
    with Image.open(file) as image:
        if image.width * image.height > MAX_PIXELS:
            return None
        image = image.convert("RGBA")
    box = image.getchannel("A").point(lambda alpha: 255 * (alpha > 32)).getbbox()
    if box is None or not fits(image := image.crop(box)):
        return None
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    image.save(target)
    return colour_name(np.asarray(image))


def fits(image: Image.Image) -> bool:
    """Whether a cropped drawing has a size, a shape and a share of opaque area that suit a scene."""
    short, long = sorted(image.size)
    if short < MIN_SIDE or long > MAX_ASPECT * short:
        return False
    coverage = np.asarray(image.getchannel("A")).mean() / 255
    return COVERAGE[0] <= coverage <= COVERAGE[1]


def colour_name(pixels: np.ndarray) -> str:
    """The colour of at least COLOUR_SHARE of the opaque pixels of (H, W, 4) uint8 RGBA, black outlines aside; or ""."""
    opaque = pixels[pixels[..., 3] > 128][:, :3].astype(np.float64) / 255
    names = [name_pixels(opaque)]
    coloured = names[0][names[0] != "black"]
    if 2 * len(coloured) > len(names[0]):
        names.append(coloured)
    for found in reversed(names):
        values, counts = np.unique(found, return_counts=True)
        if len(counts) and counts.max() >= COLOUR_SHARE * len(found):
            return str(values[counts.argmax()])
    return ""


def name_pixels(rgb: np.ndarray) -> np.ndarray:
    """Colour word of each row of (n, 3) RGB in [0, 1]. Bounds of hue, chroma and value were set by eye."""
    value, low = rgb.max(axis=1), rgb.min(axis=1)
    chroma = value - low
    saturation = chroma / np.maximum(value, 1e-9)
    hue = hues(rgb, value, chroma)
    rules = [
        (value < 0.22, "black"),
        ((saturation < 0.14) & (value > 0.88), "white"),
        (saturation < 0.14, "gray"),
        (((hue < 20) | (hue >= 320)) & (saturation < 0.6) & (value > 0.75), "pink"),
        ((hue >= 290) & (hue < 345) & (value > 0.6), "pink"),
        ((hue >= 8) & (hue < 48) & (value < 0.68), "brown"),
        ((hue >= 14) & (hue < 68) & (saturation < 0.55), ""),  # skin, paper, bread: no two people name it alike
        ((hue < 14) | (hue >= 345), "red"),
        (hue < 43, "orange"),
        (hue < 68, "yellow"),
        (hue < 165, "green"),
        (hue < 258, "blue"),
    ]
    return np.select([mask for mask, _ in rules], [name for _, name in rules], "purple")


def hues(rgb: np.ndarray, value: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """Hue of each row in degrees, [0, 360); 0 for grays (the usual hexagon formula of HSV)."""
    red, green, blue = rgb.T
    step = np.maximum(chroma, 1e-9)
    sector = np.select(
        [value == red, value == green], [(green - blue) / step % 6, (blue - red) / step + 2], (red - green) / step + 4
    )
    return sector * 60 % 360
