"""A release's vectors as clip-retrieval and autofaiss read them: its folders, its file names. No Spark."""

import shutil
from typing import Any

import fsspec
import pyarrow as pa

from curation.errors import RecipeError
from curation.files import absolute, committing, join
from curation.partial import whole_folder
from curation.parts import parquet_writer, part_uris
from curation.shards.manifest import Release
from curation.shards.writer import vectors_name

COPY_BYTES = 1 << 20
LEFT_OUT = ("shard", "key", "offset", "bytes")  # of the samples: places in tars, and the key, which is image_path


def retrieval(
    out: str, folder: str, *, images: str = "image_embedding", captions: str = "caption_embedding"
) -> dict[str, Any]:
    """Lay out the vectors of the release OUT in FOLDER as clip-retrieval does: img_emb, text_emb and metadata.

    FOLDER/img_emb/img_emb_0.npy has the vectors of the signal IMAGES of the first shard's samples, in their order,
    text_emb/text_emb_0.npy those of CAPTIONS, metadata/metadata_0.parquet image_path (the key), caption and the other
    columns of the manifest that hold one value each; the next shard has number 1, and so on. A signal that the release
    has no vectors of (write_shards.embeddings) is left out; one there must be.
    """
    release, folder = Release.open(out), absolute(folder)
    shards = [number for number, tar in enumerate(release.tars) if tar["rows"]]
    listed = {part["name"] for part in release.mark.get("embeddings", [])}
    kinds = {"img_emb": images, "text_emb": captions}
    found = {kind: name for kind, name in kinds.items() if shards and vectors_name(shards[0], name) in listed}
    if not found:
        there = sorted({name.split(".")[1] for name in listed})
        raise RecipeError(f"{out}: no vectors of {images} or {captions}, only of {there}; see write_shards.embeddings")
    with whole_folder(folder) as place:
        part_uris(release.out, release.mark["embeddings"])  # before the first is copied: none is damaged
        digits = len(str(len(shards)))  # as clip-retrieval pads them, so that names sort as numbers do
        for index, number in enumerate(shards):
            for kind, name in found.items():
                source = join(release.out, vectors_name(number, name))
                with fsspec.open(source, "rb") as file, committing(_name(place, kind, index, digits, "npy")) as copy:
                    shutil.copyfileobj(file, copy, COPY_BYTES)
            rows = _metadata(release.shard_samples(number))
            with (
                committing(_name(place, "metadata", index, digits, "parquet")) as file,
                parquet_writer(file, rows.schema) as writer,
            ):
                writer.write_table(rows)
    return {"folder": folder, "samples": sum(tar["rows"] for tar in release.tars), "files": len(shards), **found}


def _name(folder: str, kind: str, place: int, digits: int, extension: str) -> str:
    return join(folder, kind, f"{kind}_{place:0{digits}d}.{extension}")


def _metadata(rows: pa.Table) -> pa.Table:
    plain = [f.name for f in rows.schema if not pa.types.is_nested(f.type) and not pa.types.is_binary(f.type)]
    named = rows.select([name for name in plain if name not in LEFT_OUT])
    return named.add_column(0, "image_path", rows["key"])
