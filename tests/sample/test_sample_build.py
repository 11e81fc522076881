"""The web archives and caption tables: read back by other readers, equal bytes twice, the real packages' counts."""

import csv
import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import build
import pytest
import tables
import titles
import warcs
from fastwarc import ArchiveIterator
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

PAGE = """<html><head>{head}</head><body><img src="images/a.png" alt="a red square"/>
<img src="images/a.png" alt="again"/>
<img src="images/b%20c.jpg" alt="a blue one"><img src="x.svg" alt="s"><img src="gone.png" alt="g"><img alt="none">
</body></html>"""


@pytest.fixture
def manual(tmp_path: Path) -> warcs.Manual:
    """A manual of two languages; one page states its address."""
    for language, head in (("en", ""), ("fr", '<link rel="canonical" href="https://x.org/browse/fr/page.html">')):
        folder = tmp_path / "root/html" / language
        (folder / "images").mkdir(parents=True)
        (folder / "page.html").write_text(PAGE.format(head=head))
        Image.new("RGB", (9, 9), "red").save(folder / "images/a.png")
        Image.new("RGB", (9, 9), "blue").save(folder / "images/b c.jpg")
        (folder / "x.svg").write_text("<svg/>")
    return warcs.Manual("manual", "html", "https://x.org/")


def records(path: Path) -> Iterator[tuple[str, str, bytes]]:
    """(URL, content type, body) of the responses of an archive, payload digests checked."""
    with path.open("rb") as file:
        for record in ArchiveIterator(file):
            if record.headers["WARC-Type"] == "response":
                assert record.verify_payload_digest()
                yield record.headers["WARC-Target-URI"], record.http_content_type, record.reader.read()


def test_pages_and_pictures_are_found_where_the_pages_link_them(manual: warcs.Manual, tmp_path: Path) -> None:
    target = tmp_path / "out.warc.gz"
    counts = warcs.write_warc(manual, tmp_path / "root", target)
    assert counts == {"pages": 2, "images": 4, "svg_left_out": 2, "missing_left_out": 2, "bytes": target.stat().st_size}
    found = {url: (kind, body) for url, kind, body in records(target)}
    assert list(found) == [
        "https://x.org/en/page.html", "https://x.org/en/images/a.png",
        "https://x.org/en/images/b%20c.jpg", "https://x.org/browse/fr/page.html",
        "https://x.org/browse/fr/images/a.png", "https://x.org/browse/fr/images/b%20c.jpg",
    ]  # fmt: skip
    assert found["https://x.org/en/images/b%20c.jpg"][0] == "image/jpeg"
    assert found["https://x.org/en/images/a.png"][1] == (tmp_path / "root/html/en/images/a.png").read_bytes()


def test_another_reader_agrees(manual: warcs.Manual, tmp_path: Path) -> None:
    warcio = pytest.importorskip("warcio.archiveiterator")
    target = tmp_path / "out.warc.gz"
    warcs.write_warc(manual, tmp_path / "root", target)
    with target.open("rb") as file:
        theirs = [
            (record.rec_headers["WARC-Target-URI"], record.content_stream().read())
            for record in warcio.ArchiveIterator(file, check_digests="raise")
            if record.rec_type == "response"
        ]
    assert theirs == [(url, body) for url, _, body in records(target)]


def test_archives_are_equal_twice_and_seekable(manual: warcs.Manual, tmp_path: Path) -> None:
    first, second = tmp_path / "1/out.warc.gz", tmp_path / "2/out.warc.gz"
    for target in (first, second):
        target.parent.mkdir()
        warcs.write_warc(manual, tmp_path / "root", target)
    content = first.read_bytes()
    assert content == second.read_bytes()
    with first.open("rb") as file:
        offsets = [record.stream_pos for record in ArchiveIterator(file)]
    assert len(offsets) == 7 and len(set(offsets)) == 7
    assert all(content[offset + 4 : offset + 8] == bytes(4) for offset in offsets)  # no time (RFC 1952, 2.3.1)
    assert all(gzip.decompress(content[offset:]).startswith(b"WARC/1.1") for offset in offsets)


def test_one_language_only(manual: warcs.Manual, tmp_path: Path) -> None:
    counts = warcs.write_warc(manual, tmp_path / "root", tmp_path / "out.warc.gz", ["fr"])
    assert (counts["pages"], counts["images"]) == (1, 2)


STAMP = "A \t red fish.\nde.utf8=Ein roter Fisch.\npt_BR.utf8=Um peixe.\nca@valencia.utf8=\nzh_CN.utf8=红鱼\nnonsense\n"


@pytest.fixture
def stamps(tmp_path: Path) -> Path:
    """The packages' folder with two PNG stamps, one SVG stamp and one text without a picture."""
    folder = tmp_path / "packages/tuxpaint-stamps-default" / tables.STAMPS / "animals/fish"
    folder.mkdir(parents=True)
    for name in ("red", "blue", "vector", "lost"):
        (folder / f"{name}.txt").write_text(STAMP)
    for name in ("red", "blue"):
        Image.new("RGBA", (4, 4)).save(folder / f"{name}.png")
    (folder / "vector.svg").write_text("<svg/>")
    (tmp_path / "inputs").mkdir()
    return tmp_path / "packages"


def read_tsv(path: Path) -> list[dict[str, str]]:
    """The rows of a table."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, dialect="excel-tab"))


def test_a_stamp_has_a_row_per_language(stamps: Path) -> None:
    target = stamps.parent / "inputs/stamps.tsv"
    assert tables.write_stamps(stamps, target) == {"rows": 8, "images": 2, "languages": 4, "svg_left_out": 1}
    rows = read_tsv(target)
    assert [(row["language"], row["caption"]) for row in rows[:4]] == [
        ("en", "A red fish."), ("de", "Ein roter Fisch."), ("pt_BR", "Um peixe."), ("zh_CN", "红鱼"),
    ]  # fmt: skip
    assert {row["category"] for row in rows} == {"animals/fish"}
    assert {row["path"] for row in rows} == {"stamps/animals/fish/blue.png", "stamps/animals/fish/red.png"}
    assert all((target.parent / row["path"]).is_file() for row in rows)
    first = target.read_bytes()
    tables.write_stamps(stamps, target)
    assert target.read_bytes() == first


@settings(deadline=None)
@given(st.lists(st.text("abc", min_size=1), unique=True, min_size=1), st.integers(1, 9))
def test_fewer_captions_are_a_subset_that_keeps_english(languages: list[str], count: int) -> None:
    captions = [("en", "x"), *((language, "y") for language in languages)]
    few, more = tables.drawn(captions, "a", count), tables.drawn(captions, "a", count + 1)
    assert few[0] == ("en", "x") and len(few) == min(count, len(captions))
    assert set(few) <= set(more)
    assert few == [row for row in captions if row in set(few)]
    assert tables.drawn(captions, "a", None) == captions


def test_the_real_stamps_speak_78_languages(real: Path, tmp_path: Path) -> None:
    counts = tables.write_stamps(real, tmp_path / "stamps.tsv")
    assert counts["languages"] == 78 and counts["images"] > 700 and counts["rows"] > 50_000
    few = tables.write_stamps(real, tmp_path / "few.tsv", 4)
    assert few["rows"] == 4 * few["images"] and few["languages"] > 70


def test_titles_come_from_where_they_are_right(work: Path) -> None:
    found = {drawing.file.stem: drawing for drawing in titles.drawings(work / "packages")}
    assert "link" not in found
    assert found["dog_01"].caption == "dog" and found["dog_01"].category == "animals"
    assert found["gatto_a_pain_01"].caption == "gatto"  # no title: the file's name without its author
    assert found["apple_b_drawer_01"].caption == "apple"  # the title is a collection's


def test_clip_art_must_be_english(work: Path, tmp_path: Path) -> None:
    counts = tables.write_openclipart(work / "packages", tmp_path / "clipart.tsv")
    assert sorted(row["caption"] for row in read_tsv(tmp_path / "clipart.tsv")) == ["apple", "dog", "dog"]
    assert counts["not_english_left_out"] == 2


def test_a_missing_package_is_named_with_the_command(tmp_path: Path) -> None:
    command = [sys.executable, Path(build.__file__), "--work", tmp_path, "stamps"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"sample/fetch.py --work {tmp_path} tuxpaint-stamps-default" in done.stderr


def test_the_command_prints_one_line(stamps: Path) -> None:
    (stamps / "tuxpaint-stamps-default/_done.json").write_text("{}")
    command = [sys.executable, Path(build.__file__), "--work", stamps.parent, "--stamp-captions", "2", "stamps"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["stamps"]["rows"] == 4
