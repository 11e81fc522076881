"""One shard of a release: bytes from their source files into a tar, and the manifest rows beside it."""

import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curation.errors import BadItemError, BrokenTableError
from curation.files import committing, join
from curation.images import read_pointers
from curation.parts import part_uris, write_part
from curation.records import read_record, write_record
from curation.schema import MEMBERS, SAMPLES, hex_id
from curation.shards.blur import Box
from curation.shards.picture import Form, Picture, picture
from curation.shards.tar import Sample, ShardRecord, write_shard

BOX = ("r0", "c0", "r1", "c1")
FACES = "face_boxes"  # of the rows, where faces are to be blurred
BLURRED = "blurred_faces"  # of the manifest then: how many boxes were blurred in the picture
AS_FOUND = Form()


class Written(NamedTuple):
    """What the tar holds: places of the rows that are in it, in order, their pictures, and why the others are not."""

    rows: list[int]
    pictures: list[Picture]
    errors: dict[str, str]


def shard_record(out: str, number: int) -> str:
    """Where the record of a shard is left until release.json lists it."""
    return join(out, "manifest", "parts", f"{number:08d}.json")


def vectors_name(number: int, signal: str) -> str:
    """The file in a release that holds a signal's vectors of the samples of one shard, in their order."""
    return f"shards/{number:08d}.{signal}.npy"


def write_release_shard(
    out: str, number: int, rows: pa.Table, signals: list[str], form: Form = AS_FOUND, embeddings: list[str] = ()
) -> pa.Array:
    """Commit shard `number` with the samples of `rows`, in that order; per row why it could not be written, or null.

    `rows` has the columns of SAMPLES that the pool knows, `image` pointers, the signals, those whose vectors go into
    .npy files beside the tar, and `face_boxes` where faces are to be blurred. The shard's record comes last; an earlier
    attempt's is used again where it was made of the same rows, their values included.
    """
    content = hex_id(_digest(rows), str(form), *embeddings)
    record = _earlier(out, number)
    if record is None or record["content"] != content:
        record = _write(out, number, rows, signals, form, list(embeddings)) | {"content": content}
        write_record(shard_record(out, number), record)
    errors = record["errors"]
    return pa.array([errors.get(uid) for uid in rows["uid"].to_pylist()], pa.string())


def _digest(rows: pa.Table) -> str:
    """SHA-256 of schema and values of the rows, but of where their pictures lie: a pool may have moved."""
    told = rows.drop_columns(["image"]).combine_chunks()
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, told.schema) as writer:
        writer.write_table(told)
    return hashlib.sha256(stream.getvalue()).hexdigest()


def _earlier(out: str, number: int) -> dict[str, Any] | None:
    """The record that an earlier attempt left of a shard; None where a file of it is not as the record says."""
    try:
        record = read_record(shard_record(out, number))
        if record is not None:
            part_uris(out, [record["tar"], record["samples"], *record["embeddings"]])
    except BrokenTableError:
        return None
    return record


def _write(
    out: str, number: int, rows: pa.Table, signals: list[str], form: Form, embeddings: list[str]
) -> dict[str, Any]:
    name = f"{number:08d}"
    schema = samples_schema(rows.schema, signals, form.blur_faces)
    written = Written([], [], {})
    with committing(join(out, "shards", f"{name}.tar")) as file:
        # The inner file: write_shard hashes what it writes, once is enough.
        shard = write_shard(file.file, _samples(rows, schema, form, embeddings, written))
        file.wrote(shard.bytes, shard.sha256)
    part = write_part(
        join(out, "manifest", "samples"), name, _manifest(number, rows, schema, shard, written), schema
    ).record()
    tar = {"name": f"shards/{name}.tar", "bytes": shard.bytes, "rows": shard.samples, "sha256": shard.sha256}
    vectors = [_write_vectors(out, vectors_name(number, each), rows[each], written.rows) for each in embeddings]
    samples = part | {"name": f"manifest/samples/{name}.parquet"}
    return {"tar": tar, "samples": samples, "embeddings": vectors, "errors": written.errors}


def samples_schema(rows: pa.Schema, signals: list[str], blur_faces: bool) -> pa.Schema:
    """SAMPLES plus a column per signal that the recipe keeps, and how many faces were blurred if any are to be."""
    extra = [pa.field(n, rows.field(n).type) for n in signals if n not in SAMPLES.names]
    return pa.schema([*SAMPLES.arrow, *extra, *([pa.field(BLURRED, pa.int32())] if blur_faces else [])])


def _samples(
    rows: pa.Table, schema: pa.Schema, form: Form, embeddings: list[str], written: Written
) -> Iterator[Sample]:
    """The samples that can be read, one picture in memory at a time; notes each row written, each error."""
    listed = rows.select([n for n in schema.names if n in rows.column_names]).to_pylist()
    lacking = _without_vector(rows, embeddings)
    read = zip(listed, read_pointers(rows["image"].to_pylist()), _faces(rows, form.blur_faces))
    for place, (row, data, boxes) in enumerate(read):
        try:
            if place in lacking:
                raise lacking[place]
            found = picture(data, form, boxes)
        except BadItemError as error:
            written.errors[row["uid"]] = str(error)
            continue
        written.rows.append(place)
        written.pictures.append(found._replace(data=b""))
        row |= {"key": row["uid"], "width": found.width, "height": found.height}
        row |= {"format": found.format, "sha256": found.sha256}
        row |= {BLURRED: found.blurred} if form.blur_faces else {}
        yield Sample(row["uid"], found.format, found.data, row["caption"], row)


def _without_vector(rows: pa.Table, embeddings: list[str]) -> dict[int, BadItemError]:
    """Rows that have no vector of one of the embeddings: a row of a .npy cannot be empty."""
    found = {}
    for name in embeddings:
        if rows[name].null_count:
            told = zip(rows[name].is_null().to_pylist(), rows[f"{name}__error"].to_pylist())
            found |= {
                n: BadItemError(f"{name} is null", error or "") for n, (missing, error) in enumerate(told) if missing
            }
    return found


def _manifest(number: int, rows: pa.Table, schema: pa.Schema, shard: ShardRecord, written: Written) -> list:
    """The manifest's rows, as batches."""
    kept = rows.take(pa.array(written.rows, pa.int64()))
    pictures = list(zip(*written.pictures)) or [()] * len(Picture._fields)
    columns: dict[str, Any] = dict(zip(Picture._fields, pictures))
    columns |= {"shard": np.full(len(kept), number), "key": kept["uid"], BLURRED: columns["blurred"]}
    columns |= {name: _triples(values) for name, values in (("offset", shard.places), ("bytes", shard.lengths))}
    arrays = [_column(kept[f.name] if f.name in kept.column_names else columns[f.name], f.type) for f in schema]
    return pa.table(arrays, schema=schema).to_batches()


def _triples(numbers: list[int]) -> pa.Array:
    each = [pa.array(numbers[n::3], pa.int64()) for n in range(MEMBERS.num_fields)]
    return pa.StructArray.from_arrays(each, fields=list(MEMBERS))


def _column(values: Any, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    return values.cast(kind) if isinstance(values, pa.ChunkedArray | pa.Array) else pa.array(values, kind)


def _write_vectors(out: str, name: str, column: pa.ChunkedArray, rows: list[int]) -> dict[str, Any]:
    """Commit a .npy of float16 (samples, dimensions); its part record."""
    vectors = column.take(pa.array(rows, pa.int64())).to_pylist()
    size = len(vectors[0]) // 2 if vectors else 0
    with committing(join(out, name)) as file:
        header = {"descr": "<f2", "fortran_order": False, "shape": (len(vectors), size)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(b"".join(vectors))
    return {"name": name, "bytes": file.bytes, "rows": len(vectors), "sha256": file.sha256.hexdigest()}


def _faces(rows: pa.Table, blur_faces: bool) -> list[list[Box] | BadItemError]:
    """The boxes to blur in each picture; an error where it was not searched."""
    if not blur_faces:
        return [[]] * len(rows)
    found = zip(rows[FACES].to_pylist(), rows[f"{FACES}__error"].to_pylist())
    return [
        BadItemError(f"{FACES} is null", error or "")
        if boxes is None
        else [tuple(box[s] for s in BOX) for box in boxes]
        for boxes, error in found
    ]
