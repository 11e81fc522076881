"""Reading a release as the trainer would, and saying what is wrong with it in one sentence per fault."""

import hashlib
import sys
from collections.abc import Iterator
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import BrokenTableError
from curation.files import join
from curation.schema import SAMPLES
from curation.shards.check import COLUMNS, member_faults
from curation.shards.manifest import MARK, Release, open_bytes

PARTS = {"samples": "manifest/samples", "shards": "manifest/shards", "tars": "shards", "subset": "subset"}


def verify(out: str) -> list[str]:
    """One sentence per fault of the release in `out`, naming file, what was wanted and what was found; [] if sound.

    Reads every byte once: file digests against release.json, then each shard's members against the manifest (names,
    places, captions, image headers; pixels are not decoded), the manifest against the verdicts, and what the folders
    hold beyond what is listed. Raises BrokenTableError if there is no release at all.
    """
    release = Release.open(out)
    faults = [*_numbering(release), *_unlisted(release)]
    sound = {kind: _digest_faults(release, kind, faults) for kind in ("samples", "shards", "subset")}
    uids: list[pa.ChunkedArray] = []
    for shard in range(len(release.tars)):
        rows = None
        if shard < len(release.mark["samples"]) and release.mark["samples"][shard]["name"] in sound["samples"]:
            rows = _rows(release, shard, faults)
        faults += _shard_faults(release, shard, rows)
        if rows is not None:
            uids.append(rows["uid"])
    if len(uids) == len(release.mark["samples"]):
        kept = pa.chunked_array([chunk for u in uids for chunk in u.chunks], pa.string())
        faults += _uid_faults(release, kept, len(sound["subset"]) == len(release.mark["subset"]))
    if len(sound["shards"]) == len(release.mark["shards"]):
        faults += _shard_table_faults(release)
    return faults


def verify_release(out: str) -> dict[str, Any]:
    """Read the shards of the release OUT as the trainer would and name every fault, one sentence each.

    The sentences go to stderr; exit status 1 if there is one.
    """
    faults = verify(out)
    for fault in faults:
        print(fault, file=sys.stderr)
    return {"release": out, **Release.open(out).mark["counts"], "faults": len(faults)}


def _numbering(release: Release) -> Iterator[str]:
    """Faults of release.json itself: shard names without gaps, one samples part each, counts that add up."""
    mark = release.mark
    for number, (tar, part) in enumerate(zip(release.tars, mark["samples"])):
        for record, wanted in ((tar, f"shards/{number:08d}.tar"), (part, f"manifest/samples/{number:08d}.parquet")):
            if record["name"] != wanted:
                yield f"{MARK}: wanted {wanted} at place {number}, found {record['name']}"
        if tar["rows"] != part["rows"]:
            yield f"{MARK}: {tar['name']} has {tar['rows']} samples, but {part['name']} has {part['rows']} rows"
    if len(release.tars) != len(mark["samples"]):
        yield f"{MARK}: wanted a samples part per shard, found {len(mark['samples'])} for {len(release.tars)} shards"
    found = {
        "pool": sum(part["rows"] for part in mark["subset"]),
        "kept": sum(part["rows"] for part in mark["samples"]),
        "shards": len(release.tars),
    }
    for name, count in found.items():
        if mark["counts"].get(name) != count:
            yield f"{MARK}: counts.{name} is {mark['counts'].get(name)}, but the parts listed hold {count}"


def _unlisted(release: Release) -> Iterator[str]:
    """Files in the release's folders that release.json does not list."""
    file_system, root = fsspec.core.url_to_fs(release.out)
    for kind, folder in PARTS.items():
        listed = {part["name"] for part in release.mark[kind]}
        try:
            paths = file_system.ls(join(root, folder), detail=False)
        except FileNotFoundError:
            paths = []  # a folder that should be there shows as missing files
        for path in sorted(paths):
            name = f"{folder}/{path.rsplit('/', 1)[-1]}"
            if name.endswith((".tar", ".parquet")) and name not in listed:
                yield f"{name}: wanted only the files that {MARK} lists, found this one beside them"


def _digest_faults(release: Release, kind: str, faults: list[str]) -> set[str]:
    """Names of the listed files of this kind that are as committed; a sentence is added for each other one."""
    sound = set()
    for part in release.mark[kind]:
        found = list(_altered(part, _bytes(release, part)))
        faults += found
        if not found:
            sound.add(part["name"])
    return sound


def _bytes(release: Release, part: dict[str, Any]) -> Any:
    try:
        return open_bytes(join(release.out, part["name"]))
    except BrokenTableError:
        return None


def _altered(part: dict[str, Any], data: Any) -> Iterator[str]:
    if data is None:
        yield f"{part['name']}: wanted {part['bytes']} bytes, found no file"
    elif len(data) != part["bytes"]:
        yield f"{part['name']}: wanted {part['bytes']} bytes, found {len(data)}"
    elif (digest := hashlib.sha256(data).hexdigest()) != part["sha256"]:
        yield f"{part['name']}: wanted sha256 {part['sha256']}, found {digest}"


def _rows(release: Release, shard: int, faults: list[str]) -> pa.Table | None:
    """The manifest rows of a shard, or None and a sentence where the table is not one of samples."""
    name = release.mark["samples"][shard]["name"]
    rows = release.shard_samples(shard)
    missing = [column for column in SAMPLES.names if column not in rows.column_names]
    if missing:
        faults.append(f"{name}: wanted the columns of table samples, found none of {missing}")
        return None
    wrong = pc.sum(pc.not_equal(rows["shard"], shard)).as_py()
    if wrong:
        faults.append(f"{name}: wanted shard {shard} in each row, found another in {wrong} rows")
    return rows.select(COLUMNS)


def _shard_faults(release: Release, shard: int, rows: pa.Table | None) -> list[str]:
    tar = release.tars[shard]
    data = _bytes(release, tar)
    faults = list(_altered(tar, data))
    if data is not None and rows is not None:
        faults += member_faults(tar["name"], data, rows)
    return faults


def _uid_faults(release: Release, samples: pa.ChunkedArray, with_subset: bool) -> Iterator[str]:
    """A uid in two shards; kept verdicts and samples that do not answer each other."""
    counts = pc.value_counts(samples)
    repeated = counts.filter(pc.greater(pc.struct_field(counts, "counts"), 1))
    if len(repeated):
        yield f"manifest/samples: wanted each uid once, found {len(repeated)} repeated: {_first(repeated.field(0))}"
    if not with_subset:
        return
    subset = release.subset(["uid", "keep"])
    kept = subset["uid"].filter(subset["keep"])
    for wanted, found, message in (
        (kept, samples, "subset: {} kept uids have no row in manifest/samples: {}"),
        (samples, kept, "manifest/samples: {} uids are not kept in subset: {}"),
    ):
        lost = wanted.filter(pc.invert(pc.is_in(wanted, found.combine_chunks())))
        if len(lost):
            yield message.format(len(lost), _first(lost))
    pairs = pc.count_distinct(subset["uid"]).as_py()
    if pairs != len(subset):
        yield f"subset: wanted each uid once, found {len(subset)} rows for {pairs} uids"


def _first(uids: pa.Array | pa.ChunkedArray) -> str:
    return ", ".join(uids.slice(0, 3).to_pylist()) + (", ..." if len(uids) > 3 else "")


def _shard_table_faults(release: Release) -> Iterator[str]:
    rows = {row.pop("shard"): row for row in release.shards().to_pylist()}
    for shard, tar in enumerate(release.tars):
        wanted = {"samples": tar["rows"], "bytes": tar["bytes"], "sha256": tar["sha256"]}
        if rows.get(shard) != wanted:
            yield f"manifest/shards: wanted {wanted} for shard {shard} as {MARK} has it, found {rows.get(shard)}"
    if extra := sorted(set(rows) - set(range(len(release.tars)))):
        yield f"manifest/shards: wanted shards 0 to {len(release.tars) - 1}, found also {extra}"
