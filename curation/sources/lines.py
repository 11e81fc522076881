"""Tables that are lines of text as record batches, of CSV and TSV all of it; a bad line costs that line.

A CSV record may run over several lines (RFC 4180). A quote that is never closed would swallow the rest of the file,
so the record is only believed if it closes within MORE_LINES lines and has as many fields as the first record; else its
first line alone is rejected. TSV has no quotes (IANA text/tab-separated-values): they are part of the text.
"""

import contextlib
import csv
import io
import itertools
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TextIO

import fsspec
import pyarrow as pa

from curation.sources.columns import WEB_URL
from curation.sources.found import Reject
from curation.sources.packing import CUT, packing, unpacking

LINE_CHARS = 4 << 20  # assumption: four times the longest caption that is read at all
MORE_LINES = 100  # assumption: no caption has more line breaks
CHUNK_ROWS = 10_000
CHUNK_CHARS = 16 << 20  # what bounds memory where lines are long
HEAD_RECORDS = 20  # records that decide what a table without a header holds
DELIMITERS = ",\t;|"
BAD_FILE = "bad_file"
END = object()
IS_URL = re.compile(WEB_URL)
csv.field_size_limit(LINE_CHARS)  # else 128 KiB


class Chunk(NamedTuple):
    """Some rows of a table, the row number of each (0 for the first row of the file), and what was rejected so far."""

    batch: pa.RecordBatch | None
    rows: list[int]
    bad: list[Reject]


@contextlib.contextmanager
def open_text(uri: str) -> Iterator[TextIO]:
    """A file as text: gzip and zstd are seen from the first bytes, as are UTF-16 and the mark of UTF-8; else UTF-8.

    Bytes that do not decode become U+FFFD. Lines end at a line feed.
    """
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(fsspec.open(uri, "rb"))
        packed = packing(file)
        raw = stack.enter_context(unpacking(file, packed) if packed else io.BufferedReader(file, 1 << 20))
        encoding = "utf-16" if raw.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        yield stack.enter_context(io.TextIOWrapper(raw, encoding, errors="replace", newline="\n"))


def csv_chunks(file: TextIO, *, tabs: bool) -> Iterator[Chunk]:
    """CSV or TSV; a line with another number of fields than the first is rejected as `bad_row`.

    The first line is the header, unless one of its fields is a URL. Without a header the columns are `url` (the one
    whose values look like URLs), `caption` (the first other one) and `column_N`.
    """
    records = _records(read_lines(file), quoted=not tabs, delimiter="\t" if tabs else None)
    head = list(itertools.islice(records, HEAD_RECORDS))
    good = [fields for _, fields in head if isinstance(fields, list)]
    names, header = _names(good)
    if len(head) == HEAD_RECORDS and not good:
        records = iter([(0, Reject("", BAD_FILE, f"none of its first {HEAD_RECORDS} records can be read"))])
    if len(head) == 1 and any("\r" in value for fields in good for value in fields):
        head = [(0, Reject("", BAD_FILE, "its lines end in carriage returns alone, wanted line feeds"))]
    head = [record for record in head if record[1] is not header]
    return row_chunks(itertools.chain(head, records), lambda rows: _text_batch(names, rows))


def read_lines(file: TextIO) -> Iterator[str | Reject]:
    """The lines of a file; a reject for one that is too long, and a last one where the file cannot be read on."""
    try:
        while line := file.readline(LINE_CHARS):
            if len(line) < LINE_CHARS or line.endswith("\n"):
                yield line
                continue
            while line and not line.endswith("\n"):
                line = file.readline(LINE_CHARS)
            yield Reject("", "too_large", f"a line of more than {LINE_CHARS} characters")
    except CUT as error:
        yield Reject("", BAD_FILE, str(error))


def row_chunks(records: Iterable[tuple[int, Any]], batch: Callable[[list], pa.RecordBatch]) -> Iterator[Chunk]:
    """Chunks of bounded size from (characters, record or Reject) of each row; `batch` makes a batch of records."""
    rows: list[Any] = []
    numbers: list[int] = []
    bad: list[Reject] = []
    size = 0
    for number, (chars, record) in enumerate(records):
        if isinstance(record, Reject):
            bad.append(record if record.error == BAD_FILE else record._replace(item=str(number)))
        else:
            rows.append(record)
            numbers.append(number)
        size += chars
        if len(rows) + len(bad) >= CHUNK_ROWS or size >= CHUNK_CHARS:
            yield Chunk(batch(rows) if rows else None, numbers, bad)
            rows, numbers, bad, size = [], [], [], 0
    if rows or bad:
        yield Chunk(batch(rows) if rows else None, numbers, bad)


def _records(
    lines: Iterator[str | Reject], *, quoted: bool, delimiter: str | None
) -> Iterator[tuple[int, list[str] | Reject]]:
    """The characters and the fields of each record, or why there are none. A null delimiter is seen from line one."""
    ahead: deque[str | Reject] = deque()
    width = None
    while (line := ahead.popleft() if ahead else next(lines, END)) is not END:
        if isinstance(line, Reject):
            yield 0, line
            continue
        text = line.rstrip("\r\n")
        if not text:
            continue
        delimiter = delimiter or next((d for d in DELIMITERS if d in text), ",")
        fields = _quoted(text, delimiter, width, (ahead, lines)) if quoted and '"' in text else text.split(delimiter)
        width = width or len(fields)
        if fields and len(fields) == width:
            yield len(text), fields
        else:
            found = f"{len(fields)} fields" if fields else "a quote that is not closed"
            yield 0, Reject("", "bad_row", f"{found}, wanted {width} fields: {text[:100]}")


def _quoted(text: str, delimiter: str, width: int | None, more: tuple[deque, Iterator[str | Reject]]) -> list[str]:
    """The fields of a record with quotes, which takes further lines from `more` if it must; none where it is broken."""
    fields = _parsed(text, delimiter)
    ahead, lines = more
    taken: list[str | Reject] = []
    is_open = not fields and text.count('"') % 2
    while is_open and len(taken) < MORE_LINES:
        line = ahead.popleft() if ahead else next(lines, END)
        if line is END:
            break
        taken.append(line)
        if isinstance(line, Reject) or len(text) + len(line) > LINE_CHARS:
            break
        text += "\n" + line.rstrip("\r\n")
        if line.count('"') % 2:
            fields = _parsed(text, delimiter)
            is_open = False
    if taken and len(fields) != (width or len(fields)):
        fields = []
    if not fields:
        ahead.extendleft(reversed(taken))
    return fields


def _parsed(text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        return []


def _names(rows: list[list[str]]) -> tuple[list[str], list[str] | None]:
    """The names of the columns, and the row that gave them; null where the table has no header."""
    if not rows:
        return [], None
    if not any(IS_URL.match(value) for value in rows[0]):
        given = [name.strip() or f"column_{i}" for i, name in enumerate(rows[0])]
        return [f"{name}_{i}" if name in given[:i] else name for i, name in enumerate(given)], rows[0]
    urls = [sum(bool(IS_URL.match(value)) for value in column) for column in zip(*rows)]
    names = [f"column_{i}" for i in range(len(urls))]
    url = urls.index(max(urls))
    names[url] = "url"
    if len(names) > 1:
        names[0 if url else 1] = "caption"
    return names, None


def _text_batch(names: list[str], rows: list[list[str]]) -> pa.RecordBatch:
    columns = [pa.array([value or None for value in column], pa.string()) for column in zip(*rows)]
    return pa.RecordBatch.from_arrays(columns, names)
