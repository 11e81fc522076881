"""One part of a table: a committed Parquet file.

A part altered after its commit is refused when it is read, without reading it twice: its pages carry checksums, and its
end, where Parquet keeps the schema and the places of the pages, has a digest in the part's record. A part that costs
much also leaves a record `NAME.json` beside it, so that a resumed run finds by name what an earlier one finished.
"""

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.errors import BrokenTableError, SchemaError
from curation.files import committing, join, local_path
from curation.hashing import TAIL_BYTES
from curation.records import read_record, remedy, write_record

ROW_GROUP_ROWS = 1 << 14  # a few megabytes of captions: what is skipped or read together


class Part(NamedTuple):
    """One committed file of a table; `tail` is the SHA-256 of its last 64 KiB.

    `counts` are sums that the writer took on the way (kept rows, drop reasons).
    """

    name: str
    bytes: int
    rows: int
    sha256: str
    tail: str
    counts: dict[str, int] | None = None

    def record(self) -> dict[str, Any]:
        return {k: v for k, v in self._asdict().items() if v is not None}


def write_part(
    folder: str, name: str, batches: Iterable[pa.RecordBatch], schema: pa.Schema, *, findable: bool = False
) -> Part:
    """Commit one Parquet part from a stream of batches, rows in their order; `findable` leaves a record beside it."""
    file_name = f"{name}.parquet"
    rows = 0
    counts: dict[str, int] = {}
    with committing(join(folder, file_name)) as file, parquet_writer(file, schema) as writer:
        for group in _row_groups((batch.select(schema.names).cast(schema) for batch in batches), schema):
            writer.write_table(group)
            rows += group.num_rows
            _count_verdicts(group, counts)
    tail = hashlib.sha256(file.tail).hexdigest()
    part = Part(file_name, file.bytes, rows, file.sha256.hexdigest(), tail, counts or None)
    if findable:
        write_record(join(folder, f"{name}.json"), part.record())
    return part


def parquet_writer(file: Any, schema: pa.Schema) -> pq.ParquetWriter:
    """The one form of Parquet written here: zstd, and a checksum for each page."""
    return pq.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True)


def _row_groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """The same rows in tables of ROW_GROUP_ROWS, the last one shorter: how they came in batches changes no byte."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        while rows >= ROW_GROUP_ROWS:
            table = pa.Table.from_batches(held, schema)
            yield table.slice(0, ROW_GROUP_ROWS).combine_chunks()
            held = table.slice(ROW_GROUP_ROWS).to_batches()
            rows -= ROW_GROUP_ROWS
    if rows:
        yield pa.Table.from_batches(held, schema).combine_chunks()


def _count_verdicts(group: pa.Table, counts: dict[str, int]) -> None:
    if "keep" not in group.schema.names:
        return
    for name in ("drop_stage", "drop_reason"):
        if name in group.schema.names:
            for value in group.column(name).value_counts().to_pylist():
                key = value["values"] if value["values"] is not None else "kept"
                counts[key] = counts.get(key, 0) + value["counts"]
            return


def find_part(folder: str, name: str) -> Part | None:
    """The record of a part that an earlier attempt committed under this name, or None where it is not whole."""
    try:
        record = read_record(join(folder, f"{name}.json"))
        return None if record is None else _whole(folder, Part(**{k: v for k, v in record.items() if k != "digest"}))
    except BrokenTableError:
        return None


def _whole(folder: str, part: Part) -> Part:
    part_uris(folder, [part.record()])
    return part


def part_uris(folder: str, parts: Iterable[dict[str, Any]], made_by: str | None = None) -> list[str]:
    """URIs of the listed parts; BrokenTableError if one is missing, of another size, or does not end as committed.

    `made_by` is the stage table whose folder has to go for the parts to be made again, where that is not their own.
    """
    return [uri for uri, _ in _checked(folder, parts, made_by)]


def common_schema(folder: str, parts: Iterable[dict[str, Any]]) -> tuple[list[str], pa.Schema]:
    """URIs of the listed parts, checked as by `part_uris`, and the schema of all; SchemaError where one differs."""
    checked = _checked(folder, parts)
    schemas = [_schema(uri, tail) for uri, tail in checked]
    for (uri, _), schema in zip(checked, schemas):
        require_columns(uri, schema, schemas[0])
        require_columns(checked[0][0], schemas[0], schema)
    return [uri for uri, _ in checked], schemas[0]


def require_columns(uri: str, found: pa.Schema, wanted: pa.Schema) -> None:
    """Raise SchemaError unless the table has the columns of `wanted` with their types, in any order."""
    for field in wanted:
        index = found.get_field_index(field.name)
        kind = f"is {found.field(index).type}" if index >= 0 else "is not there"
        if index < 0 or found.field(index).type != field.type:
            raise SchemaError(f"{uri}: wanted column {field.name} as {field.type}, it {kind}; found {found.names}")


def _schema(uri: str, tail: bytes) -> pa.Schema:
    """The schema of a part, read off its end where all of the footer lies in it."""
    if int.from_bytes(tail[-8:-4], "little") + 8 <= len(tail):  # Parquet: ..., footer, its length, "PAR1"
        return pq.read_schema(pa.BufferReader(tail)).remove_metadata()
    with fsspec.open(uri, "rb") as file:
        return pq.read_schema(file).remove_metadata()


def _checked(folder: str, parts: Iterable[dict[str, Any]], made_by: str | None = None) -> list[tuple[str, bytes]]:
    """URI and last bytes of each part, after they were checked."""
    parts = list(parts)
    uris = [join(folder, part["name"]) for part in parts]
    remote = [uri for uri in uris if local_path(uri) is None]
    with ThreadPoolExecutor(32 if remote else 1) as threads:  # an object store answers in tens of milliseconds
        return list(zip(uris, threads.map(_check_part, uris, parts, [made_by] * len(uris))))


def _check_part(uri: str, part: dict[str, Any], made_by: str | None) -> bytes:
    try:
        with fsspec.open(uri, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            tail = file.read()
    except FileNotFoundError:
        found = "no file"
    else:
        if size == part["bytes"] and ("tail" not in part or hashlib.sha256(tail).hexdigest() == part["tail"]):
            return tail
        found = f"{size} bytes" if size != part["bytes"] else "another end than was committed"
    raise BrokenTableError(f"{uri}: wanted {part['bytes']} bytes as committed, found {found}; {remedy(uri, made_by)}")


def read_part(uri: str, columns: list[str] | None, filters: pc.Expression | list | None) -> pa.Table:
    """A part as an Arrow table, its pages checked; BrokenTableError where one is not as committed."""
    try:
        with fsspec.open(uri, "rb") as file:
            return pq.read_table(file, columns=columns, filters=filters, page_checksum_verification=True)
    except OSError as error:
        raise BrokenTableError(f"{uri}: {error}; {remedy(uri)}") from error


def part_batches(uri: str) -> Iterator[pa.RecordBatch]:
    """The rows of a part in order, a row group or less at a time; BrokenTableError where one is not as committed."""
    try:
        with fsspec.open(uri, "rb") as file:
            yield from pq.ParquetFile(file, page_checksum_verification=True).iter_batches(ROW_GROUP_ROWS)
    except OSError as error:
        raise BrokenTableError(f"{uri}: {error}; {remedy(uri)}") from error


def parquet_schema(folder: str, parts: list[dict]) -> pa.Schema:
    """The Arrow schema of a table, read off its first part."""
    with fsspec.open(join(folder, parts[0]["name"]), "rb") as file:
        return pq.read_schema(file).remove_metadata()
