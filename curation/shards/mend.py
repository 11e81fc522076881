"""A release without what is broken in it: samples that are as their own records say, in a manifest made anew."""

import hashlib
from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import BadItemError, BrokenTableError
from curation.files import join, remove_folder
from curation.headers import header as image_header
from curation.parts import write_part
from curation.records import read_record
from curation.schema import SAMPLES, SUBSET, hex_id
from curation.shards import derive
from curation.shards.check import MEMBERS
from curation.shards.layout import undecodable, vector_faults
from curation.shards.listed import check_bytes, check_table
from curation.shards.manifest import CLAIM, Release
from curation.shards.mark import MARK, parsed, read_mark
from curation.shards.tar import Member, read_members
from curation.tables import prefix_digits

BROKEN = "broken_sample"  # drop_reason in the subset, of the stage STEP
STEP = "verify"
IMAGES = ("jpg", "png", "webp")


def lenient(out: str) -> Release:
    """The release in `out` though its release.json may be damaged, as long as it says which files there are."""
    mark, fault = parsed(read_mark(out))
    if mark is None:
        raise BrokenTableError(f"{join(out, MARK)}: {fault}; without it nothing says which files are the release's")
    try:
        places = read_record(join(out, CLAIM)) or {}
    except BrokenTableError:
        places = {}  # where pool and store lay: the release stands without
    return Release(out, mark, {"pool": "", "store": ""} | places)


def mend(out: str, new: str, sound: list[bool], *, decode: bool = False) -> dict[str, Any]:
    """Write the release NEW with every sample of OUT that is whole; what it holds, and how many samples went.

    `sound` says of each shard whether it can stay as it is; the others are written again without the samples whose
    picture, caption or record is not as their row says. A row that the manifest has lost is made from the sample's own
    .json; a verdict that is lost stays lost, but for the samples there are. Embeddings beside the tars stay only where
    all can still be told which sample they are of. StaleOutputError where NEW was made with another SOUND or DECODE.
    """
    source = lenient(out)
    earlier = source.mark.get("changes", [])
    source.mark["changes"] = [part for part in earlier if not check_bytes(source, part)[1]]
    if not _vectors_stay(source):
        source.mark.pop("embeddings", None)
    parts = [part["sha256"] for kind in ("tars", "samples", "subset") for part in source.mark[kind]]
    key = hex_id("mend", *parts, str(decode), *map(str, sound))
    with derive.claimed(new, key, source) as folder:
        if (done := read_record(join(folder, MARK))) is None:
            schema = _schema(source)
            seen: set[str] = set()
            records = [_shard(source, folder, number, sound, schema, seen, decode) for number in range(len(sound))]
            subset, lost = _subset(source, folder, seen)
            changes = derive.changes(source, folder, key, {"lost": lost, "of": source.mark.get("digest")})
            done = derive.commit(source, folder, records, subset, {"key": key, "changes": changes})
        remove_folder(join(folder, "manifest", "parts"))  # also what an attempt left that was killed before this
    before = source.mark["counts"].get("kept", 0)
    return {"mended": folder, **done["counts"], "samples_lost": before - done["counts"]["kept"]}


def _vectors_stay(source: Release) -> bool:
    """Whether all vectors beside the tars are whole and the manifest's rows tell which samples they are of."""
    parts = source.mark.get("embeddings", [])
    sound = not any(check_bytes(source, part)[1] for part in parts) and not any(vector_faults(source))
    return sound and (not parts or all(_trusted(source, number) for number in range(len(source.tars))))


def _schema(source: Release) -> pa.Schema:
    """The columns of the samples: those of the first part that is whole."""
    for part in source.mark["samples"]:
        if not check_bytes(source, part)[1]:
            return source.shard_samples(source.mark["samples"].index(part)).schema
    return SAMPLES.arrow


def _shard(
    source: Release, out: str, number: int, sound: list[bool], schema: pa.Schema, seen: set[str], decode: bool
) -> dict[str, Any]:
    if sound[number]:
        uids = source.shard_samples(number, ["uid"])["uid"].to_pylist()
        if seen.isdisjoint(uids):
            seen.update(uids)
            return derive.keep_shard(source, out, number)
    data = check_bytes(source, source.tars[number])[0] if number < len(source.tars) else None
    listed = _rows(source, number)
    order = {row["uid"]: place for place, row in enumerate(listed)}
    kept = _whole(data or b"", listed, schema, number, decode)
    kept = [(row, members) for row, members in kept if row["uid"] not in seen]
    seen.update(row["uid"] for row, _ in kept)
    rows = pa.Table.from_pylist([row for row, _ in kept], schema)
    places = [order.get(row["uid"], 0) for row, _ in kept]  # read only where vectors stay: then all are listed
    found = derive.Kept(rows, [members for _, members in kept], places)
    content = hex_id(*rows["uid"].to_pylist())
    return derive.rewrite_shard(source, out, number, content, lambda: (data or b"", found))


def _trusted(source: Release, number: int) -> bool:
    """Whether the manifest's rows of a shard are there and whole."""
    parts = source.mark["samples"][number : number + 1]
    return any(check_table(source, SAMPLES, part, ["uid"]).rows is not None for part in parts)


def _rows(source: Release, number: int) -> list[dict[str, Any]]:
    """The manifest's rows of a shard; none where they cannot be trusted."""
    return source.shard_samples(number).to_pylist() if _trusted(source, number) else []


def _whole(
    data: Any, rows: list[dict[str, Any]], schema: pa.Schema, number: int, decode: bool
) -> list[tuple[dict[str, Any], list[tuple[str, int, int]]]]:
    """Each sample that is whole, once: its row and its members, by the rows or, where there are none, by its .json."""
    found = _members(data)
    rows = rows or list(_told(data, found, schema))
    kept: dict[str, tuple[dict[str, Any], list[tuple[str, int, int]]]] = {}
    for row in rows:
        places = _places(data, row, found)
        if places is not None and row["uid"] not in kept and not (decode and undecodable(_cut(data, places[0]))):
            row |= {"shard": number, "key": row["uid"], "offset": {}, "bytes": {}}
            for kind, (_, offset, size) in zip(MEMBERS, places):
                row["offset"][kind], row["bytes"][kind] = offset, size
            kept[row["uid"]] = (row, places)
    return list(kept.values())


def _members(data: Any) -> dict[str, Member]:
    """The members as far as the archive can be read, the first of each name."""
    found: dict[str, Member] = {}
    try:
        for member in read_members(data):
            found.setdefault(member.name, member)
    except BadItemError:
        pass  # what comes after a broken header is found by the manifest, if at all
    return found


def _told(data: Any, found: dict[str, Member], schema: pa.Schema) -> Iterator[dict[str, Any]]:
    """Rows as the .json members tell them."""
    for name, member in found.items():
        if name.endswith(".json"):
            try:
                record = orjson.loads(data[member.offset : member.offset + member.bytes])
                yield {field.name: _value(record.get(field.name), field.type) for field in schema}
            except (ValueError, AttributeError):
                continue


def _value(value: Any, kind: pa.DataType) -> Any:
    """A value of a .json as the manifest has it: bytes are hex there."""
    return bytes.fromhex(value) if pa.types.is_binary(kind) and isinstance(value, str) else value


def _places(data: Any, row: dict[str, Any], found: dict[str, Member]) -> list[tuple[str, int, int]] | None:
    """The members of a sample, where its row or else the archive has them; None where one is not what the row says."""
    places = []
    for kind, extension in zip(MEMBERS, (row["format"], "txt", "json")):
        name = f"{row['uid']}.{extension}"
        tried = [found[name][1:3]] if name in found else []
        if row.get("offset"):
            tried.insert(0, (row["offset"][kind], row["bytes"][kind]))
        place = next((at for at in tried if _is(data, at, kind, row)), None)
        if place is None:
            return None
        places.append((name, *place))
    return places


def _cut(data: Any, place: tuple) -> bytes:
    return bytes(data[place[-2] : place[-2] + place[-1]])


def _is(data: Any, place: tuple[int, int], kind: str, row: dict[str, Any]) -> bool:
    """Whether these bytes are the member of this kind of the sample that the row describes."""
    content = _cut(data, place)
    if kind == "text":
        return bool(content) and content == str(row["caption"]).encode()
    if kind == "json":
        return b'"uid":"%s"' % str(row["uid"]).encode() in content and content[-1:] == b"}"
    if row["format"] not in IMAGES or hashlib.sha256(content).hexdigest() != row["sha256"]:
        return False
    try:
        image = image_header(content)
    except BadItemError:
        return False
    return (image.width, image.height, image.format) == (row["width"], row["height"], row["format"])


def _subset(source: Release, out: str, seen: set[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """The verdicts that are left, each uid once, those on samples as they are now; and the uids of lost samples."""
    tables, whole = [SUBSET.arrow.empty_table()], True
    for part in source.mark["subset"]:
        checked = check_table(source, SUBSET, part, SUBSET.names)
        whole &= checked.rows is not None and not checked.faults
        tables += [checked.rows.cast(SUBSET.arrow)] if checked.rows is not None else []
    rows = pa.concat_tables(tables)
    firsts = pc.index_in(rows["uid"].combine_chunks(), rows["uid"].unique())
    once = {number: place for place, number in reversed(list(enumerate(firsts.to_pylist())))}
    rows = rows.take(pa.array(sorted(once.values()), pa.int64()))
    uids = rows["uid"].combine_chunks()
    alive = pa.array(sorted(seen), pa.string())
    lost = uids.filter(pc.and_(rows["keep"].combine_chunks(), pc.invert(pc.is_in(uids, alive)))).to_pylist()
    named = alive.filter(pc.invert(pc.is_in(alive, uids.filter(rows["keep"].combine_chunks())))).to_pylist()
    if whole and not lost and not named and len(rows) == sum(part["rows"] for part in source.mark["subset"]):
        for part in source.mark["subset"]:
            derive.link(source.out, out, part)
        return source.mark["subset"], []
    blank = dict.fromkeys(SUBSET.names)
    told = {"keep": False, "drop_stage": STEP, "drop_reason": BROKEN}
    changed = [blank | {"uid": u, "keep": True} for u in named] + [blank | {"uid": u} | told for u in lost]
    others = rows.filter(pc.invert(pc.is_in(rows["uid"], pa.array([*named, *lost], pa.string()))))
    rows = pa.concat_tables([others, pa.Table.from_pylist(changed, SUBSET.arrow)]).sort_by("uid")
    return list(_written(out, rows)), lost


def _written(out: str, rows: pa.Table) -> Iterator[dict[str, Any]]:
    """The verdicts in parts by uid prefix, as every run cuts them."""
    digits = prefix_digits(len(rows))
    for number in range(16**digits):
        start = f"{number:0{digits}x}" if digits else ""
        here = rows.filter(pc.starts_with(rows["uid"], start)) if start else rows
        part = write_part(join(out, "subset"), start or "all", here.to_batches(), SUBSET.arrow).record()
        yield part | {"name": f"subset/{part['name']}"}
