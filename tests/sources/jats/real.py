"""What real articles hold, counted without the reader, beside what the reader makes of it.

    python -m tests.sources.jats.real FOLDER

prints figures found of figures in the source, images in pairs of images present, and the reason for each miss.
"""

import re
import sys
import tarfile
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from curation.sources import jats
from tests.sources.conftest import Sink

HREF = "{http://www.w3.org/1999/xlink}href"
IMAGES = (".jpg", ".jpeg", ".png", ".gif", ".tif", ".tiff")
HOLDERS = ("fig", "fig-group", "table-wrap", "disp-formula", "inline-formula", "supplementary-material")


class Figure(NamedTuple):
    """A figure in the source: its caption in words, "" for none; whether formulas are in it, whether a p cites it."""

    id: str
    caption: str
    formulas: bool
    cited: bool


class Held(NamedTuple):
    """What a file or package holds. `images`: what the graphic of each image stands in, by the stem of its name."""

    figures: list[Figure]
    images: dict[str, str]


class Came(NamedTuple):
    """What the reader made of it: pairs and reasons by the figure's id, the stems of the images that pairs have."""

    pairs: dict[str, list[dict[str, Any]]]
    images: set[str]
    rejects: dict[str, str]


def contents(path: Path) -> dict[str, bytes]:
    """The files of an archive, or an article with the images beside it."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    if path.name.endswith(".tar.gz"):
        with tarfile.open(path) as archive:
            return {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}
    return {str(file): file.read_bytes() for file in path.parent.rglob("*") if file.is_file()}


def held(path: Path) -> Held:
    """The figures and the images of a package, by the standard library alone."""
    files = contents(path)
    (article,) = [data for name, data in files.items() if re.search(r"\.(xml|nxml|jats)$", name)]
    root = ElementTree.fromstring(article)
    above = {child: parent for parent in root.iter() for child in parent}
    cited = {id for p in root.iter("p") for xref in p.iter("xref") for id in xref.get("rid", "").split()}
    figures = [_figure(fig, above, cited) for fig in root.iter("fig")]
    shown = {_stem(graphic.get(HREF, "")): _holder(graphic, above) for graphic in root.iter() if _is_picture(graphic)}
    present = {_stem(name) for name in files if name.lower().endswith(IMAGES)}
    return Held(figures, {stem: shown.get(stem, "nothing") for stem in sorted(present)})


def came(path: Path) -> Came:
    """The pairs and rejects of a package."""
    pairs: dict[str, list[dict[str, Any]]] = {}
    rejects = {}
    for row in (row for batch in jats.read(str(path), Sink()) for row in batch.to_pylist()):
        if "error" in row:
            rejects[row["item"].rpartition("#")[2]] = row["error"]
        else:
            row["extra"] = dict(row["extra"])
            pairs.setdefault(row["extra"]["figure"], []).append(row)
    images = {_stem(row["extra"]["href"]) for rows in pairs.values() for row in rows if row["image"]}
    return Came(pairs, images, rejects)


def packages(folder: Path) -> list[Path]:
    """The articles and packages of a folder, sorted."""
    return sorted(p for p in folder.rglob("*") if re.search(r"\.(xml|nxml|jats|zip|tar\.gz)$", p.name))


def report(folder: Path) -> Iterator[str]:
    """The lines of the account."""
    counts: Counter[str] = Counter()
    misses: Counter[str] = Counter()
    for path in packages(folder):
        there, found = held(path), came(path)
        counts["articles"] += 1
        counts["figures"] += len(there.figures)
        counts["figures with a caption"] += sum(bool(figure.caption) for figure in there.figures)
        counts["figures with pairs"] += len(found.pairs)
        rows = [row for rows in found.pairs.values() for row in rows]
        counts["pairs"] += len(rows)
        counts["pairs with an image"] += sum(row["image"] is not None for row in rows)
        counts["images present"] += len(there.images)
        counts["images of figures"] += sum(holder == "fig" for holder in there.images.values())
        counts["images in pairs"] += len(found.images)
        misses.update(f"figure: {error} ({path.name})" for error in found.rejects.values())
        misses.update(f"image: of {_reason(there.images[stem], path)}" for stem in there.images.keys() - found.images)
    yield from (f"{count:6d} {name}" for name, count in counts.items())
    yield from (f"{count:6d} missed, {name}" for name, count in sorted(misses.items()))


def _reason(holder: str, path: Path) -> str:
    return f"{holder} ({path.name})" if holder in ("fig", "nothing") else holder


def _figure(fig: ElementTree.Element, above: dict, cited: set[str]) -> Figure:
    places = [fig]
    while above[places[-1]].tag == "fig-group":
        places.append(above[places[-1]])
    captions = [(_words(caption), caption) for place in places for caption in place.findall("caption")]
    text, caption = next((each for each in captions if each[0]), ("", fig))
    formulas = any(re.search(r"math|formula|graphic", element.tag) for element in caption.iter())
    return Figure(fig.get("id", ""), text, formulas, fig.get("id", "") in cited)


def _words(element: ElementTree.Element) -> str:
    """The text of a caption, each title, paragraph and item of a list set apart by a blank."""

    def pieces(element: ElementTree.Element) -> Iterator[str]:
        edge = " " if element.tag in ("title", "p", "list-item", "label") else ""
        yield edge + (element.text or "")
        for child in element:
            if child.tag != "supplementary-material":  # a figure's data, with a caption of their own
                yield from pieces(child)
            yield child.tail or ""
        yield edge

    return unicodedata.normalize("NFC", " ".join("".join(pieces(element)).split()))


def _is_picture(element: ElementTree.Element) -> bool:
    return element.tag in ("graphic", "inline-graphic") and bool(element.get(HREF))


def _holder(element: ElementTree.Element, above: dict) -> str:
    if element.tag == "inline-graphic":
        return element.tag
    around = above.get(element)
    while around is not None and around.tag not in HOLDERS:
        around = above.get(around)
    return "no figure" if around is None else around.tag


def _stem(name: str) -> str:
    return re.sub(r"\.(jpe?g|png|gif|tiff?)$", "", name.rpartition("/")[2], flags=re.IGNORECASE)


def main(arguments: Iterable[str]) -> None:
    """Print the account of each folder."""
    for folder in arguments:
        print("\n".join(report(Path(folder))))


if __name__ == "__main__":
    main(sys.argv[1:])
