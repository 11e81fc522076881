"""One shard of a release: bytes from their source files into a tar, and the manifest rows beside it."""

import hashlib
import io
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from curation.errors import BadItemError, BrokenTableError
from curation.files import committing, join
from curation.images import decode, header, read_pointers
from curation.parts import part_uris, write_part
from curation.records import read_record, write_record
from curation.schema import SAMPLES, hex_id
from curation.shards.blur import Box, blurred, encoded
from curation.shards.tar import Sample, write_shard

KEPT_FORMATS = ("jpg", "png", "webp")  # what trainers read; anything else becomes a PNG, which loses nothing
NOT_IN_JSON = ("shard", "offset", "bytes")
BOX = ("r0", "c0", "r1", "c1")
FACES = "face_boxes"  # of the rows, where faces are to be blurred
BLURRED = "blurred_faces"  # of the manifest then: how many boxes were blurred in the picture


def shard_record(out: str, number: int) -> str:
    """Where the record of a shard is left until release.json lists it."""
    return join(out, "manifest", "parts", f"{number:08d}.json")


def write_release_shard(
    out: str, number: int, rows: pa.Table, signals: list[str], blur_faces: bool = False
) -> pa.Array:
    """Commit shard `number` with the samples of `rows`, in that order; per row why it could not be written, or null.

    `rows` has the columns of SAMPLES that the pool knows, `image` pointers and the signals. With BLUR_FACES it has
    `face_boxes` too, and pictures that have faces are blurred there and written as JPEG. The shard's record comes last;
    an earlier attempt's is used again where it was made of the same rows.
    """
    boxes = [str(rows[FACES].to_pylist())] if blur_faces else []
    content = hex_id(str(rows.schema), *rows["uid"].to_pylist(), *rows["caption"].to_pylist(), *boxes)
    record = _earlier(out, number)
    if record is None or record["content"] != content:
        record = _write(out, number, rows, signals, blur_faces) | {"content": content}
        write_record(shard_record(out, number), record)
    errors = record["errors"]
    return pa.array([errors.get(uid) for uid in rows["uid"].to_pylist()], pa.string())


def _earlier(out: str, number: int) -> dict[str, Any] | None:
    """The record that an earlier attempt left of a shard; None where a file of it is not as the record says."""
    try:
        record = read_record(shard_record(out, number))
        if record is not None:
            part_uris(out, [record["tar"], record["samples"]])
    except BrokenTableError:
        return None
    return record


def _write(out: str, number: int, rows: pa.Table, signals: list[str], blur_faces: bool) -> dict[str, Any]:
    name = f"{number:08d}"
    errors: dict[str, str] = {}
    written: list[dict[str, Any]] = []
    schema = samples_schema(rows.schema, signals, blur_faces)
    with committing(join(out, "shards", f"{name}.tar")) as file:
        # The inner file: write_shard hashes what it writes, once is enough.
        shard = write_shard(file.file, _samples(number, rows, schema, _faces(rows, blur_faces), errors, written))
    for row, offset, size in zip(written, shard.offsets, shard.sizes):
        row |= {"offset": offset, "bytes": size}
    batch = pa.RecordBatch.from_pylist(written, schema)
    part = write_part(join(out, "manifest", "samples"), name, [batch], schema).record()
    tar = {"name": f"shards/{name}.tar", "bytes": shard.bytes, "rows": shard.samples, "sha256": shard.sha256}
    return {"tar": tar, "samples": part | {"name": f"manifest/samples/{name}.parquet"}, "errors": errors}


def samples_schema(rows: pa.Schema, signals: list[str], blur_faces: bool) -> pa.Schema:
    """SAMPLES plus a column per signal that the recipe keeps, and how many faces were blurred if any are to be."""
    extra = [pa.field(n, rows.field(n).type) for n in signals if n not in SAMPLES.names]
    return pa.schema([*SAMPLES.arrow, *extra, *([pa.field(BLURRED, pa.int32())] if blur_faces else [])])


def _samples(
    number: int, rows: pa.Table, schema: pa.Schema, faces: list, errors: dict[str, str], written: list[dict]
) -> Iterator[Sample]:
    """The samples that can be read, one picture in memory at a time; notes each row written, each error."""
    columns = [n for n in schema.names if n in rows.column_names]
    listed = rows.select(columns).to_pylist()
    for row, data, boxes in zip(listed, read_pointers(rows["image"].to_pylist()), faces):
        try:
            found = _picture(data) if boxes is None else _without_faces(data, boxes)
        except BadItemError as error:
            errors[row["uid"]] = str(error)
            continue
        row |= {"shard": number, "key": row["uid"]} | found
        image = row.pop("image_data")
        written.append(row)
        record = {k: v for k, v in row.items() if k not in NOT_IN_JSON}
        yield Sample(row["uid"], row["format"], image, row["caption"], record)


def _picture(data: bytes | BadItemError) -> dict[str, Any]:
    if isinstance(data, BadItemError):
        raise data
    found = header(data)
    extension = found.format
    if extension not in KEPT_FORMATS:
        data, extension = _png(data), "png"
    digest = hashlib.sha256(data).hexdigest()
    return {"image_data": data, "width": found.width, "height": found.height, "format": extension, "sha256": digest}


def _faces(rows: pa.Table, blur_faces: bool) -> list[list[Box] | BadItemError | None]:
    """The boxes to blur in each picture; None where none are to be, an error where it was not searched."""
    if not blur_faces:
        return [None] * len(rows)
    found = zip(rows[FACES].to_pylist(), rows[f"{FACES}__error"].to_pylist())
    return [
        BadItemError(f"{FACES} is null", error or "")
        if boxes is None
        else [tuple(box[s] for s in BOX) for box in boxes]
        for boxes, error in found
    ]


def _without_faces(data: bytes | BadItemError, boxes: list[Box] | BadItemError) -> dict[str, Any]:
    """The picture with its faces blurred; one without faces as it is, byte for byte."""
    if isinstance(boxes, BadItemError):
        raise boxes
    if isinstance(data, BadItemError) or not boxes:
        return _picture(data) | {BLURRED: 0}
    pixels = decode(data)
    return _picture(encoded(blurred(pixels, boxes))) | {BLURRED: len(boxes)}


def _png(data: bytes) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(decode(data)).save(file, "PNG")
    return file.getvalue()
