"""Reading a release as the trainer would, and saying what is wrong with it in one sentence per fault."""

import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import BrokenTableError, RecipeError
from curation.files import join
from curation.images import threads
from curation.records import read_record, record_text, seal_fault
from curation.schema import SAMPLES, SCHEMA_VERSION, SHARDS, SUBSET
from curation.shards.check import COLUMNS, member_faults, verdict_faults
from curation.shards.layout import layout_faults, picture_faults, vector_faults
from curation.shards.listed import Checked, check_bytes, check_table, check_tables
from curation.shards.manifest import CLAIM, Release
from curation.shards.mark import MARK, OPTIONAL, PARTS, parsed, read_mark, sharded

MAX_THREADS = 8  # hashing runs beside itself, the rest of a shard's check does not: more would wait for each other


def verify(out: str, progress: Callable[[int, int], None] | None = None, *, decode: bool = False) -> list[str]:
    """One sentence per fault of the release in `out`, naming file, what was wanted and found; [] if sound.

    Reads every byte once: release.json against its own digest, each other file against release.json, each shard's
    members against the manifest (names, places, captions, image headers; pixels are decoded with DECODE only), the
    manifest against the verdicts, and what the folders hold beyond what is listed. PROGRESS is told (shards done, all).
    Raises BrokenTableError if there is no release at all; nothing in the files makes it raise.
    """
    text = read_mark(out)
    mark, fault = parsed(text)
    faults = [f"{MARK}: {fault}"] if fault else [*_mark_faults(text, mark)]
    try:
        read_record(join(out, CLAIM))
    except BrokenTableError as error:
        faults.append(str(error))
    if mark is not None and mark["schema_version"] <= SCHEMA_VERSION:
        faults += _content_faults(Release(out, mark, {}), progress, decode)
    return [_one_line(fault) for fault in faults]


def verify_release(
    release: str,
    *,
    workers: int = 1,
    ranks: int = 1,
    decode: bool = False,
    rescore: int = 0,
    seed: int = 0,
    fix: bool = False,
    out: str | None = None,
) -> dict[str, Any]:
    """Read the shards of RELEASE as the trainer would and name every fault, one sentence each.

    WORKERS and RANKS are those of a training whose loader deals out whole shards: there must be one for each. DECODE
    decodes every picture, too. With --fix and where there are faults, OUT is a release made of what is whole: broken
    samples are dropped (`broken_sample` in its subset) and the manifest is made anew; RELEASE stays as it is. RESCORE
    samples, drawn by SEED, are scored again from the pictures and captions in the shards, by the models that
    the release records; a score that differs from the manifest's by more than 0.001 is a fault. Nothing is scored where
    the shards have faults. The sentences go to stderr; exit status 1 if there is one.
    """
    if min(workers, ranks) < 1 or fix != (out is not None):
        raise RecipeError(
            "curate verify: wanted --workers and --ranks of at least 1, and --fix and --out only together"
        )
    show = _show if sys.stderr.isatty() else None
    faults = verify(release, show, decode=decode)
    mark, _ = parsed(read_mark(release))
    told: dict[str, Any] = {"release": release, **(mark["counts"] if mark else {})}
    rescored: list[str] = []  # not mended: what is whole is taken over as it is
    if rescore and not faults:
        from curation.shards import rescore as again

        found = again.rescore(Release.open(release), rescore, seed)
        rescored = [_one_line(fault) for fault in found.faults]
        told |= {"rescored": found.columns, "not_rescored": found.left_out}
    asked = list(layout_faults(Release(release, mark, {}), workers, ranks)) if mark else []
    for fault in [*faults, *rescored, *asked]:
        print(fault, file=sys.stderr)
    if fix and faults:
        told |= _mended(release, out, decode) | {"faults_mended": len(faults)}
        faults = verify(out, show, decode=decode)
        for fault in faults:
            print(f"{out}: {fault}", file=sys.stderr)
    return told | {"faults": len(faults) + len(rescored) + len(asked)}


def _mended(release: str, out: str, decode: bool) -> dict[str, Any]:
    from curation.shards import mend

    source = mend.lenient(release)
    both = min(len(source.tars), len(source.mark["samples"]))  # beyond it a shard lacks its tar or its rows
    shards = range(max(len(source.tars), len(source.mark["samples"])))
    sound = [number < both and not _shard(source, number, decode).faults for number in shards]
    return mend.mend(release, out, sound, decode=decode)


def _show(done: int, shards: int) -> None:
    print(f"\r{done} of {shards} shards read", end="\n" if done == shards else "", file=sys.stderr, flush=True)


def _one_line(fault: str) -> str:
    """Names inside archives may hold anything; what would break the line or steer a terminal is escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in fault)


def _mark_faults(text: bytes, mark: dict[str, Any]) -> Iterator[str]:
    fault = seal_fault(text)
    if fault:
        yield f"{MARK}: {fault}"
    elif text != record_text(mark):
        yield f"{MARK}: wanted the text that a run writes (JSON, indented by 1, in ASCII), found another of this digest"
    if mark["schema_version"] > SCHEMA_VERSION:
        yield f"{MARK}: wanted schema_version {SCHEMA_VERSION} at most, found {mark['schema_version']}"


def _content_faults(release: Release, progress: Callable[[int, int], None] | None, decode: bool) -> Iterator[str]:
    yield from _numbering(release)
    yield from _unlisted(release)
    listed = len(release.mark["samples"])
    checked = []
    workers = ThreadPoolExecutor(min(MAX_THREADS, threads()))
    try:
        numbers = range(max(len(release.tars), listed))
        for done, each in enumerate(workers.map(lambda number: _shard(release, number, decode), numbers), 1):
            yield from each.faults
            checked += [each.rows["uid"].cast(pa.large_string())] if each.rows is not None else []
            if progress:
                progress(done, len(numbers))
    finally:
        workers.shutdown(cancel_futures=True)
    yield from vector_faults(release)
    for part in (part for kind in OPTIONAL for part in release.mark.get(kind, [])):
        yield from check_bytes(release, part)[1]
    subset = check_tables(release, SUBSET, "subset", ["uid", "keep"])
    yield from subset.faults
    yield from verdict_faults(subset.rows)
    if sharded(release.mark):
        uids = pa.chunked_array([chunk for each in checked for chunk in each.chunks], pa.large_string())
        yield from _uid_faults(uids, subset.rows if len(checked) == listed else None)
    shards = check_tables(release, SHARDS, "shards", SHARDS.names)
    yield from shards.faults
    if shards.rows is not None:
        yield from _shard_table_faults(release, shards.rows)


def _numbering(release: Release) -> Iterator[str]:
    """Faults of release.json itself: shard names without gaps, one samples part each, counts that add up."""
    mark = release.mark
    for kind, name in (("tars", "shards/{:08d}.tar"), ("samples", "manifest/samples/{:08d}.parquet")):
        for number, part in enumerate(mark[kind]):
            if part["name"] != name.format(number):
                yield f"{MARK}: wanted {name.format(number)} at place {number}, found {part['name']}"
    for tar, part in zip(release.tars, mark["samples"]):
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
        if (name != "kept" or sharded(mark)) and mark["counts"].get(name) != count:
            yield f"{MARK}: counts.{name} is {mark['counts'].get(name)}, but the parts listed hold {count}"


def _unlisted(release: Release) -> Iterator[str]:
    """Files in the release's folders that release.json does not list."""
    file_system, root = fsspec.core.url_to_fs(release.out)
    for kind, folder in PARTS.items():
        listed = {part["name"] for k in (kind, "embeddings") for part in release.mark.get(k, [])}
        try:
            paths = file_system.ls(join(root, folder), detail=False)
        except OSError:
            paths = []  # a folder that should be there shows as missing files
        for path in sorted(paths):
            name = f"{folder}/{path.rsplit('/', 1)[-1]}"
            if name.endswith((".tar", ".parquet", ".npy")) and name not in listed:
                yield f"{name}: wanted only the files that {MARK} lists, found this one beside them"


def _shard(release: Release, number: int, decode: bool) -> Checked:
    """The samples part and the tar of one shard, each for itself and against the other."""
    faults: list[str] = []
    rows = None
    if number < len(release.mark["samples"]):
        part = release.mark["samples"][number]
        faults, rows = check_table(release, SAMPLES, part, ["shard", *COLUMNS])
        faults += [] if rows is None else _row_faults(part["name"], rows, number)
    if number < len(release.tars):
        tar = release.tars[number]
        data, altered = check_bytes(release, tar)
        faults += altered
        if data is not None and rows is not None:
            faults += member_faults(tar["name"], data, rows, altered=bool(altered))
            faults += picture_faults(tar["name"], data, rows) if decode else []
    return Checked(faults, None if rows is None else rows.select(["uid"]))


def _row_faults(name: str, rows: pa.Table, shard: int) -> Iterator[str]:
    wrong = pc.sum(pc.not_equal(rows["shard"], shard)).as_py()
    if wrong:
        yield f"{name}: wanted shard {shard} in each row, found another in {wrong} rows"
    other = rows["uid"].filter(pc.not_equal(rows["uid"], rows["key"]))
    if len(other):
        yield f"{name}: wanted the uid as key in each row, found another for {_first(other)} ({len(other)} in all)"


def _uid_faults(samples: pa.ChunkedArray, subset: pa.Table | None) -> Iterator[str]:
    """A uid in two shards; kept verdicts and samples that do not answer each other.

    large_string: the uids of 67 million samples are 2**31 bytes, more than Arrow's string holds in one array.
    """
    counts = pc.value_counts(samples)
    repeated = counts.filter(pc.greater(pc.struct_field(counts, "counts"), 1))
    if len(repeated):
        yield f"manifest/samples: wanted each uid once, found {len(repeated)} repeated: {_first(repeated.field(0))}"
    if subset is None:
        return
    kept = subset["uid"].cast(pa.large_string()).filter(subset["keep"])
    for wanted, found, message in (
        (kept, samples, "subset: {} kept uids have no row in manifest/samples: {}"),
        (samples, kept, "manifest/samples: {} uids are not kept in subset: {}"),
    ):
        lost = wanted.filter(pc.invert(pc.is_in(wanted, found.combine_chunks())))
        if len(lost):
            yield message.format(len(lost), _first(lost))


def _first(uids: Iterable) -> str:
    return ", ".join(uids.slice(0, 3).to_pylist()) + (", ..." if len(uids) > 3 else "")


def _shard_table_faults(release: Release, table: pa.Table) -> Iterator[str]:
    rows = {row.pop("shard"): row for row in table.to_pylist()}
    for shard, tar in enumerate(release.tars):
        wanted = {"samples": tar["rows"], "bytes": tar["bytes"], "sha256": tar["sha256"]}
        if rows.get(shard) != wanted:
            yield f"manifest/shards: wanted {wanted} for shard {shard} as {MARK} has it, found {rows.get(shard)}"
    if extra := sorted(set(rows) - set(range(len(release.tars)))):
        yield f"manifest/shards: wanted shards 0 to {len(release.tars) - 1}, found also {extra}"
