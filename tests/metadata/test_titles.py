"""Titles by page views: hourly and daily files, the rules of both papers, bad rows and cut files."""

import bz2
import gzip
from collections import Counter

import pytest

from curation.metadata.titles import count_views

HOURLY = """de Hund 20 100
de Hund 0 100
de.m Hund 5 0
de.b Hund 99 0
en Red_dog 60 100
en Red_dog 49 100
en.m Red_dog 70 100
en Special:Search 900 100
en !!! 80 1
en.zero Dog 70 100
fr Chien 70 100
de Katze viele 3
de Katze 3
de K\u00e4tzchen 7 1
"""
DAILY = """de.wikipedia Hund 7 desktop 30 A10B20
de.wikipedia Hund null mobile-web 4 C4
en.wikipedia Dog 9 desktop 140 A60B20X60
en.wikipedia Dog 9 mobile-web 500 A500
fr.wikipedia Chien 1 desktop 70 A70
de.wikipedia Katze 1 desktop x A1
"""


def counted(path, row_views=(("de", 1), ("en", 50)), desktop=("en",), longest=256):
    titles, read = {}, Counter()
    for batch in count_views(dict(row_views), set(desktop), longest)({"uri": str(path)}):
        for row in batch.to_pylist():
            assert row["next"] is None or row["language"] is None
            if row["language"] is None:
                read[row["next"]] += row["count"]
            else:
                titles[row["language"], row["word"]] = titles.get((row["language"], row["word"]), 0) + row["count"]
    return titles, read


@pytest.mark.parametrize("name", ["pageviews-20240501-000000", "pageviews.gz", "pageviews.bz2"])
def test_hourly_files(tmp_path, name):
    data = HOURLY.encode()
    pack = {".gz": gzip.compress, ".bz2": bz2.compress}.get((tmp_path / name).suffix, bytes)
    (tmp_path / name).write_bytes(pack(data + b"de \xff 3 1\n"))
    titles, read = counted(tmp_path / name)
    assert titles == {("de", "Hund"): 25, ("en", "Red dog"): 60, ("de", "K\u00e4tzchen"): 7}
    assert read == {"rows": 8, "bad_row": 3}


def test_daily_files(tmp_path):
    (tmp_path / "pageviews-20240501-user.bz2").write_bytes(bz2.compress(DAILY.encode()))
    titles, read = counted(tmp_path / "pageviews-20240501-user.bz2")
    assert titles == {("de", "Hund"): 34, ("en", "Dog"): 120}
    assert read == {"rows": 4, "bad_row": 1}


def test_a_file_that_is_cut_gives_what_comes_before(tmp_path):
    data = gzip.compress(HOURLY.encode() * 5000)
    (tmp_path / "cut.gz").write_bytes(data[: len(data) // 2])
    titles, read = counted(tmp_path / "cut.gz")
    assert read["corrupt_stream"] == 1 and 0 < titles["de", "Hund"] < 25 * 5000


def test_long_lines_and_long_titles_are_left_out(tmp_path):
    (tmp_path / "a").write_text(f"de {'x' * 200_000} 7 1\nde {'y' * 300} 7 1\nde Hund 7 1\n")
    titles, read = counted(tmp_path / "a")
    assert titles == {("de", "Hund"): 7} and read["too_large"] == 1


def test_few_titles_are_held_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("curation.metadata.titles.HELD", 3)
    (tmp_path / "a").write_text("".join(f"de T{n % 10} 1 1\n" for n in range(100)))
    assert counted(tmp_path / "a")[0] == {("de", f"T{n}"): 10 for n in range(10)}
