"""Tables of captions with URLs, paths or image bytes: Parquet, CSV, TSV and JSON Lines (also .gz and .zst).

URLs and captions pass as whole columns; rows are only looked at one by one where they carry images.
"""

from collections.abc import Iterator
from typing import NamedTuple

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.errors import BadItemError
from curation.files import local_path
from curation.schema import CAPTIONS, IMAGE
from curation.sources.columns import (
    as_text,
    checked_captions,
    checked_urls,
    extra_map,
    license_groups,
    one_caption_a_row,
)
from curation.sources.found import DETAIL_CHARS, FOUND, REJECTED, ImageSink, Reject, batches, until_broken
from curation.sources.layout import Layout, choose, element, holds_bytes, is_bytes
from curation.sources.lines import CHUNK_ROWS, Chunk, csv_chunks, json_chunks, open_text
from curation.sources.pictures import Picture, Pictures

LINES = (".csv", ".tsv", ".jsonl", ".ndjson")
SUFFIXES = (".parquet", *(suffix + packed for suffix in LINES for packed in ("", ".gz", ".zst")))
IMAGE_CHUNK_ROWS = 64  # rows of a table with image bytes held at once: some ten MB at 0.5 MB each
READ_BYTES = 1 << 20  # else Arrow reads whole column chunks ahead: with image bytes that can be the whole file
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
    for chunk in until_broken(_chunks(uri)):
        yield from batches([chunk] if isinstance(chunk, Reject) else chunk.bad)
        if isinstance(chunk, Reject) or chunk.batch is None:
            continue
        try:
            layout = layout or choose(chunk.batch, named)
        except BadItemError as error:
            yield from batches([Reject("", error.code, error.detail)])
            return
        yield from _pairs(chunk, layout, pictures)


def _chunks(uri: str) -> Iterator[Chunk | Reject]:
    name = uri.lower().removesuffix(".gz").removesuffix(".zst")
    if name.endswith(".parquet"):
        yield from _parquet_chunks(uri)
        return
    with open_text(uri) as file:
        yield from csv_chunks(file, tabs=name.endswith(".tsv")) if name.endswith("sv") else json_chunks(file)


def _parquet_chunks(uri: str) -> Iterator[Chunk | Reject]:
    """Row groups one after another, so that a damaged one costs itself alone."""
    with (
        fsspec.open(uri, "rb") as file,
        pq.ParquetFile(local_path(uri) or file, buffer_size=READ_BYTES, pre_buffer=False) as table,
    ):
        heavy = any(holds_bytes(field.type) for field in table.schema_arrow)
        rows = IMAGE_CHUNK_ROWS if heavy else CHUNK_ROWS
        start = 0
        for group in range(table.num_row_groups):
            end = start + table.metadata.row_group(group).num_rows
            try:
                for batch in table.iter_batches(rows, row_groups=[group], use_threads=False):
                    yield Chunk(batch, range(start, start + batch.num_rows), [])
                    start += batch.num_rows
            except (OSError, pa.ArrowException) as error:
                yield Reject("", "bad_row_group", f"rows {start} to {end - 1}: {error}")
            start = end


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
    caption, cut, caption_error = checked_captions(as_text(_column(batch, layout.caption)))
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
            "caption_kind": pa.repeat(layout.caption_kind, len(caption)),
            "document": pc.coalesce(as_text(_column(batch, layout.key)), row),
            "license": license,
            "license_group": license_groups(license),
            "context": as_text(_column(batch, layout.context)),
            "captions": pa.nulls(len(caption), CAPTIONS),
            "extra": _extra(batch, layout, cut),
        }
        yield pa.RecordBatch.from_arrays([columns[name].filter(good) for name in FOUND.names], schema=FOUND)
    if not kept.all():
        bad = pa.array(_once(numbers, kept) if lists else ~kept)
        text = pc.utf8_slice_codeunits(caption, 0, DETAIL_CHARS)
        detail = pc.if_else(caption_error.is_valid(), text, found.detail)
        yield pa.RecordBatch.from_arrays([a.filter(bad) for a in (row, error, detail)], schema=REJECTED)


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
    names = [name for name in batch.schema.names if name not in layout and not is_bytes(batch.column(name))]
    columns = {name: as_text(batch.column(name)) for name in names}
    if cut is not None:
        columns["caption_cut"] = cut
    return extra_map(columns, batch.num_rows)


def _once(numbers: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Which rows stand for an item that gave no pair: of an item with several captions the first, if none is good."""
    first = np.zeros(len(numbers), bool)
    first[np.unique(numbers, return_index=True)[1]] = True
    return first & ~np.isin(numbers, numbers[kept])
