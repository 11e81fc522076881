"""Views of article titles, from the page-view dumps of Wikimedia.

Hourly files (pagecounts, pageviews) have lines `PROJECT TITLE VIEWS BYTES`; daily ones (pageviews-complete) have
`WIKI TITLE PAGE DEVICE VIEWS HOURS`, with a letter and the views of each hour, `A12C3`. Plain, .gz or .bz2.
"""

import bz2
import gzip
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import BinaryIO

import fsspec
import pyarrow as pa

from curation.metadata.counting import HELD, Unit, batches, tallies
from curation.methods.ngrams import is_punctuation
from curation.sources.packing import CUT

LINE_BYTES = 1 << 16  # assumption: titles have at most 255 bytes, hours some hundred
HOUR = re.compile(rb"[A-X](\d+)")
Key = tuple[str, str]  # language and title


def count_views(
    row_views: dict[str, int], desktop: set[str], longest: int
) -> Callable[[Unit], Iterator[pa.RecordBatch]]:
    """A function that sums the views of each title in a unit, a file: rows of COUNTS.

    `row_views` has the languages, each with the views that an hour needs to count; of those in `desktop` the mobile
    site does not count. Titles with a colon, of punctuation alone and longer ones are left out, "_" is a blank.
    """
    projects = {f"{language}{site}".encode(): language for language in row_views for site in ("", ".wikipedia")}
    projects |= {f"{language}.m".encode(): language for language in row_views if language not in desktop}

    def count(unit: Unit) -> Iterator[pa.RecordBatch]:
        held: Counter[Key] = Counter()
        read: Counter[str] = Counter()
        for line in _lines(unit["uri"], read):
            fields = line.split(b" ")
            language = projects.get(fields[0])
            if language is None:
                continue
            try:
                views = _views(fields, row_views[language], language in desktop)
                title = fields[1].decode() if views else ""
            except (ValueError, IndexError):  # a number or a text that is none; too few fields
                read["bad_row"] += 1
                continue
            read["rows"] += 1
            if views and b":" not in fields[1]:
                held[language, title.replace("_", " ").strip()] += views
            if len(held) >= HELD:
                yield from _flushed(held, longest)
        yield from _flushed(held, longest)
        yield from tallies(unit["uri"], read)

    return count


def _views(fields: list[bytes], least: int, desktop: bool) -> int:
    """The views of a row that count, 0 if none do; ValueError where it is no row."""
    if len(fields) == 4:
        views = int(fields[2])
        return views if views >= least else 0
    if len(fields) != 6:
        raise ValueError
    views = int(fields[4])
    if desktop and fields[3] != b"desktop":
        return 0
    return views if least <= 1 else sum(hour for hour in map(int, HOUR.findall(fields[5])) if hour >= least)


def _flushed(held: Counter[Key], longest: int) -> Iterator[pa.RecordBatch]:
    kept = ((key, views) for key, views in held.items() if len(key[1]) <= longest and not is_punctuation(key[1]))
    yield from batches((*key, None, views) for key, views in kept)
    held.clear()


def _lines(uri: str, read: Counter[str]) -> Iterator[bytes]:
    """The lines of a file, without their ends; a longer line, and the end of a file that is cut, are counted."""
    with fsspec.open(uri, "rb") as file, _unpacked(file, os.path.splitext(uri)[1]) as plain:
        try:
            while line := plain.readline(LINE_BYTES):
                if line.endswith(b"\n") or len(line) < LINE_BYTES:
                    yield line.rstrip(b"\r\n")
                    continue
                read["too_large"] += 1
                while line and not line.endswith(b"\n"):
                    line = plain.readline(LINE_BYTES)
        except CUT:
            read["corrupt_stream"] += 1


def _unpacked(file: BinaryIO, ending: str) -> BinaryIO:
    opened = {".gz": gzip.open, ".bz2": bz2.open}
    return opened[ending](file) if ending in opened else file
