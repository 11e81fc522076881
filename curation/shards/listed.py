"""The files that release.json lists, one at a time: whether the bytes are as committed, and the rows of a table."""

import hashlib
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.errors import BrokenTableError
from curation.files import join
from curation.schema import Table
from curation.shards.check import MEMBERS
from curation.shards.manifest import Release, open_bytes
from curation.shards.mark import MARK

NO_TABLE = (pa.ArrowException, OSError, ValueError)  # what Arrow raises on bytes that are no sound Parquet file


class Checked(NamedTuple):
    """What is wrong with one file or shard, and the rows read of its table (none where it is not sound)."""

    faults: list[str]
    rows: pa.Table | None


def check_bytes(release: Release, part: dict[str, Any]) -> tuple[Any, list[str]]:
    """The bytes of a listed file (None where it cannot be read), and whether they are other than committed."""
    name = part["name"]
    try:
        data = open_bytes(join(release.out, name))
    except BrokenTableError:
        return None, [f"{name}: wanted {part['bytes']} bytes, found no file"]
    except OSError as error:
        return None, [f"{name}: wanted {part['bytes']} bytes, found what cannot be read ({error.strerror})"]
    if len(data) != part["bytes"]:
        return data, [f"{name}: wanted {part['bytes']} bytes, found {len(data)}"]
    digest = hashlib.sha256(data).hexdigest()
    return data, [f"{name}: wanted sha256 {part['sha256']}, found {digest}"] if digest != part["sha256"] else []


def check_table(release: Release, table: Table, part: dict[str, Any], columns: list[str]) -> Checked:
    """Some columns of a listed table; no rows where the file was altered or is not such a table."""
    data, faults = check_bytes(release, part)
    if faults:
        return Checked(faults, None)
    name = part["name"]
    try:
        file = pq.ParquetFile(pa.BufferReader(pa.py_buffer(data)))
        faults = [*_schema_faults(name, table, file.schema_arrow)]
        rows = None if faults else file.read(columns, use_threads=False).select(columns)
        if rows is not None:
            rows.validate(full=True)
    except NO_TABLE as error:
        return Checked([f"{name}: wanted a Parquet table, found one that cannot be read ({error})"], None)
    if rows is None:
        return Checked(faults, None)
    empty = [c.name for c in table.columns if c.name in columns and not c.nullable and _nulls(rows[c.name])]
    if empty:
        return Checked([f"{name}: wanted a value in each row, found nulls in {empty}"], None)
    if len(rows) != part["rows"]:
        faults = [f"{name}: wanted {part['rows']} rows as {MARK} has it, found {len(rows)}"]
    return Checked(faults, rows)


def _schema_faults(name: str, table: Table, found: pa.Schema) -> Iterator[str]:
    """Columns of the table that are not there, or of another type; further columns are the signals kept."""
    missing = [column for column in table.names if column not in found.names]
    if missing:
        yield f"{name}: wanted the columns of table {table.name}, found none of {missing}"
    for column in table.columns:
        others = [str(field.type) for field in found if field.name == column.name and field.type != column.type]
        if others:
            yield f"{name}: wanted column {column.name} as {column.type}, found {', '.join(others)}"


def _nulls(column: pa.ChunkedArray) -> int:
    nested = [pc.struct_field(column, member) for member in MEMBERS] if pa.types.is_struct(column.type) else []
    return column.null_count + sum(each.null_count for each in nested)


def check_tables(release: Release, table: Table, kind: str, columns: list[str]) -> Checked:
    """Some columns of all parts of a kind as one table; no rows where one of the parts is not sound."""
    each = [check_table(release, table, part, columns) for part in release.mark[kind]]
    faults = list(itertools.chain.from_iterable(one.faults for one in each))
    if any(one.rows is None for one in each):
        return Checked(faults, None)
    schema = pa.schema([table.arrow.field(column) for column in columns])
    return Checked(faults, pa.concat_tables([schema.empty_table(), *(one.rows.cast(schema) for one in each)]))
