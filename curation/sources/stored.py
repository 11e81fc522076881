"""Tables that are columns, Parquet and Arrow, as record batches, in bounded memory."""

from collections.abc import Iterator

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from curation.files import local_path
from curation.sources.found import Reject
from curation.sources.layout import holds_bytes
from curation.sources.lines import CHUNK_ROWS, Chunk
from curation.sources.packing import tell_if_blameless

IMAGE_CHUNK_ROWS = 64  # rows of a table with image bytes held at once: some ten MB at 0.5 MB each
READ_BYTES = 1 << 20  # else Arrow reads whole column chunks ahead: with image bytes that can be the whole file
ARROW_FILE = b"ARROW1"  # what a file begins with, and a stream does not


def parquet_chunks(uri: str) -> Iterator[Chunk | Reject]:
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
                tell_if_blameless(error)
                yield Reject("", "bad_row_group", f"rows {start} to {end - 1}: {error}")
            start = end


def arrow_chunks(uri: str) -> Iterator[Chunk]:
    """The batches of an Arrow stream, as Hugging Face's datasets keep them, or of an Arrow file."""
    with fsspec.open(uri, "rb") as file:
        is_file = file.read(len(ARROW_FILE)) == ARROW_FILE
        file.seek(0)
        reader = pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)
        rows = IMAGE_CHUNK_ROWS if any(holds_bytes(field.type) for field in reader.schema) else CHUNK_ROWS
        start = 0
        for batch in (reader.get_batch(n) for n in range(reader.num_record_batches)) if is_file else reader:
            for first in range(0, batch.num_rows, rows):
                part = batch.slice(first, rows)
                yield Chunk(part, range(start, start + part.num_rows), [])
                start += part.num_rows
