"""A release made from another: shards that stay are linked, the others written again without some of their samples.

The new one stands alone. It is claimed before work and its release.json comes last, as of any release; what a killed
attempt finished is used again.
"""

import contextlib
import io
import json
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import BrokenTableError, StaleOutputError
from curation.files import absolute, committing, holds_files, join, locked, swept
from curation.parts import part_uris, write_part
from curation.records import read_record, record_text, sealed, write_record
from curation.schema import SHARDS, SUBSET
from curation.shards.copies import link
from curation.shards.listed import check_bytes
from curation.shards.manifest import CLAIM, Release
from curation.shards.mark import CHANGES, MARK, phase_samples
from curation.shards.tar import end_of_archive, header, padding
from curation.shards.writer import shard_record
from curation.tables import read_arrow, read_done, write_done

LEDGER = "ledger.jsonl"
FOLDERS = (
    "",
    "shards",
    "subset",
    "manifest",
    "manifest/samples",
    "manifest/shards",
    "manifest/parts",
    "manifest/changes",
)


class Kept(NamedTuple):
    """What a shard written again is to hold: manifest rows, per row the (name, offset, size) of its members, and
    the places that the rows had in the shard, for its vectors.
    """

    rows: pa.Table
    members: list[list[tuple[str, int, int]]]
    places: list[int]


@contextlib.contextmanager
def claimed(out: str, key: str, source: Release) -> Iterator[str]:
    """Hold the folder `out` for the release of this key while the block runs; StaleOutputError where it has another."""
    folder = absolute(out)
    if folder == absolute(source.out):
        raise StaleOutputError(
            f"--out {out} is the release itself, and no file of a release is ever changed: name another"
        )
    with locked(folder, wait=False):
        found = read_record(join(folder, CLAIM))
        if holds_files(folder) if found is None else found.get("key") != key:
            raise StaleOutputError(f"{folder} holds something else already: name another --out")
        wanted = {"recipe": source.mark.get("recipe", ""), "pool_key": source.mark.get("pool_key", ""), "key": key}
        with swept(*(join(folder, name) if name else folder for name in FOLDERS)):
            write_record(join(folder, CLAIM), wanted | {"pool": source.places["pool"], "store": source.places["store"]})
            yield folder


def keep_shard(source: Release, out: str, number: int) -> dict[str, Any]:
    """Take over a shard as it is; its record."""
    tar, samples = source.tars[number], source.mark["samples"][number]
    vectors = embeddings(source, number)
    for part in (tar, samples, *vectors):
        link(source.out, out, part)
    return {"tar": tar, "samples": samples, "embeddings": vectors}


def embeddings(source: Release, number: int) -> list[dict[str, Any]]:
    """The parts of a shard's vectors."""
    return [part for part in source.mark.get("embeddings", []) if part["name"].startswith(f"shards/{number:08d}.")]


def rewrite_shard(
    source: Release, out: str, number: int, content: str, find: Callable[[], tuple[bytes, Kept]]
) -> dict[str, Any]:
    """Write a shard again with the samples that `find` gives, and the bytes they lie in; its record.

    `content` stands for what the shard is to hold: an earlier attempt at the same is used again.
    """
    record = read_record(shard_record(out, number))
    if record is not None and record["content"] == content and _whole(out, record):
        return record
    name = f"{number:08d}"
    data, kept = find()
    with committing(join(out, "shards", f"{name}.tar")) as file:
        moved = _write_members(file, data, kept.members)
    tar = {"name": f"shards/{name}.tar", "bytes": file.bytes, "rows": len(kept.rows), "sha256": file.sha256.hexdigest()}
    rows = _placed(kept.rows, moved)
    part = write_part(join(out, "manifest", "samples"), name, rows.to_batches(), rows.schema).record()
    samples = part | {"name": f"manifest/samples/{name}.parquet"}
    vectors = [_vectors(source, out, each, kept.places) for each in embeddings(source, number)]
    record = {"tar": tar, "samples": samples, "embeddings": vectors, "content": content}
    write_record(shard_record(out, number), record)
    return record


def _whole(out: str, record: dict[str, Any]) -> bool:
    try:
        part_uris(out, [record["tar"], record["samples"], *record["embeddings"]])
    except BrokenTableError:
        return False
    return True


def _write_members(file: BinaryIO, data: bytes, samples: list[list[tuple[str, int, int]]]) -> dict[int, int]:
    """Write a tar of these members of `data`; where each lay there -> where its data lies now."""
    moved, place, view = {}, 0, memoryview(data)
    for name, offset, size in (member for sample in samples for member in sample):
        head = header(name, size)
        moved[offset] = place + len(head)
        file.write(b"".join((head, view[offset : offset + size], padding(size))))
        place = moved[offset] + size + -size % 512
    file.write(end_of_archive(place))
    view.release()
    return moved


def _vectors(source: Release, out: str, part: dict[str, Any], places: list[int]) -> dict[str, Any]:
    """The vectors of the samples that stay, in a .npy of their own."""
    data, faults = check_bytes(source, part)
    if faults:
        raise BrokenTableError(f"{source.out}: {faults[0]}; see curate verify --fix")
    vectors = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)[places]
    with committing(join(out, part["name"])) as file:
        np.lib.format.write_array(file, vectors, (1, 0), allow_pickle=False)
    return {"name": part["name"], "bytes": file.bytes, "rows": len(vectors), "sha256": file.sha256.hexdigest()}


def _placed(rows: pa.Table, moved: dict[int, int]) -> pa.Table:
    """The rows with the new offsets of their members."""
    offsets = rows["offset"].combine_chunks()
    columns = [pa.array([moved.get(at) for at in column.to_pylist()], column.type) for column in offsets.flatten()]
    placed = pa.StructArray.from_arrays(columns, fields=list(offsets.type))
    field = rows.schema.field("offset")
    return rows.set_column(rows.column_names.index("offset"), field, placed)


def write_subset(source: Release, out: str, verdicts: pa.Table) -> list[dict[str, Any]]:
    """The verdicts of the release with these rows in place of those of their uids; parts without one are linked."""
    parts = []
    for part in source.mark["subset"]:
        name = part["name"].rpartition("/")[2].removesuffix(".parquet")
        rows = read_arrow(source.out, [part])
        hit = pc.is_in(rows["uid"], verdicts["uid"].combine_chunks())
        if not pc.any(hit, min_count=0).as_py():
            link(source.out, out, part)
            parts.append(part)
            continue
        changed = verdicts.filter(pc.is_in(verdicts["uid"], rows["uid"].combine_chunks()))
        rows = pa.concat_tables([rows.filter(pc.invert(hit)), changed.select(rows.column_names)]).sort_by("uid")
        batch = rows.cast(SUBSET.arrow).combine_chunks().to_batches()
        record = write_part(join(out, "subset"), name, batch, SUBSET.arrow).record()
        parts.append(record | {"name": f"subset/{record['name']}"})
    return parts


def commit(source: Release, out: str, records: list[dict[str, Any]], subset: list[dict], more: dict[str, Any]) -> dict:
    """Write the table of shards, and release.json, after which the folder is a release; its content."""
    tars, samples = [r["tar"] for r in records], [r["samples"] for r in records]
    rows = [{"shard": n, "samples": t["rows"], "bytes": t["bytes"], "sha256": t["sha256"]} for n, t in enumerate(tars)]
    batch = pa.RecordBatch.from_pylist(rows, SHARDS.arrow)
    part = write_part(join(out, "manifest", "shards"), "00000000", [batch], SHARDS.arrow).record()
    counts = {"pool": sum(p["rows"] for p in subset), "kept": sum(t["rows"] for t in tars), "shards": len(tars)}
    mark = {name: value for name, value in source.mark.items() if name != "digest"}
    mark |= {"counts": mark["counts"] | counts, "samples": samples, "tars": tars, "subset": subset}
    mark |= {"shards": [part | {"name": f"manifest/shards/{part['name']}"}], **more}
    if "embeddings" in mark:
        mark["embeddings"] = [part for record in records for part in record["embeddings"]]
    if "phases" in mark:
        mark["phases"] = [phase | {"samples": phase_samples(phase["shards"], tars)} for phase in mark["phases"]]
    write_record(join(out, MARK), mark)
    return mark


def changes(source: Release, out: str, key: str, diff: dict[str, Any], *more: dict[str, Any]) -> list[dict[str, Any]]:
    """Write a diff as manifest/changes/KEY.json; the parts of all changes, those before it linked."""
    earlier = source.mark.get("changes", [])
    for part in earlier:
        link(source.out, out, part)
    name = f"{CHANGES}/{key[:16]}.json"
    text = record_text(sealed(diff))
    with committing(join(out, name)) as file:
        file.write(text)
    return [*earlier, *more, {"name": name, "bytes": len(text), "rows": 1, "sha256": file.sha256.hexdigest()}]


def stage_tables(source: Release, out: str, step: dict[str, Any]) -> None:
    """The stage tables that lie in the release itself, linked; and its ledger, with one more line."""
    for number, each in enumerate(source.mark.get("stages", [])):
        folder = source.stage_folder(number)
        done = read_done(folder) if each["run"] == "write_shards" else None
        if done is None:
            continue
        place = join("stages", folder.rpartition("/")[2])
        parts = [*done["parts"], *(p | {"name": f"{n}/{p['name']}"} for n, ps in done["tables"].items() for p in ps)]
        for part in parts:
            link(source.out, out, part | {"name": f"{place}/{part['name']}"})
        write_done(join(out, place), done)
    file_system, path = fsspec.core.url_to_fs(join(source.out, LEDGER))
    earlier = file_system.cat_file(path) if file_system.exists(path) else b""
    with committing(join(out, LEDGER)) as file:
        file.write(earlier + json.dumps(step, sort_keys=True).encode() + b"\n")
