"""A release in DataComp's forms: the list of its uids, and metadata under DataComp's column names. No Spark."""

import re
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from curation.errors import RecipeError, SchemaError, StaleOutputError
from curation.files import absolute, committing, exists, join
from curation.methods.identifiers import datacomp_uid
from curation.partial import whole_folder
from curation.parts import write_part
from curation.report.parts import read_where
from curation.shards.manifest import Release

KIND = np.dtype("u8,u8")  # high and low 64 bits of a uid (mlfoundations/datacomp 4a8df19, baselines)
UID = re.compile("[0-9a-f]{32}")
SCORES = {"clip_b32_similarity_score": "ViT-B-32", "clip_l14_similarity_score": "ViT-L-14"}  # column -> architecture
# Columns of DataComp's metadata (arXiv:2304.14108, appendix): ours, renamed; boxes are not known here
METADATA = pa.schema(
    [
        ("uid", pa.string()),
        ("url", pa.string()),
        ("text", pa.string()),
        ("original_width", pa.int64()),
        ("original_height", pa.int64()),
        *((name, pa.float32()) for name in SCORES),
        ("face_bboxes", pa.list_(pa.list_(pa.float64()))),
        ("sha256", pa.string()),
    ]
)
Uid = Literal["own", "document", "datacomp"]
Format = Literal["datacomp", "mds"]


def export(
    out: str, file: str, *, format: Format = "datacomp", uid: Uid = "own", metadata: str | None = None
) -> dict[str, Any]:
    """Write the uids of the pairs that the release OUT keeps to FILE, a subset as DataComp's tools read and write it.

    That is a .npy, sorted, of pairs of 64-bit words (dtype "u8,u8"), each uid once. UID own: ours. document: the key
    that the source gave each pair, which of a pool made of DataComp's metadata is DataComp's uid. datacomp: the md5 of
    caption and URL by which DataComp and cc2dataset name a pair; of the caption as ingested: where the recipe changes
    captions, `caption_raw` must be among the signals of write_shards. METADATA, a folder, gets Parquet files with the
    same uids and DataComp's column names, one per shard: text is that same caption, clip_score goes to the column of
    its model. The other way round, a bound { in_file = FILE } on document, uid or datacomp_uid restricts a pool.

    FORMAT mds: FILE is a folder for MosaicML Streaming instead, with every sample: caption, image (bytes as in the
    tar), record (of the .json) and uid; its index.json comes last.
    """
    release = Release.open(out)
    if format == "mds":
        return _export_mds(release, file, uid, metadata)
    for place in filter(None, (file, metadata)):
        if exists(place):
            raise StaleOutputError(f"{place} exists: name another file or folder")
    # The folder gets its name in the end, right before the file does: with neither there the same command goes on.
    with committing(absolute(file)) as opened, whole_folder(metadata) if metadata else nullcontext() as folder:
        words = [np.empty(0, KIND)]
        for number, rows in enumerate(_kept(release, uid != "own" or metadata is not None)):
            ids = _ids(release, rows, uid)
            words.append(_words(ids, out))
            if folder is not None:
                write_part(folder, f"{number:08d}", _metadata(release, rows, ids).to_batches(), METADATA)
        subset = np.concatenate(words)
        subset = subset[np.lexsort((subset["f1"], subset["f0"]))]
        subset = subset[np.append(True, subset[1:] != subset[:-1])[: len(subset)]]
        np.lib.format.write_array(opened, subset, (1, 0))
    return {"subset": file, "uids": len(subset)} | ({"metadata": metadata} if metadata else {})


def _export_mds(release: Release, folder: str, uid: Uid, metadata: str | None) -> dict[str, Any]:
    from curation.shards.mds import INDEX, write_mds

    if uid != "own" or metadata is not None:
        raise RecipeError(
            "curate export --format mds: has no other uids and no metadata: leave out --uid and --metadata"
        )
    if exists(join(folder, INDEX)):
        raise StaleOutputError(f"{folder} exists: name another file or folder")
    return {"mds": folder, "samples": write_mds(release, absolute(folder))}


def _kept(release: Release, samples: bool) -> Iterator[pa.Table]:
    """The kept pairs: rows of the samples, a shard at a time, or of uids alone."""
    mark = release.mark
    if samples and not mark["samples"]:
        raise RecipeError(f"{release.out} has no samples, only uids of its own: end the recipe with write_shards")
    if samples:
        yield from (release.shard_samples(number) for number in range(len(mark["samples"])))
    else:
        for part in mark["subset"]:
            rows = read_where(release.out, part, ["uid", "keep"])
            yield rows.filter(rows["keep"])


def _ids(release: Release, rows: pa.Table, uid: Uid) -> list[str | None]:
    if uid == "own":
        return rows["uid"].to_pylist()
    if uid == "document":
        return rows["document"].to_pylist()
    pairs = zip(rows["url"].to_pylist(), _texts(release, rows).to_pylist())
    return [None if url is None else datacomp_uid(url, text) for url, text in pairs]


def _texts(release: Release, rows: pa.Table) -> pa.ChunkedArray:
    """The captions as ingested."""
    if "caption_raw" in rows.column_names:
        return rows["caption_raw"]
    changed = [s["name"] for s in release.mark["stages"] if s["run"] in ("clean_captions", "mix_captions")]
    if changed:
        told = (
            f"{release.out}: {', '.join(changed)} changed captions, and uid datacomp and metadata need them as ingested"
        )
        raise RecipeError(f"{told}: add caption_raw to the signals of write_shards")
    return rows["caption"]


def _words(ids: list[str | None], out: str) -> np.ndarray:
    bad = [each for each in ids if each is None or not UID.fullmatch(each)]
    if bad:
        raise SchemaError(
            f"{out}: wanted uids of 32 hex characters, found {bad[0]!r}; see --uid in curate export --help"
        )
    words = np.frombuffer(bytes.fromhex("".join(ids)), ">u8").astype("<u8")
    return words.view(KIND)


def _metadata(release: Release, rows: pa.Table, ids: list[str | None]) -> pa.Table:
    columns = {"uid": pa.array(ids, pa.string()), "text": _texts(release, rows)}
    names = {"url": "url", "original_width": "width", "original_height": "height", "sha256": "sha256"}
    columns |= {theirs: rows[ours].cast(METADATA.field(theirs).type) for theirs, ours in names.items()}
    model = release.mark["signals"].get("image_embedding", {}).get("models", {}).get("clip", {}).get("name", "")
    for name, architecture in SCORES.items():
        if architecture in model and "clip_score" in rows.column_names:
            columns[name] = rows["clip_score"]
    missing = {f.name: pa.nulls(len(rows), f.type) for f in METADATA if f.name not in columns}
    return pa.table({name: (columns | missing)[name] for name in METADATA.names})
