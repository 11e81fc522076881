"""The one module that reads and writes tables.

A table is a folder of Parquet parts and one `_done.json`, renamed into place last, that lists each part with bytes,
rows and SHA-256. Readers take file names only from it, never from a listing, so a torn write is never seen.
"""

import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc

from curation.files import join, local_path, remove_folder
from curation.parts import common_schema, part_uris, read_part, require_columns, write_part
from curation.records import read_record, write_record

DONE = "_done.json"
GLOB = re.compile(r"[\\\[\]{}*?]")  # what Hadoop's globbing reads in a path; a backslash before it makes it plain
ROWS_PER_PART = 1 << 17  # assumption: 131,072 rows of captions are about 10 MB of zstd Parquet, a few seconds of work


def read_done(folder: str) -> dict[str, Any] | None:
    """The commit record of a table, or None while it has none."""
    return read_record(join(folder, DONE))


def write_done(folder: str, record: dict[str, Any]) -> None:
    """Commit a table: its record, with the parts, in place last."""
    write_record(join(folder, DONE), record)


def read_arrow(
    folder: str, parts: Iterable[dict], columns: list[str] | None = None, uids: list[str] | None = None
) -> pa.Table:
    """The listed parts as one Arrow table, in the order listed; only the rows of `uids` where given."""
    filters = None if uids is None else pc.field("uid").isin(pa.array(uids, pa.string()))
    return pa.concat_tables([read_part(uri, columns, filters) for uri in part_uris(folder, parts)])


def leave_only(folder: str, names: set[str]) -> None:
    """Remove the folders of a table's versions that are not named; one that a run may still read is."""
    file_system, path = fsspec.core.url_to_fs(folder)
    for found in file_system.ls(path, detail=True) if file_system.isdir(path) else []:
        name = found["name"].rstrip("/").rpartition("/")[2]
        if found["type"] == "directory" and name not in names:
            remove_folder(join(folder, name))


def read_uid(folder: str, parts: Iterable[dict], uid: str) -> dict[str, Any] | None:
    """The row of one uid, read from the one part that can hold it; None where there is none."""
    for part in parts:
        prefix = part["name"].rpartition("/")[2].removesuffix(".parquet")
        if prefix == "all" or uid.startswith(prefix):
            rows = read_arrow(folder, [part], uids=[uid]).to_pylist()
            if rows:
                return rows[0]
    return None


def read_spark(spark: Any, folder: str, parts: list[dict], wanted: pa.Schema | None = None) -> Any:
    """The listed parts as a DataFrame with the schema that all have; no listing, no schema inference job. Read by
    Spark's own reader where it can open the path, else by Arrow in the tasks.

    SchemaError where a part differs from the others, or lacks a column of `wanted` or has it of another type.
    """
    from pyspark.sql.pandas.types import from_arrow_schema

    uris, found = common_schema(folder, parts)
    require_columns(uris[0], found, wanted or found)
    schema = from_arrow_schema(found)
    if not _opens(spark, folder):
        return _read_in_tasks(spark, uris, schema)
    literal = [GLOB.sub(r"\\\g<0>", uri) for uri in uris]
    return spark.read.schema(schema).option("parquet.page.verify-checksum.enabled", "true").parquet(*literal)


def _opens(spark: Any, uri: str) -> bool:
    """Whether Spark's JVM has a file system for the URI: for s3a and the like only where its jars are."""
    from py4j.protocol import Py4JJavaError

    if local_path(uri) is not None:
        return True
    hadoop = spark.sparkContext._jvm.org.apache.hadoop.fs.FileSystem
    try:
        hadoop.getFileSystemClass(uri.partition("://")[0], spark.sparkContext._jsc.hadoopConfiguration())
    except Py4JJavaError:
        return False
    return True


def _read_in_tasks(spark: Any, uris: list[str], schema: Any) -> Any:
    """The parts by Arrow, a task each."""

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from curation.parts import part_batches

        for batch in batches:
            for number in batch.column("id").to_pylist():
                yield from part_batches(uris[number])

    return spark.range(0, len(uris), 1, len(uris)).mapInArrow(read, schema)


def prefix_digits(rows: int) -> int:
    """Hex digits of the uid by which a table of `rows` rows is cut into parts: 0 up to 131,072 rows, then one more
    for each factor of 16. A function of the row count alone, so that the same rows make the same files.

    >>> [prefix_digits(n) for n in (0, 131_072, 131_073, 10_000_000)]
    [0, 0, 1, 2]
    """
    digits = 0
    while rows > ROWS_PER_PART * 16**digits:
        digits += 1
    return digits


def grouped(batches: Iterable[pa.RecordBatch], column: str) -> Iterator[tuple[Any, Iterator[pa.RecordBatch]]]:
    """Cut a stream sorted by `column` into runs of equal value, without holding a run in memory.

    Each run must be read to its end before the next is asked for.
    """
    slices = ((value, piece) for batch in batches for value, piece in _runs(batch, column))
    for value, run in itertools.groupby(slices, key=lambda pair: pair[0]):
        yield value, (piece for _, piece in run)


def _runs(batch: pa.RecordBatch, column: str) -> Iterator[tuple[Any, pa.RecordBatch]]:
    encoded = pc.run_end_encode(batch.column(column))
    start = 0
    for value, end in zip(encoded.values.to_pylist(), encoded.run_ends.to_pylist()):
        yield value, batch.slice(start, end - start)
        start = end


def in_tasks(frame: Any, write: Callable[[Iterator[pa.RecordBatch]], Iterator[dict]]) -> list[dict]:
    """Run `write` over each partition; the records that it yields are all that comes back to the driver."""

    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for record in write(batches):
            yield pa.RecordBatch.from_pydict({"record": [json.dumps(record)]})

    return [json.loads(row.record) for row in frame.mapInArrow(task, "record string").collect()]


def write_spark(frame: Any, folder: str, schema: pa.Schema, rows: int, key: str = "uid") -> list[dict]:
    """Write a DataFrame as parts by prefix of `key` (32 hex), each sorted by it; the records of the parts, by name.

    `rows` (as expected) decides the number of parts. An empty frame makes one empty part, so that the table still has
    its schema.
    """
    from pyspark.sql import functions as F

    digits = prefix_digits(rows)
    number = F.conv(F.substring(key, 1, digits), 16, 10).cast("int") if digits else F.lit(0)
    laid = frame.select(*schema.names, number.alias("_part")).repartitionById(16**digits, "_part")

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[dict]:
        for prefix, run in grouped(batches, "_part"):
            yield write_part(folder, f"{prefix:0{digits}x}" if digits else "all", run, schema).record()

    records = in_tasks(laid.sortWithinPartitions("_part", key), write)
    return sorted(records, key=lambda r: r["name"]) or [write_part(folder, "all", [], schema).record()]


def row_hash(frame: Any, columns: list[Any]) -> str:
    """32 hex: the exclusive or of a hash of each row's COLUMNS: order, files and partitions do not count."""
    from pyspark.sql import functions as F

    halves = (F.coalesce(F.bit_xor(F.xxhash64(F.lit(half), *columns)), F.lit(0)) for half in range(2))
    return "".join(f"{half % 2**64:016x}" for half in frame.select(*halves).first())


def write_sorted(frame: Any, folder: str, schema: pa.Schema) -> list[dict]:
    """Write a table of counts as one part sorted by its first column; the record of the part."""
    laid = frame.select(*schema.names).repartition(1).sortWithinPartitions(schema.names[0])

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[dict]:
        yield write_part(folder, "all", batches, schema).record()

    return in_tasks(laid, write) or [write_part(folder, "all", [], schema).record()]
