"""Caption tables (TSV) of drawings: Tux Paint's stamps in all their languages, Open Clip Art's titles.

A table's pictures lie in the folder of its name beside it, as hard links where the file system has them: an ingest
reads no file outside a table's own folder. Two runs give the same bytes: rows in path order, then by language.
"""

import csv
import hashlib
import os
import re
import shutil
from collections import Counter
from pathlib import Path

import titles
import wordnet

STAMPS = "usr/share/tuxpaint/stamps"
LINE = re.compile(r"([A-Za-z_@]+)(?:\.utf8)?=(.*)")  # stamp captions: "pt_BR.utf8=Uma borboleta."
SAME_CAPTION = 20  # assumption: further drawings of one caption ("star", 1,378 times) teach nothing new

# As the packages' copyright files name them.
STAMP_LICENSE = "GPL-2.0-or-later"
CLIPART_LICENSE = "Public Domain"


def write_stamps(packages: Path, target: Path, per_image: int | None = None) -> dict[str, int]:
    """Rows, pictures and languages of the table of stamps: one row per PNG stamp and language.

    `per_image` keeps the English caption and that many less one of its translations, drawn by a hash of picture and
    language, so all languages stay; None keeps all.
    """
    root = packages / "tuxpaint-stamps-default" / STAMPS
    rows, counts, languages = [], Counter(), set()
    for file in sorted(root.rglob("*.txt")):
        image = file.with_suffix(".png")
        if not image.is_file():
            counts["svg_left_out"] += file.with_suffix(".svg").is_file()
            continue
        category = image.parent.relative_to(root).as_posix()
        captions = drawn(read_captions(file), f"{category}/{image.stem}", per_image)
        path = place(image, root, target)
        rows += [(path, caption, language, category, STAMP_LICENSE) for language, caption in captions]
        languages.update(language for language, _ in captions)
        counts["images"] += 1
    write_tsv(target, ("path", "caption", "language", "category", "license"), rows)
    return {"rows": len(rows), "images": counts["images"], "languages": len(languages)} | {
        "svg_left_out": counts["svg_left_out"]
    }


def read_captions(file: Path) -> list[tuple[str, str]]:
    """(language, caption) of a stamp: English, which the first line holds, then its translations by language."""
    first, *lines = file.read_text(encoding="utf-8").splitlines() or [""]
    translations = {match[1]: clean(match[2]) for line in lines if (match := LINE.fullmatch(line))}
    captions = [("en", clean(first)), *sorted(translations.items())]
    return [(language, caption) for language, caption in captions if caption]


def clean(text: str) -> str:
    """One line without tabs or doubled spaces, as a TSV cell wants it."""
    return " ".join(text.split())


def drawn(captions: list[tuple[str, str]], image: str, count: int | None) -> list[tuple[str, str]]:
    """The first caption and the `count` - 1 others whose (image, language) hash lowest, in their order."""
    others = sorted(captions[1:], key=lambda row: hashlib.sha256(f"{image}\0{row[0]}".encode()).digest())
    kept = set(captions[:1] + (others if count is None else others[: max(count - 1, 0)]))
    return [row for row in captions if row in kept]


def write_openclipart(packages: Path, target: Path) -> dict[str, int]:
    """Rows of the table of clip art, and what was left out: not readable as English, further ones of a caption."""
    english, counts, rows = wordnet.load(packages / "wordnet-base"), Counter(), []
    for drawing in titles.drawings(packages):
        known = sum(map(english.knows, drawing.words))
        if known * 2 <= len(drawing.words):  # also where there are no words
            counts["not_english_left_out"] += 1
        elif counts[drawing.caption, "rows"] >= SAME_CAPTION:
            counts["same_caption_left_out"] += 1
        else:
            counts[drawing.caption, "rows"] += 1
            path = place(drawing.file, packages / "openclipart-png" / titles.PNG_FOLDER, target)
            rows.append((path, drawing.caption, drawing.category, CLIPART_LICENSE))
    write_tsv(target, ("path", "caption", "category", "license"), rows)
    left_out = {key: counts[key] for key in ("not_english_left_out", "same_caption_left_out")}
    return {"rows": len(rows), "images": len(rows), "languages": 1} | left_out


def place(image: Path, root: Path, table: Path) -> str:
    """Put a picture of the collection `root` into the table's folder of pictures; its path from the table's folder."""
    path = Path(table.stem) / image.relative_to(root)
    linked = table.parent / path
    linked.parent.mkdir(parents=True, exist_ok=True)
    linked.unlink(missing_ok=True)
    try:
        os.link(image, linked)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(image, linked)
    return path.as_posix()


def write_tsv(target: Path, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """The table under a temporary name, then its own."""
    fresh = target.with_suffix(".part")
    with fresh.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, dialect="excel-tab", lineterminator="\n")
        writer.writerows([header, *rows])
    fresh.rename(target)
