"""Real papers, against a count and a search that know nothing of the reader: regular expressions and the README."""

import re
import shutil
from collections import Counter
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from curation.sources import latex
from tests.sources.latex.papers import Result, read

FLOAT = re.compile(r"\\begin\{((?:wrap)?(?:figure|table)\*?)\}(.*?)\\end\{\1\}", re.DOTALL)
SHOWS = re.compile(r"\\(?:includegraphics|plotone|plottwo|gridline|molfeature)")
COMMENT = re.compile(r"(?<!\\)%.*")
MARK = re.compile("<ref>|<cit.>")
WORD = re.compile(r"[A-Za-z]{2,}")
IMAGES = (".pdf", ".png", ".jpg", ".jpeg", ".eps")


class Paper(NamedTuple):
    name: str
    images: set[str]
    result: Result
    floats: list[str]
    words: set[str]

    def files(self) -> set[str]:
        return {row["extra"]["file"] for row in self.result.found}

    def figures(self) -> set[str]:
        errors = [(item, error) for item, error in self.result.errors() if item.startswith("fig")]
        rejected = {item.split()[0].partition("#")[0] for item, error in errors if error != "no_graphic"}
        return rejected | {row["extra"]["figure"] for row in self.result.found}


@cache
def papers(folder: Path, keep_links: bool = False) -> list[Paper]:
    found = []
    for paper in sorted(path for path in folder.iterdir() if path.is_dir()):
        sources = sorted(paper.rglob("*.tex"))
        mains = [path for path in sources if latex.looks(str(path))]
        assert len(mains) == 1, paper
        text = "\n".join(COMMENT.sub("", path.read_text("utf-8", "replace")) for path in sources)
        images = {str(path.relative_to(paper)) for path in paper.rglob("*") if path.suffix.lower() in IMAGES}
        result = read(mains[0], keep_links=keep_links)
        found.append(Paper(paper.name, images, result, [m[2] for m in FLOAT.finditer(text)], set(WORD.findall(text))))
    return found


@pytest.fixture(scope="module")
def folder(data: Path) -> Path:
    return data / "latex"


@pytest.fixture(scope="module")
def table(folder: Path) -> dict[str, list[str]]:
    """The rows of the README's table by folder."""
    rows = [line.strip("| \n").split(" | ") for line in (folder / "README.md").read_text().splitlines() if "| " in line]
    return {row[0]: [cell.strip() for cell in row] for row in rows if (folder / row[0]).is_dir()}


def test_every_paper_and_image_of_the_table_is_there(folder: Path, table: dict[str, list[str]]) -> None:
    assert {paper.name: len(paper.images) for paper in papers(folder)} == {
        name: int(row[4].split()[0]) for name, row in table.items()
    }


def test_figures_found(folder: Path) -> None:
    """All floats that show a file, and no others, become a pair or a reject that names them."""
    for paper in papers(folder):
        assert len(paper.figures()) == sum(bool(SHOWS.search(text)) for text in paper.floats), paper.name
    assert sum(len(paper.figures()) for paper in papers(folder)) == 160


def test_pairs_of_the_images_on_disk(folder: Path) -> None:
    """At least 95 of 100 images become pairs by the default rules; EPS apart; each miss has its reason."""
    all_papers = papers(folder)
    present = {(p.name, image) for p in all_papers for image in p.images if not image.endswith(".eps")}
    paired = {(p.name, image) for p in all_papers for image in p.files()}
    assert len(present & paired) >= 0.95 * len(present)
    reasons = Counter(error for p in all_papers for _, error in p.result.errors())
    drawn = shutil.which("gs") is not None
    assert reasons == Counter(
        {
            "no_graphic": 11,
            "link_in_caption": 7,
            "missing_file": 4,
            "not_in_figure": 3,
            "no_ghostscript": 0 if drawn else 24,
        }
    )
    kept = {(p.name, image) for p in papers(folder, True) for image in p.files() if not image.endswith(".eps")}
    assert present - kept == {
        ("wrapfig-2310.06825", "images/header.jpeg")
    }  # it stands before the title, without caption


def test_missing_images_are_those_of_the_table(folder: Path, table: dict[str, list[str]]) -> None:
    """The table also counts what the arguments of macros look like (neural-fingerprints), and an included file."""
    missing = Counter(
        paper.name
        for paper in papers(folder, True)
        for item, error in paper.result.errors()
        if error == "missing_file" and item.startswith("fig")
    )
    listed = {name: int(row[5]) for name, row in table.items() if row[5].isdigit()}
    assert {name: missing[name] for name in listed} == listed | {"neural-fingerprints": 0, "sympy-peerj": 0}
    assert set(missing) <= set(listed)


def test_no_caption_is_borrowed_or_lost(folder: Path) -> None:
    """The words of a caption stand, in order, in a float that names its file; and the float has no other figure's."""
    for paper in papers(folder, True):
        for row in paper.result.found:
            stem = Path(row["extra"]["file"]).stem
            words = [word for word in WORD.findall(row["caption"]) if word in paper.words]
            around = [text for text in paper.floats if stem in text]
            assert not around or max(_share(words, text) for text in around) > 0.8, (paper.name, stem, row["caption"])


def test_words_are_not_merged(folder: Path) -> None:
    """All words of captions stand in the source, but for those that macros and symbols give."""
    captions = [(p.name, row["caption"]) for p in papers(folder, True) for row in p.result.found]
    words = [(name, word) for name, caption in captions for word in WORD.findall(MARK.sub("", caption))]
    known = {p.name: p.words for p in papers(folder, True)}
    strange = Counter(word for name, word in words if word not in known[name])
    assert sum(strange.values()) < 0.002 * len(words), strange


def test_text_is_readable(folder: Path) -> None:
    for paper in papers(folder, True):
        for row in paper.result.found:
            for text in (row["caption"], row["context"] or "", row["extra"].get("title", "")):
                assert not re.search(r"\\[A-Za-z]|\$|[ \t]{2}|curation", text), (paper.name, text)


def test_identity_and_context_are_kept(folder: Path) -> None:
    rows = [row for paper in papers(folder, True) for row in paper.result.found]
    rows = [row for row in rows if row["extra"].get("drawn_from") != "eps"]  # which are 24, or none without Ghostscript
    assert all(row["document"] for row in rows)
    assert sum(row["context"] is not None for row in rows) > 0.97 * len(rows)
    assert sum("title" in row["extra"] for row in rows) > 0.97 * len(rows)
    by_paper = {row["document"]: row for row in rows}
    assert by_paper["elsarticle-1803.07574/main"]["license_group"] == "noncommercial"


def _share(words: list[str], text: str) -> float:
    """How many of these words stand in a text in their order."""
    blocks = SequenceMatcher(None, words, WORD.findall(text), autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / max(1, len(words))
