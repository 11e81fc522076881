"""JSON as rows of a table: JSON Lines, and lists of objects, of which no more than one is held at a time."""

import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any, TextIO

import orjson
import pyarrow as pa

from curation.errors import BadItemError
from curation.sources.columns import WEB_URL, json_text
from curation.sources.found import Reject, encodable
from curation.sources.layout import Layout, may_be_lists, may_have_role
from curation.sources.lines import BAD_FILE, END, LINE_CHARS, Chunk, read_lines, row_chunks

LIST_START = re.compile(r"\s*\[\s*(?=\{)")
ANNOTATIONS = re.compile(r'"annotations"\s*:\s*\[\s*(?=\{)')
SEPARATOR = re.compile(r"\s*,?\s*")
DECODER = json.JSONDecoder()
IS_URL = re.compile(WEB_URL)


def json_chunks(file: TextIO, named: Layout) -> Iterator[Chunk]:
    """JSON Lines; a line that is no JSON object is rejected as `bad_json`. Blank lines are no rows.

    The columns of captions and images, by the usual names and those NAMED, may hold lists.
    """
    records = (_json_record(line) for line in read_lines(file) if isinstance(line, Reject) or not line.isspace())
    return row_chunks(records, partial(_json_batch, named=named))


def json_list_chunks(file: TextIO, named: Layout) -> Iterator[Chunk]:
    """The objects of a JSON list: the whole text or, as in RedCaps and COCO, the value of `annotations`."""
    return row_chunks(_json_items(file), partial(_json_batch, named=named))


def json_list_start(file: TextIO) -> str | None:
    """A JSON text from the first object of its list of objects on, as far as it was read; null where it has none."""
    head = file.read(LINE_CHARS)
    found = LIST_START.match(head) or ANNOTATIONS.search(head)
    return head[found.end() :] if found else None


def _json_items(file: TextIO) -> Iterator[tuple[int, dict | Reject]]:
    """The items of a list one after another: no more of the text is held than one of them may take."""
    text, place, ended = json_list_start(file), 0, False
    if text is None:
        yield 0, Reject("", BAD_FILE, "wanted a JSON list of objects, or an object with one under `annotations`")
        return
    while not text.startswith("]", place):
        value, end = _json_at(text, place)
        if end == len(text) and not ended and (value is not END or end - place <= LINE_CHARS):
            more = file.read(LINE_CHARS)  # the item, or what parts it from the next, may go on
            ended = not more
            text, place = text[place:] + more, 0
        elif value is END:  # where a broken item ends cannot be told
            yield 0, Reject("", BAD_FILE, f"the list is cut or broken: {text[place : place + 100]}")
            return
        else:
            yield end - place, value if isinstance(value, dict) else Reject("", "bad_json", f"no object: {value}")
            place = end


def _json_at(text: str, place: int) -> tuple[Any, int]:
    """The JSON value that begins there and where the next begins; END where it does not end."""
    try:
        value, end = DECODER.raw_decode(text, place)
    except (ValueError, RecursionError):
        return END, len(text)
    return value, SEPARATOR.match(text, end).end()


def _json_record(line: str | Reject) -> tuple[int, dict | Reject]:
    if isinstance(line, Reject):
        return 0, line
    try:
        return len(line), json_object(line)
    except BadItemError as error:
        return 0, Reject("", error.code, error.detail)


def json_object(text: str) -> dict[str, Any]:
    """A JSON object as a dict; BadItemError `bad_json` for anything else. NaN and lone surrogates are let through."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:  # stricter than most writers
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadItemError("bad_json", f"{error}: {text[:100]}") from error
    if not isinstance(value, dict):
        raise BadItemError("bad_json", f"wanted an object, found {text[:100]}")
    return value


def _json_batch(rows: list[dict], named: Layout) -> pa.RecordBatch:
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = [_json_column([row.get(name) for row in rows], name, named) for name in names]
    return pa.RecordBatch.from_arrays(columns, [encodable(name) for name in names])


def _json_column(values: list[Any], name: str, named: Layout) -> pa.Array:
    """Texts, or lists of texts where they may be and one holds several; other values become JSON, null stays null.

    Of URLs one list would make lists of all: they stay texts. Where a column may have a role, a list of one text is
    that text and an empty one null.
    """
    if may_have_role(name, named):
        values = list(map(_alone, values))
    lists = [value for value in values if isinstance(value, list)] if may_be_lists(name, named) else []
    texts = [item for value in lists for item in value if isinstance(item, str)]
    if texts and not any(map(IS_URL.match, texts)):
        rows = (value if isinstance(value, list | None) else [value] for value in values)
        found = [row and [_json_scalar(item) for item in row] for row in rows]
        return pa.array(encodable(found), pa.list_(pa.string()))
    return pa.array(encodable([_json_scalar(value) for value in values]), pa.string())


def _alone(value: Any) -> Any:
    """The text in a list of one, null for an empty list; any other value itself."""
    is_alone = isinstance(value, list) and (not value or (len(value) == 1 and isinstance(value[0], str | None)))
    return next(iter(value), None) if is_alone else value


def _json_scalar(value: Any) -> str | None:
    return value if isinstance(value, str | None) else json_text(value)
