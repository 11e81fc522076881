"""Tables of captions with URLs, paths or image bytes: Parquet, Arrow, CSV, TSV, JSON Lines (also .gz and .zst), JSON.

URLs and captions pass as whole columns; rows are only looked at one by one where they carry images.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import BadItemError
from curation.schema import IMAGE
from curation.sources.columns import (
    as_text,
    checked_captions,
    checked_urls,
    extra_map,
    license_groups,
    one_caption_a_row,
    other_captions,
    text_where_possible,
)
from curation.sources.found import DETAIL_CHARS, FOUND, REJECTED, ImageSink, Reject, batches, until_broken
from curation.sources.layout import Layout, caption_kind, choose, element, is_bytes, language_of
from curation.sources.lines import Chunk, csv_chunks, open_text
from curation.sources.objects import json_chunks, json_list_chunks, json_list_start
from curation.sources.packing import CUT
from curation.sources.pictures import Picture, Pictures
from curation.sources.stored import arrow_chunks, parquet_chunks

LINES = (".csv", ".tsv", ".jsonl", ".ndjson")
SUFFIXES = (".parquet", ".arrow", ".json", *(suffix + packed for suffix in LINES for packed in ("", ".gz", ".zst")))
NOTHING = pa.scalar(None, pa.string())


def read(
    uri: str,
    images: ImageSink,
    *,
    caption_column: str | None = None,
    url_column: str | None = None,
    image_column: str | None = None,
    path_column: str | None = None,
    license_column: str | None = None,
    key_column: str | None = None,
    context_column: str | None = None,
    image_root: str | None = None,
) -> Iterator[pa.RecordBatch]:
    """The pairs of one table as FOUND batches, and REJECTED ones; memory does not grow with the file.

    Columns that are not named are found by their usual names; those with no role go to `extra`. A list of captions
    gives a pair each. Values of any other type count as their text, in JSON Lines also nested ones, as JSON. The
    identity is the URL, else the SHA-256 of the image. `document` is the key, else the number of the row, from 0.
    IMAGE_ROOT is where relative image paths begin (default: the table's folder); no path may leave it.
    """
    named = Layout(caption_column, url_column, image_column, path_column, license_column, key_column, context_column)
    layout, pictures = None, Pictures(images, uri, image_root)
    for chunk in until_broken(_chunks(uri, named)):
        yield from batches([chunk] if isinstance(chunk, Reject) else chunk.bad)
        if isinstance(chunk, Reject) or chunk.batch is None:
            continue
        try:
            layout = layout or choose(chunk.batch, named)
        except BadItemError as error:
            yield from batches([Reject("", error.code, error.detail)])
            return
        yield from _pairs(chunk, layout, pictures)


def looks(uri: str) -> bool | None:
    """Whether a file holds a table, as far as that has to be looked at: a .json may be anything."""
    if not uri.lower().endswith(".json"):
        return None
    try:
        with open_text(uri) as file:
            return json_list_start(file) is not None
    except (OSError, *CUT):
        return None


def _chunks(uri: str, named: Layout) -> Iterator[Chunk | Reject]:
    name = uri.lower().removesuffix(".gz").removesuffix(".zst")
    if name.endswith(".parquet"):
        yield from parquet_chunks(uri)
        return
    if name.endswith(".arrow"):
        yield from arrow_chunks(uri)
        return
    with open_text(uri) as file:
        if name.endswith("sv"):
            yield from csv_chunks(file, tabs=name.endswith(".tsv"))
        else:
            yield from (json_list_chunks if name.endswith(".json") else json_chunks)(file, named)


class _Images(NamedTuple):
    """What identifies each row's image and where it is; `error` says why there is none, `detail` more of it."""

    identity: pa.Array
    url: pa.Array
    pointer: pa.Array
    error: pa.Array
    detail: pa.Array


def _pairs(chunk: Chunk, layout: Layout, pictures: Pictures) -> Iterator[pa.RecordBatch]:
    batch, numbers = chunk.batch, np.asarray(chunk.rows)
    kind = _column(batch, layout.caption).type
    lists = element(kind) != kind
    if lists:
        batch, numbers = one_caption_a_row(batch, layout.caption, numbers)
    text, kinds = _captions(batch, layout)
    caption, cut, caption_error = checked_captions(text)
    found = _linked(batch, layout)
    if layout.image or layout.path:
        found = _with_images(found, _taken(batch, layout, pictures, numbers, caption_error))
    error = pc.coalesce(caption_error, found.error)
    good = error.is_null()
    kept = good.to_numpy(zero_copy_only=False)
    row = pa.array(numbers).cast(pa.string())
    if kept.any():
        license = as_text(_column(batch, layout.license))
        columns = {
            "identity": found.identity,
            "url": found.url,
            "image": found.pointer,
            "caption": caption,
            "caption_kind": kinds,
            "document": pc.coalesce(as_text(_column(batch, layout.key)), row),
            "license": license,
            "license_group": license_groups(license),
            "context": as_text(_column(batch, layout.context)),
            "captions": _others(batch, layout, text),
            "extra": _extra(batch, layout, cut),
        }
        yield pa.RecordBatch.from_arrays([columns[name].filter(good) for name in FOUND.names], schema=FOUND)
    if not kept.all():
        bad = pa.array(_once(numbers, kept) if lists else ~kept)
        text = pc.utf8_slice_codeunits(caption, 0, DETAIL_CHARS)
        detail = pc.if_else(caption_error.is_valid(), text, found.detail)
        yield pa.RecordBatch.from_arrays([a.filter(bad) for a in (row, error, detail)], schema=REJECTED)


def _captions(batch: pa.RecordBatch, layout: Layout) -> tuple[pa.Array, pa.Array]:
    """Each row's caption and its kind: of the column of captions, or where that has no letter, of the next that has."""
    text = as_text(_column(batch, layout.caption))
    kinds = pa.repeat(caption_kind(layout.caption), len(text))
    for name in layout.instead:
        missing = checked_captions(text)[2].is_valid()
        if missing.true_count:
            other = as_text(_column(batch, name))
            use = pc.and_(missing, checked_captions(other)[2].is_null())
            text, kinds = pc.if_else(use, other, text), pc.if_else(use, caption_kind(name), kinds)
    return text, kinds


def _others(batch: pa.RecordBatch, layout: Layout, taken: pa.Array) -> pa.Array:
    """`captions`: the texts of all columns of captions but the one that was taken."""
    names = [name for name in (layout.caption, *layout.others) if name in batch.schema.names]
    return other_captions({n: batch.column(n) for n in names}, taken, {n: language_of(n) for n in names})


def _linked(batch: pa.RecordBatch, layout: Layout) -> _Images:
    """The images as far as the URLs tell."""
    text = as_text(_column(batch, layout.url))
    url, error = checked_urls(text)
    none = pa.nulls(len(url), pa.string())
    detail = none
    if error.null_count < len(error):
        detail = pc.if_else(
            pc.fill_null(pc.equal(error, "bad_url"), False), pc.utf8_slice_codeunits(text, 0, DETAIL_CHARS), none
        )
    return _Images(url, url, pa.nulls(len(url), IMAGE), error, detail)


def _column(batch: pa.RecordBatch, name: str | None) -> pa.Array:
    """A column by name; nulls where the table, or this part of it, has no such column."""
    return batch.column(name) if name in batch.schema.names else pa.nulls(batch.num_rows, pa.string())


def _taken(
    batch: pa.RecordBatch, layout: Layout, pictures: Pictures, numbers: np.ndarray, caption_error: pa.Array
) -> list[Picture | BadItemError | None]:
    """Each row's image; null where the caption is bad, for which nothing is copied."""
    values = _column(batch, layout.image or layout.path).to_pylist()
    rows = zip(numbers.tolist(), values, caption_error.to_pylist())
    return [None if error else pictures.of_row(number, value) for number, value, error in rows]


def _with_images(found: _Images, taken: list[Picture | BadItemError | None]) -> _Images:
    """A URL stays the identity of an image; where there is none, the image's own digest is."""
    pictures = [each if isinstance(each, Picture) else None for each in taken]
    errors = [each if isinstance(each, BadItemError) else None for each in taken]
    digest = pa.array([each and each.identity for each in pictures], pa.string())
    identity = pc.coalesce(found.url, digest)
    known = identity.is_valid()
    return _Images(
        identity,
        found.url,
        pa.array([each and each.pointer for each in pictures], IMAGE),
        pc.if_else(known, NOTHING, pa.array([each and each.code for each in errors], pa.string())),
        pc.if_else(known, NOTHING, pa.array([each and each.detail for each in errors], pa.string())),
    )


def _extra(batch: pa.RecordBatch, layout: Layout, cut: pa.Array | None) -> pa.Array:
    """What has no role, as text. Raw bytes have no text and are left out."""
    names = [n for n in batch.schema.names if n not in layout.columns and not is_bytes(batch.column(n))]
    columns = {name: text_where_possible(batch.column(name)) for name in names}
    if cut is not None:
        columns["caption_cut"] = cut
    return extra_map(columns, batch.num_rows)


def _once(numbers: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Which rows stand for an item that gave no pair: of an item with several captions the first, if none is good."""
    first = np.zeros(len(numbers), bool)
    first[np.unique(numbers, return_index=True)[1]] = True
    return first & ~np.isin(numbers, numbers[kept])
