"""Things that scenes show: drawings of Open Clip Art, photos and drawings of Tux Paint's stamps, and plain shapes."""

import csv
import hashlib
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import clipart
import numpy as np
import scenes
import shapes
import wordnet
from PIL import Image
from plan import Item

from proving import SAMPLE

PACKAGES = ("openclipart-png", "openclipart-svg", "wordnet-base", "tuxpaint-stamps-default")
NAMED = re.compile(r"An? ([a-z]+(?: [a-z]+)?)\.")  # the captions of stamps that are one thing's name
LANGUAGES = 8  # captions kept of each stamp: English and seven translations


class Things(NamedTuple):
    """Items by name; the names in the order of their frequency in the pool; captions of stamps in other languages.

    `foreign` has those of a thing by its name, and of all stamps under "".
    """

    items: dict[str, list[Item]]
    names: tuple[str, ...]
    foreign: dict[str, list[str]]


def fetched(work: Path) -> None:
    """Bring the packages and the table of stamps into `work`, where they are not there yet (sample/README.md)."""
    if not all((work / "packages" / name / "_done.json").is_file() for name in PACKAGES):
        work.mkdir(parents=True, exist_ok=True)
        _python("fetch.py", "--work", str(work), *PACKAGES)
    if not (work / "inputs" / "stamps.tsv").is_file():
        _python("build.py", "--work", str(work), "--stamp-captions", str(LANGUAGES), "stamps")
    clipart.cutouts(work)


def _python(script: str, *arguments: str) -> None:
    subprocess.run([sys.executable, str(SAMPLE / script), *arguments], check=True, stdout=sys.stderr)


@cache
def things(work: Path, count: int) -> Things:
    """`count` named things besides the shapes, or all there are; loaded once per process.

    Which ones, and which are frequent, depends on their names alone, so that more things begin with the same ones.
    """
    items, foreign = dict(scenes.catalogue(work)), {}
    english = wordnet.load(work / "packages" / "wordnet-base")
    with (work / "inputs" / "stamps.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, dialect="excel-tab"))
    named = {
        row["path"]: found[1] for row in rows if row["language"] == "en" and (found := NAMED.fullmatch(row["caption"]))
    }
    for path, name in named.items():
        item = stamp(work / "inputs" / path, name, english.plural(name))
        if item is not None:
            items[name] = [*items.get(name, []), item]
    for row in rows:
        if not row["language"].startswith("en"):
            for key in {"", named.get(row["path"], "")}:
                foreign.setdefault(key, []).append(row["caption"])
    order = sorted(items.keys() - set(shapes.NAMES), key=lambda name: hashlib.sha256(name.encode()).digest())
    return Things(items, tuple(order[:count]), foreign)


def stamp(file: Path, name: str, plural: str) -> Item | None:
    """A stamp as a thing, cropped to what is opaque; None where it fills its frame or has a bad shape for a scene."""
    with Image.open(file) as opened:
        image = opened.convert("RGBA")
    box = image.getchannel("A").point(lambda alpha: 255 * (alpha > 32)).getbbox()
    if box is None or not clipart.fits(image := image.crop(box)):
        return None
    image.thumbnail((clipart.SIDE, clipart.SIDE), Image.Resampling.LANCZOS)
    colour = clipart.colour_name(np.asarray(image))
    told = "" if clipart.untold(name, "", colour) else colour
    return Item(image, name, plural or f"{name}s", told, scenes.mean_rgb(image))


def versions(work: Path) -> dict[str, str]:
    """The packages and their versions, as fetch.py wrote them down."""
    marks = {name: json.loads((work / "packages" / name / "_done.json").read_text()) for name in PACKAGES}
    return {name: str(mark.get("version", "")) for name, mark in marks.items()}
