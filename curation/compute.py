"""The task side of the signal engine: a bucket of rows in, one committed part per signal out. No Spark here.

A bucket is the unit of work and of resumption: its rows lie next to each other in the image files (or share captions),
and its parts are named by what is in them, so a retry finds what an earlier attempt finished.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import tables
from curation.graph import Node, closure
from curation.parts import Part, find_part, write_part
from curation.schema import hex_id
from curation.signal import IMAGE_INPUTS, PICTURES, PIXELS
from curation.vectors import to_binary

if TYPE_CHECKING:
    from curation.images import ImageBatch

ERROR = "__error"  # suffix of the column that says why a signal is null
# Pictures in memory at once, twice over: those in use and the next ones. 64 Mpx are 200 MB.
CPU_BATCH = {"images": 64, "pixels": 64 << 20}
GPU_BATCH = {"images": 256, "pixels": 128 << 20}

# Equal captions share a bucket, however many they are: 2^18 vectors of 1,024 numbers are 0.5 GB, an array holds 2 GB.
PIECE_ROWS = 1 << 18


class Job(NamedTuple):
    """What a task needs to know: the signals to store, in bit order of the column `want`, and where each goes."""

    level: str
    nodes: tuple[Node, ...]
    folders: tuple[str, ...]


def bucket_writer(job: Job) -> Callable[[Iterator[pa.RecordBatch]], Iterator[dict]]:
    """The task: cut the partition into buckets and write each bucket's parts."""

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[dict]:
        for _, run in tables.grouped(batches, "bucket"):
            bucket = pa.Table.from_batches(list(run))
            for want in pc.unique(bucket["want"]).to_pylist():
                rows = bucket.filter(pc.equal(bucket["want"], want))
                numbers = [i for i in range(len(job.nodes)) if want >> i & 1]
                for start in range(0, len(rows), PIECE_ROWS):
                    yield from _write_rows(job, rows.slice(start, PIECE_ROWS).combine_chunks(), numbers)

    return write


def _write_rows(job: Job, rows: pa.Table, numbers: list[int]) -> Iterator[dict]:
    content = hex_id(*(f"{i}:{d}" for i, d in zip(rows["id"].to_pylist(), rows["digest"].to_pylist())))[:20]
    done = {i: find_part(job.folders[i], content) for i in numbers}
    missing = [i for i in numbers if done[i] is None]
    if missing:
        nodes = [job.nodes[i] for i in missing]
        values = _compute_columns("text", rows, nodes) if job.level == "text" else _compute_image(rows, nodes)
        for i, (value, error) in zip(missing, values):
            done[i] = _write_part(job.folders[i], content, rows, value, error)
    for i in numbers:
        yield {"signal": i, "part": done[i].record(), "models": _models(job.nodes[i])}


def _models(node: Node) -> dict[str, Any]:
    """The models and files behind a signal as they are used here, by setting."""
    from curation.models.named import describe

    settings = dict(node.settings)
    precision = settings.get("precision", "fp32")
    return {name: describe(kind, settings[name], precision) for name, kind in node.spec.models.items()}


def signal_schema(value: pa.DataType) -> pa.Schema:
    """The table of a signal: id (image_id or uid), digest of its inputs, value, and why the value is null."""
    fields = [("id", pa.string()), ("digest", pa.int64()), ("value", value), ("error", pa.string())]
    return pa.schema(fields)


def _write_part(folder: str, name: str, rows: pa.Table, value: pa.Array, error: pa.Array) -> Part:
    columns = [rows["id"].combine_chunks(), rows["digest"].combine_chunks(), value, error]
    table = pa.Table.from_arrays(columns, schema=signal_schema(value.type)).sort_by("id")
    return write_part(folder, name, table.to_batches(), table.schema, findable=True)


def evaluate(nodes: list[Node], given: dict[str, Any], count: int) -> dict[str, pa.Array]:
    """Compute nodes and whatever unstored or wanted signals they read, each once; `given` holds columns and signals.

    Raises ValueError where a signal breaks its contract (another length than its input, another type).
    """
    values = dict(given)
    for node in closure(nodes):
        if node.column in values or not _needed(node, nodes, given):
            continue
        inputs = [None if i is None else values[i.column if isinstance(i, Node) else i] for i in node.inputs]
        value = node.function(*inputs, **dict(node.settings))
        values[node.column] = _checked(node, value, count)
    return values


def _needed(node: Node, wanted: list[Node], given: dict[str, Any]) -> bool:
    """Whether computing `wanted` from `given` needs this node (a stored input that is given hides what is below)."""
    stack = [n for n in wanted if n.column not in given]
    while stack:
        each = stack.pop()
        if each.key == node.key:
            return True
        stack += [i for i in each.inputs if isinstance(i, Node) and i.column not in given]
    return False


def _checked(node: Node, value: pa.Array, count: int) -> pa.Array:
    if isinstance(value, pa.ChunkedArray):
        value = value.combine_chunks()
    if len(value) != count:
        raise ValueError(f"signal {node.spec.name} gave {len(value)} values for {count} rows")
    if node.spec.type == PICTURES:
        return value
    if pa.types.is_fixed_size_list(value.type):
        value = to_binary(value)
    if value.type != node.spec.type:
        raise ValueError(f"signal {node.spec.name} gave {value.type}, declared {node.spec.type}")
    return value


def _compute_image(rows: pa.Table, nodes: list[Node]) -> list[tuple[pa.Array, pa.Array]]:
    """One pass over the pictures of a bucket, in file order; each is read and decoded once for all nodes."""
    given = {name: rows[name].combine_chunks() for name in rows.column_names}
    needs = {r for n in closure(nodes) if _needed(n, nodes, given) for r in n.inputs if r in IMAGE_INPUTS}
    if not needs:
        return _compute_columns("pair", rows, nodes)
    pieces: list[list[pa.Array]] = [[] for _ in nodes]
    errors: list[str | None] = []
    pixels = [name for name in PIXELS if name in needs]
    for part, batch, inputs in _loaded(rows["image"].to_pylist(), pixels, _bounds(nodes)):
        here = {name: column[part] for name, column in given.items()}
        values = evaluate(nodes, here | inputs, len(batch))
        for piece, node in zip(pieces, nodes):
            piece.append(values[node.column])
        errors += batch.errors
    reasons = [pa.array(errors, pa.string()), *(given[name] for name in given if name.endswith(ERROR))]
    return [_with_error(node, pa.concat_arrays(piece), reasons) for node, piece in zip(nodes, pieces)]


def _bounds(nodes: list[Node]) -> dict[str, int]:
    """Pictures and pixels read together where a GPU works on them: while it has some, others are made ready."""
    from curation.models.device import task_device

    models = any("clip" in node.spec.models.values() for node in closure(nodes))
    return GPU_BATCH if models and task_device() != "cpu" else CPU_BATCH


def _loaded(
    pointers: list[dict | None], pixels: list[str], bounds: dict[str, int]
) -> Iterator[tuple[slice, "ImageBatch", dict[str, Any]]]:
    """Rows, pictures and engine inputs, batch by batch; the next one is read and decoded while the last is in use."""
    from curation.images import ahead, batches

    def loaded() -> Iterator[tuple[slice, "ImageBatch", dict[str, Any]]]:
        for part, batch in batches(pointers, decoded=pixels, max_images=bounds["images"], max_pixels=bounds["pixels"]):
            yield part, batch, {"encoded": pa.array(batch.encoded, pa.binary())} | {n: batch.decoded(n) for n in pixels}

    return ahead(loaded())


def _compute_columns(level: str, rows: pa.Table, nodes: list[Node]) -> list[tuple[pa.Array, pa.Array]]:
    """Signals of columns; of text alone, equal inputs (which share a bucket) are computed once."""
    given = {name: rows[name].combine_chunks() for name in rows.column_names}
    inverse = None
    if level == "text":
        _, first, inverse = np.unique(rows["digest"].to_numpy(), return_index=True, return_inverse=True)
        given = {name: column.take(pa.array(first)) for name, column in given.items()}
    values = evaluate(nodes, given, len(next(iter(given.values()))))
    errors = [given[name] for name in given if name.endswith(ERROR)]
    results = [_with_error(node, values[node.column], errors) for node in nodes]
    if inverse is None:
        return results
    back = pa.array(inverse.reshape(-1))
    return [(value.take(back), error.take(back)) for value, error in results]


def _with_error(node: Node, value: pa.Array, errors: list[pa.Array]) -> tuple[pa.Array, pa.Array]:
    """The value, and where it is null the first reason at hand, the signal's own last."""
    none = pa.nulls(len(value), pa.string())
    reason = pc.coalesce(*errors, none, pa.scalar(node.spec.why_null, pa.string()))
    return value, pc.if_else(pc.is_null(value), reason, none)


def appender(nodes: list[Node], names: list[str], schema: pa.Schema) -> Callable:
    """A mapInArrow function that appends unstored signals to the rows passing by, under the given names."""

    def append(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            given = dict(zip(batch.schema.names, batch.columns))
            values = evaluate(nodes, given, batch.num_rows)
            columns = given | {name: values[node.column] for node, name in zip(nodes, names)}
            arrays = [columns[n].cast(schema.field(n).type) for n in schema.names]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    return append
