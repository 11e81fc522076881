"""Reading some rows of a committed table without Spark and in bounded memory.

A part that is cut by uid prefix is opened only if it can hold a row that is wanted; the parts of a stored signal, which
are not, are streamed through a filter.
"""

import os
from collections.abc import Iterator
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import xxhash

from curation import tables
from curation.errors import BrokenTableError
from curation.parts import ROW_GROUP_ROWS, parquet_schema, part_uris, read_part
from curation.records import remedy

DIGEST_SEED = 42  # the default seed of Spark's xxhash64, by which the store tells inputs apart


def prefix(part: dict[str, Any]) -> str:
    """The hex digits with which every uid of a part begins; empty for a table of one part."""
    name = os.path.basename(part["name"]).removesuffix(".parquet")
    return "" if name == "all" else name


def read_where(folder: str, part: dict, columns: list[str], rows: pc.Expression | None = None) -> pa.Table:
    """The rows of one listed part that satisfy an expression."""
    [uri] = part_uris(folder, [part])
    return read_part(uri, columns, rows)


def batches_of(folder: str, part: dict, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The rows of one listed part in their order, some thousands at a time, so that it may be of any size."""
    [uri] = part_uris(folder, [part])
    try:
        with fsspec.open(uri, "rb") as file:
            whole_part = pq.ParquetFile(file, page_checksum_verification=True)
            yield from whole_part.iter_batches(ROW_GROUP_ROWS, columns=columns)
    except OSError as error:
        raise BrokenTableError(f"{uri}: {error}; {remedy(uri)}") from error


def first_rows(
    folder: str, parts: list[dict], columns: list[str], limit: int, rows: pc.Expression | None = None
) -> pa.Table | None:
    """Up to `limit` rows of smallest uid of those that satisfy `rows`, in order; None where no part is listed."""
    found: list[pa.Table] = []
    for part in sorted(parts, key=prefix):
        if limit > 0:
            found.append(read_where(folder, part, columns, rows).sort_by("uid").slice(0, limit))
            limit -= len(found[-1])
    return pa.concat_tables(found) if found else None


def rows_of(folder: str, parts: list[dict], uids: pa.Array, columns: list[str]) -> pa.Table | None:
    """The rows of these uids (ascending), from the parts that can hold one; None where no part can."""
    found = []
    for part in parts:
        start = prefix(part)
        here = uids.filter(pc.starts_with(uids, start)) if start else uids
        if len(here):
            span = (pc.field("uid") >= here[0]) & (pc.field("uid") <= here[-1])  # skips row groups, which isin does not
            found.append(read_where(folder, part, columns, span & pc.field("uid").isin(here)))
    return pa.concat_tables(found) if found else None


def aligned(found: pa.Table, uids: pa.Array) -> pa.Table:
    """A row per uid, in their order; null in every column where `found` has no such uid."""
    return found.take(pc.index_in(uids, whole(found["uid"])))


def whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column as one array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def signal_rows(folder: str, ids: pa.Array) -> pa.Table | None:
    """The rows (id, digest, value, error) of a stored signal for these ids, streamed; None where none is stored."""
    done = tables.read_done(folder)
    if done is None or not done["parts"]:
        return None
    file_system = fsspec.core.url_to_fs(folder)[0]
    paths = [fsspec.core.url_to_fs(uri)[1] for uri in part_uris(folder, done["parts"])]
    schema = parquet_schema(folder, done["parts"])
    data = ds.dataset(paths, schema=schema, format="parquet", filesystem=file_system)
    return data.to_table(filter=pc.field("id").isin(ids))


def digests(columns: list[pa.Array], rows: int) -> pa.Array | None:
    """What the store keeps beside a value: Spark's xxhash64 of the inputs, int64; None for columns not of text.

    >>> digests([pa.array(["a"]), pa.array(["b"])], 1).to_pylist(), digests([], 1).to_pylist()
    ([-7357372313250070212], [0])
    """
    if not columns:
        return pa.array([0] * rows, pa.int64())
    if not all(pa.types.is_string(c.type) for c in columns):
        return None
    seeds = [DIGEST_SEED] * rows
    for column in columns:  # the hash of one column seeds the next; a null leaves the seed as it is
        values = column.to_pylist()
        seeds = [s if v is None else xxhash.xxh64_intdigest(v.encode(), s) for s, v in zip(seeds, values)]
    return pa.array([s - (1 << 64) if s >> 63 else s for s in seeds], pa.int64())
