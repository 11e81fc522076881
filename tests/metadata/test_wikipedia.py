"""Dumps: every form and every cut into ranges gives the same articles; damage costs what it damages."""

import bz2
import gzip
import itertools
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import RecipeError
from curation.metadata import wikipedia
from curation.metadata.wikipedia import PAGE_BYTES, Article, Range, articles, ranges
from tests.metadata.dumps import HEAD, TAIL, page, streams, write

PAGES = [page(f"T{n}", f"Text {n} of [[Hund|dogs]].") for n in range(20)]


def read(path, cuts=()):
    """Everything in a dump, read in ranges with the given inner bounds."""
    (whole,) = ranges(str(path))
    bounds = [0, *sorted(cuts), whole.stop]
    parts = (whole._replace(start=start, stop=stop) for start, stop in itertools.pairwise(bounds))
    return [item for part in parts for item in articles(part)]


def codes(found):
    return [item.code for item in found if not isinstance(item, Article)]


def titles(found):
    return [item.title for item in found if isinstance(item, Article)]


@pytest.mark.parametrize("name", ["d.xml", "d.xml.gz", "d-multistream.xml.bz2"])
def test_every_form_gives_the_articles(tmp_path, name):
    found = read(write(tmp_path / name, PAGES))
    assert found == [Article(f"T{n}", f"Text {n} of dogs.") for n in range(20)]


@given(st.data())
@settings(max_examples=60)
def test_ranges_share_a_dump_without_gap_or_overlap(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("dump")
    name = data.draw(st.sampled_from(["d.xml", "d.xml.bz2"]))
    path = folder / name
    write(path, PAGES, data.draw(st.integers(1, 7)))
    cuts = data.draw(st.lists(st.integers(0, path.stat().st_size), max_size=5))
    assert titles(read(path, cuts)) == [f"T{n}" for n in range(20)]


@pytest.mark.parametrize("size", [7, 64, 101])
def test_the_head_of_a_stream_may_lie_in_two_reads(tmp_path, monkeypatch, size):
    path = write(tmp_path / "d.xml.bz2", PAGES)
    monkeypatch.setattr(wikipedia, "READ_BYTES", size)
    assert titles(read(path, range(50, 2000, 97))) == [f"T{n}" for n in range(20)]


@given(st.lists(st.integers(1, 4000), max_size=6), st.lists(st.integers(0, 3000), max_size=4))
@settings(max_examples=60)
def test_pages_that_cross_streams_are_read_once(tmp_path_factory, places, cuts):
    """As pbzip2 cuts a dump: anywhere."""
    text = (HEAD + "".join(PAGES) + TAIL).encode()
    bounds = [0, *sorted(place % len(text) for place in places), len(text)]
    path = tmp_path_factory.mktemp("dump") / "d.xml.bz2"
    path.write_bytes(b"".join(bz2.compress(text[start:stop]) for start, stop in itertools.pairwise(bounds)))
    size = path.stat().st_size
    found = read(path, [cut % size for cut in cuts])
    assert titles(found) == [f"T{n}" for n in range(20)] and codes(found) == []


def test_what_is_no_article(tmp_path):
    pages = [page("R", "#REDIRECT [[x]]", redirect=True), page("Datei:x", "t", namespace=6), page("E", ""), PAGES[0]]
    found = read(write(tmp_path / "d.xml.bz2", pages))
    assert codes(found) == ["redirect", "other_namespace", "no_text"] and titles(found) == ["T0"]


def test_links_into_the_wikis_own_namespaces_go(tmp_path):
    text = "a [[Datei:x.jpg|mini|ein Hund]] b [[Kategorie:Hund]] [[File:y.jpg|z]]"
    assert read(write(tmp_path / "d.xml.bz2", [page("T", text)]))[0].text.split() == ["a", "b"]


def test_a_stream_cut_in_the_middle_costs_its_pages(tmp_path):
    made = streams(PAGES, 4)
    made[2] = made[2][: len(made[2]) // 2]
    (tmp_path / "d.xml.bz2").write_bytes(b"".join(made))
    found = read(tmp_path / "d.xml.bz2")
    assert codes(found) == ["corrupt_stream"]
    assert titles(found) == [f"T{n}" for n in range(20) if n not in range(4, 8)]


def test_a_dump_cut_at_its_end(tmp_path):
    made = streams(PAGES, 4)
    (tmp_path / "d.xml.bz2").write_bytes(b"".join(made[:-1])[:-60])
    found = read(tmp_path / "d.xml.bz2")
    assert "corrupt_stream" in codes(found) and titles(found) == [f"T{n}" for n in range(16)]
    (tmp_path / "d.xml.gz").write_bytes(gzip.compress(_text())[:-80])
    found = read(tmp_path / "d.xml.gz")
    assert "corrupt_stream" in codes(found) and titles(found)[:5] == [f"T{n}" for n in range(5)]
    (tmp_path / "d.xml").write_bytes(_text()[:-50])
    found = read(tmp_path / "d.xml")
    assert (codes(found), len(titles(found))) == (["bad_page"], 19)


def _text():
    return (HEAD + "".join(PAGES) + TAIL).encode()


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (PAGES[1].replace("</title>", ""), "bad_xml"),
        (PAGES[1].replace("Text", "T\x00ext"), "bad_xml"),
        (PAGES[1].replace("Text", "&undefined;"), "bad_xml"),
        (PAGES[1].replace("<ns>0</ns>", ""), "bad_page"),
        (PAGES[1].replace("</page>", ""), "bad_page"),
        (PAGES[1].replace("<text", "<!DOCTYPE a [<!ENTITY b 'c'>]><text"), "bad_xml"),
    ],
)
def test_a_broken_page_costs_itself(tmp_path, bad, code):
    for name in ("d.xml", "d.xml.bz2"):
        found = read(write(tmp_path / name, [PAGES[0], bad, PAGES[2]], of=1))
        assert (titles(found), codes(found)) == (["T0", "T2"], [code])


def test_bytes_that_are_no_text_cost_their_page(tmp_path):
    data = _text().replace(b"Text 3", b"Te\xff\xfe3")
    (tmp_path / "d.xml.bz2").write_bytes(bz2.compress(data))
    found = read(tmp_path / "d.xml.bz2")
    assert codes(found) == ["bad_xml"] and len(titles(found)) == 19


@pytest.mark.parametrize("name", ["d.xml.gz", "d.xml.bz2"])
def test_a_page_of_100_megabytes_costs_itself_and_no_memory(tmp_path, name):
    begin, end = page("Huge", "x").split(">x<")
    parts = [(HEAD + PAGES[0] + begin + ">").encode(), b"dog " * (1 << 18), ("<" + end + PAGES[1] + TAIL).encode()]
    first, piece, last = map(gzip.compress if name.endswith("gz") else bz2.compress, parts)
    path = tmp_path / name
    path.write_bytes(first + piece * 100 + last)
    tracemalloc.start()
    found = read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (titles(found), codes(found)) == (["T0", "T1"], ["too_large"])
    assert peak < 6 * PAGE_BYTES


def test_large_files_are_cut_into_ranges(tmp_path, monkeypatch):
    monkeypatch.setattr(wikipedia, "RANGE_BYTES", 500)
    path = write(tmp_path / "d.xml.bz2", PAGES)
    parts = ranges(path)
    assert len(parts) > 3 and [part.start for part in parts[1:]] == [part.stop for part in parts[:-1]]
    assert parts[0].start == 0 and parts[-1].stop == (tmp_path / "d.xml.bz2").stat().st_size
    assert [t for part in parts for t in titles(articles(part))] == [f"T{n}" for n in range(20)]
    assert len(ranges(write(tmp_path / "d.xml.gz", PAGES))) == 1


def test_a_single_stream_is_read_by_the_range_it_begins_in(tmp_path):
    path = tmp_path / "d.xml.bz2"
    path.write_bytes(bz2.compress(_text()))
    half = path.stat().st_size // 2
    names = ranges(str(path))[0].namespaces
    assert len(titles(articles(Range(str(path), 0, half, names)))) == 20
    assert list(articles(Range(str(path), half, 2 * half, names))) == []


def test_files_that_are_no_dump_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="no file"):
        ranges(str(tmp_path / "none.xml.bz2"))
    for name, data in {"a.xml": b"<html>", "b.xml.bz2": b"no stream", "c.xml": b""}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(RecipeError, match="no <mediawiki>"):
            ranges(str(tmp_path / name))
