"""Columns of a table as Arrow arrays: any type as text, captions checked, what is left over as a map."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.schema import CAPTIONS, EXTRA
from curation.sources.found import CAPTION_CHARS, license_group

URL_BYTES = 8192  # RFC 9110, 4.1: at least 8,000 octets should be supported; servers refuse longer ones
WEB_URL = r"^(?i:https?)://[^/?#\s\x00][^\x00]*$"  # NUL parts the identity from the caption in a uid


def as_text(column: pa.Array) -> pa.Array:
    """A column of any type as strings, null staying null: bytes are UTF-8, nested values become JSON.

    Bytes that are not UTF-8 are replaced by U+FFFD, also in columns that claim to be strings. Bytes of a fixed size are
    digests and become hex; UUIDs are written as such.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if isinstance(column.type, pa.UuidType):
        return pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string())
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    kind = column.type
    if pa.types.is_fixed_size_binary(kind):
        return pa.array([None if v is None else v.hex() for v in column.to_pylist()], pa.string())
    if pa.types.is_nested(kind):
        return pa.array([None if v is None else json_text(v) for v in column.to_pylist()], pa.string())
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)) and not (
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    ):
        return column.cast(pa.string())
    raw = column.cast(pa.binary())
    try:
        return raw.cast(pa.string())  # only this direction checks that the bytes are UTF-8
    except pa.ArrowInvalid:
        return pa.array([None if v is None else v.decode("utf-8", "replace") for v in raw.to_pylist()], pa.string())


def text_where_possible(column: pa.Array) -> pa.Array:
    """As `as_text`, and null where a value has no text: a date that Python cannot hold, an unknown time zone."""
    try:
        return as_text(column)
    except (pa.ArrowException, OverflowError, ValueError, KeyError):
        if len(column) < 2:
            return pa.nulls(len(column), pa.string())
        half = len(column) // 2
        return pa.concat_arrays([text_where_possible(part) for part in (column[:half], column[half:])])


def json_text(value: Any) -> str:
    """A value as JSON text; what JSON cannot hold (dates) as its string, bytes that are no UTF-8 as null."""
    return json.dumps(value, ensure_ascii=False, default=_json_default)


def _json_default(value: Any) -> str | None:
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def checked_captions(text: pa.Array) -> tuple[pa.Array, pa.Array | None, pa.Array]:
    """Captions as stored, the length before the cut (null unless cut), and what is wrong with each (null if nothing).

    The rule of `found.caption_text` for a whole column: NUL removed, 4,096 characters kept, at least one letter.
    """
    if pc.any(pc.match_substring(text, "\0")).as_py():
        text = pc.replace_substring(text, "\0", "")
    cut = None
    if (pc.max(pc.binary_length(text)).as_py() or 0) > CAPTION_CHARS:
        length = pc.utf8_length(text)
        long = pc.greater(length, CAPTION_CHARS)
        cut = pc.if_else(long, length.cast(pa.string()), pa.scalar(None, pa.string()))
        text = pc.if_else(long, pc.utf8_slice_codeunits(text, 0, CAPTION_CHARS), text)
    letters = pc.fill_null(pc.match_substring_regex(text, r"\p{L}"), False)
    blank = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(text), ""), True)
    error = pc.if_else(letters, pa.scalar(None, pa.string()), pc.if_else(blank, "no_caption", "no_letters"))
    return text, cut, error


def checked_urls(text: pa.Array) -> tuple[pa.Array, pa.Array]:
    """URLs without blanks around them, null where unusable, and why: `no_url`, or `bad_url` (not http or https)."""
    url = pc.utf8_trim_whitespace(text)
    short = pc.less_equal(pc.binary_length(url), URL_BYTES)
    good = pc.fill_null(pc.and_(pc.match_substring_regex(url, WEB_URL), short), False)
    none = pa.scalar(None, pa.string())
    missing = pc.fill_null(pc.equal(url, ""), True)
    error = pc.if_else(good, none, pc.if_else(missing, "no_url", "bad_url"))
    return pc.if_else(good, url, none), error


def license_groups(license: pa.Array) -> pa.Array:
    """The licence group of each text; every distinct text is looked at once."""
    encoded = license.dictionary_encode()
    groups = pa.array([license_group(value) for value in encoded.dictionary.to_pylist()], pa.string())
    return groups.take(encoded.indices)


def one_caption_a_row(batch: pa.RecordBatch, name: str, numbers: np.ndarray) -> tuple[pa.RecordBatch, np.ndarray]:
    """A row and its number for each caption, where column `name` holds lists of them; an empty list leaves a null."""
    column = batch.column(name)
    counts = np.asarray(pc.fill_null(pc.list_value_length(column), 0))
    rows = np.repeat(np.arange(len(counts)), np.maximum(counts, 1))
    position = np.zeros(len(rows), np.int64)
    filled = np.repeat(counts > 0, np.maximum(counts, 1))
    position[filled] = np.arange(counts.sum())
    captions = pc.list_flatten(column).take(pa.array(position, mask=~filled))
    spread = batch.take(pa.array(rows))
    return spread.set_column(batch.schema.get_field_index(name), name, captions), numbers[rows]


def other_captions(texts: dict[str, pa.Array], taken: pa.Array, languages: dict[str, str | None]) -> pa.Array:
    """Rows of PAIRS' `captions`, or null: all texts of a row, by column, but blank ones and those equal to `taken`.

    A column may hold lists of texts. `kind` is the name of the column, `language` what `languages` says of it.
    """
    rows, kinds, found = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [pa.array([], pa.string())]
    for number, column in enumerate(texts.values()):
        row = np.arange(len(column))
        if pa.types.is_nested(column.type):
            row, column = np.asarray(pc.list_parent_indices(column)), pc.list_flatten(column)
        text = as_text(column)
        same = pc.equal(text, taken.take(pa.array(row)))
        blank = pc.equal(pc.utf8_trim_whitespace(text), "")
        good = pc.invert(pc.fill_null(pc.or_kleene(same, blank), True))
        good = pc.and_(good, text.is_valid()).to_numpy(zero_copy_only=False)
        rows.append(row[good])
        kinds.append(np.full(good.sum(), number))
        found.append(text.filter(pa.array(good)))
    row, kind = np.concatenate(rows), np.concatenate(kinds)
    order = np.argsort(row, kind="stable")  # by row, and there as the columns stand
    kind = pa.array(kind[order])
    fields = {
        "text": pc.utf8_slice_codeunits(pa.concat_arrays(found).take(pa.array(order)), 0, CAPTION_CHARS),
        "kind": pa.array(list(texts), pa.string()).take(kind),
        "model": pa.nulls(len(order), pa.string()),
        "language": pa.array([languages[name] for name in texts], pa.string()).take(kind),
        "negative": pa.nulls(len(order), pa.bool_()),
    }
    counts = np.bincount(row, minlength=len(taken))
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    entries = pa.StructArray.from_arrays(list(fields.values()), fields=list(CAPTIONS.value_type))
    return pa.ListArray.from_arrays(pa.array(offsets), entries, type=CAPTIONS, mask=pa.array(counts == 0))


def extra_map(columns: dict[str, pa.Array], rows: int) -> pa.Array:
    """One map of name to text per row, nulls left out; a row without any is null."""
    if not columns or not rows:
        return pa.nulls(rows, EXTRA)
    values = pa.concat_arrays(list(columns.values()))
    # The arrays lie one after another; a row's values are one from each.
    by_row = np.arange(len(columns) * rows).reshape(len(columns), rows).T.ravel()
    present = np.asarray(values.is_valid())[by_row]
    chosen = pa.array(by_row[present])
    names = pa.array(list(columns), pa.string()).take(pa.array(np.tile(np.arange(len(columns)), rows)[present]))
    counts = present.reshape(rows, len(columns)).sum(axis=1)
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    return pa.MapArray.from_arrays(
        pa.array(offsets), names, values.take(chosen), type=EXTRA, mask=pa.array(counts == 0)
    )
