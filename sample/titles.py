"""Readable English titles of the Open Clip Art drawings.

A drawing's SVG file holds a title and its author. Many titles name a whole collection, or another drawing of the same
author; then the file name speaks, which ends in the author's name (cut to some length) and a number.
"""

import html
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

PNG_FOLDER = "usr/share/openclipart/png"
SVG_FOLDER = "usr/share/openclipart/svg"
HEAD_BYTES = 65536  # metadata stands before the drawing; a longer head only costs time

TITLE = re.compile(r"<dc:title>(.*?)</dc:title>", re.DOTALL)
CREATOR = re.compile(r"<dc:creator>.*?<dc:title>(.*?)</dc:title>", re.DOTALL)
SHARED = 3  # assumption: a title that more files carry names their collection, found by reading the frequent ones
COLLECTION = re.compile(r"^(part of|clipart by)|collection|theme|submission|created by", re.IGNORECASE)
SPLIT = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")

# Folder -> the word that says what a drawing in it is; its name alone would not ("ireland" is a flag).
NOUNS = {
    "signs_and_symbols/flags": "flag",
    "transportation/roadsigns": "road sign",
    "signs_and_symbols/map_symbols": "map symbol",
    "recreation/games/cards": "playing card",
    "computer/icons": "icon",
    "special/patterns": "pattern",
    "special/gradients": "gradient",
    "geography": "map",
    "people/smilies": "smiley",
}


@dataclass(frozen=True)
class Drawing:
    """A PNG drawing: its file, its folder in the collection (the category), and its words, lower case."""

    file: Path
    category: str
    words: tuple[str, ...]

    @property
    def caption(self) -> str:
        """The words, with the noun of the folder where they lack it."""
        noun = next((noun for folder, noun in NOUNS.items() if self.category.startswith(folder)), "")
        missing = noun and noun.split()[-1] not in self.words
        return " ".join([*self.words, noun] if missing else self.words)


def drawings(packages: Path) -> list[Drawing]:
    """Every PNG drawing in path order; symbolic links (the same drawing in a second category) are left out."""
    root = packages / "openclipart-png" / PNG_FOLDER
    files = [path for path in sorted(root.rglob("*.png")) if not path.is_symlink()]
    heads = [svg_head(packages, file.relative_to(root)) for file in files]
    shared = Counter(title for title, _ in heads)
    found = []
    for file, (title, author) in zip(files, heads, strict=True):
        specific = title and shared[title] <= SHARED and not COLLECTION.search(title)
        words = split(title) if specific else split(without_author(file.stem, author))
        found.append(Drawing(file, file.parent.relative_to(root).as_posix(), words))
    return found


def svg_head(packages: Path, path: Path) -> tuple[str, str]:
    """(title, author) from the SVG file of the same name, empty where it has none."""
    file = (packages / "openclipart-svg" / SVG_FOLDER / path).with_suffix(".svg")
    if not file.is_file():
        return "", ""
    with file.open("rb") as handle:
        head = handle.read(HEAD_BYTES).decode("utf-8", "replace")
    return tuple(html.unescape(match[1]).strip() if (match := rule.search(head)) else "" for rule in (TITLE, CREATOR))


def without_author(stem: str, author: str) -> str:
    """The file name without the author's name and number at its end.

    >>> without_author("barattolo_di_pillole_arc_01", "Architetto Francesco Rollandin")
    'barattolo_di_pillole'
    """
    parts = re.sub(r"_?(\d+[a-z]?|r)?$", "", stem).rstrip("_").split("_")
    name = "_".join(SPLIT.split(author.lower()))
    for start in range(1, len(parts)):
        if name.startswith("_".join(parts[start:])):
            return "_".join(parts[:start])
    return "_".join(parts)


def split(text: str) -> tuple[str, ...]:
    """Words of a title or file name: lower case, without numbers and single letters, none twice in a row.

    >>> split("Simple_teddyBear 01")
    ('simple', 'teddy', 'bear')
    """
    words = [word.lower() for word in SPLIT.split(text) if len(word) > 1 and word.isalpha()]
    return tuple(word for word, before in zip(words, ["", *words], strict=False) if word != before)
