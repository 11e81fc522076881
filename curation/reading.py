"""The task side of ingest: one file in; a staged part of found pairs, a part of rejects and a tar of images out."""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation.files import committing, join
from curation.parts import parquet_writer
from curation.records import read_record, write_record
from curation.schema import OPT_OUT, PAIRS, REJECTS, hex_id


class PoolImages:
    """Copies of images that are not a raw byte range of any file, in one plain tar of the pool; opened when needed."""

    def __init__(self, uri: str, stack: contextlib.ExitStack) -> None:
        self.uri, self.stack, self.file, self.count = uri, stack, None, 0

    def add(self, data: bytes, extension: str) -> dict[str, Any]:
        """Append one image; its pointer, valid once the tar is committed."""
        from curation.shards.tar import header

        if self.file is None:
            self.file = self.stack.enter_context(committing(self.uri))
            self.stack.callback(self._finish)
        self.file.write(header(f"{self.count:08d}.{extension}", len(data)))
        pointer = {"uri": self.uri, "offset": self.file.tell(), "length": len(data)}
        self.file.write(data)
        self.file.write(b"\0" * (-len(data) % 512))
        self.count += 1
        return pointer

    def _finish(self) -> None:
        self.file.write(b"\0" * 1024)


def reader(pool: str, key: str, name: str | None) -> Callable[[Iterator[pa.RecordBatch]], Iterator[dict]]:
    """The task: read each unit (a JSON object in the column `unit`) that the partition holds."""

    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[dict]:
        for batch in batches:
            for unit in batch.column("unit").to_pylist():
                yield read_unit(pool, key, name, json.loads(unit))

    return task


def read_unit(pool: str, key: str, name: str | None, unit: dict[str, Any]) -> dict[str, Any]:
    """Read one file into a staged part of found pairs, a part of rejects and a tar of images; its record.

    The record is written last and found by a retry, which then does nothing.
    """
    number = hex_id(unit["uri"])[:16]
    mark = join(pool, "staging", key, f"{number}.json")
    record = read_record(mark)
    if record is not None:
        return record
    found, rejects = join(pool, "staging", key), join(pool, "rejects", key)
    with contextlib.ExitStack() as stack:
        images = PoolImages(join(pool, "images", f"{key}-{number}.tar"), stack)
        record = {"unit": unit["uri"], "name": f"{number}.parquet"}
        record |= _write_found(join(found, f"{number}.parquet"), join(rejects, f"{number}.parquet"), images, name, unit)
    record["images"] = None if images.file is None else [images.uri, images.file.bytes, images.file.sha256.hexdigest()]
    write_record(mark, record)
    return record


def _write_found(found: str, rejects: str, images: PoolImages, name: str | None, unit: dict) -> dict[str, Any]:
    from curation.sources import SOURCES

    rows = rejected = pictured = opted_out = 0
    with (
        committing(found) as found_file,
        committing(rejects) as rejects_file,
        parquet_writer(found_file, PAIRS.arrow) as pairs,
        parquet_writer(rejects_file, REJECTS.arrow) as refused,
    ):
        for batch in SOURCES[unit["kind"]].read(unit["uri"], images, **unit["settings"]):
            if "identity" in batch.schema.names:
                pairs.write_batch(_as_pairs(batch, name or unit["kind"], unit))
                rows += batch.num_rows
                pictured += batch.num_rows - batch.column("image").null_count
                opted_out += pc.sum(pc.equal(batch.column("extra").keys, OPT_OUT)).as_py() or 0
            else:
                refused.write_batch(_as_rejects(batch, unit["uri"]))
                rejected += batch.num_rows
    return {
        "rows": rows,
        "pictured": pictured,
        "opted_out": opted_out,
        "bytes": found_file.bytes,
        "rejected": rejected,
        "rejects_bytes": rejects_file.bytes,
        "rejects_sha256": rejects_file.sha256.hexdigest(),
    }


def _as_pairs(batch: pa.RecordBatch, name: str, unit: dict) -> pa.RecordBatch:
    identities, captions = batch.column("identity").to_pylist(), batch.column("caption").to_pylist()
    constant = {"source": name, "kind": unit["kind"], "source_uri": unit["uri"]}
    columns = {
        "uid": pa.array([hex_id(i, c) for i, c in zip(identities, captions)], pa.string()),
        "image_id": pa.array([hex_id(i) for i in identities], pa.string()),
        "repeats": pa.repeat(pa.scalar(1, pa.int32()), batch.num_rows),
    } | {column: pa.repeat(pa.scalar(value, pa.string()), batch.num_rows) for column, value in constant.items()}
    arrays = [columns[n] if n in columns else batch.column(n) for n in PAIRS.names]
    return pa.RecordBatch.from_arrays(arrays, schema=PAIRS.arrow)


def _as_rejects(batch: pa.RecordBatch, uri: str) -> pa.RecordBatch:
    arrays = [pa.repeat(pa.scalar(uri), batch.num_rows), *(batch.column(n) for n in REJECTS.names[1:])]
    return pa.RecordBatch.from_arrays(arrays, schema=REJECTS.arrow)
