"""Takedown: a release without what lists name, with a signed diff and a scan that proves it; and the pool told so."""

import itertools
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import BrokenTableError, RecipeError
from curation.files import join, remove_folder
from curation.forgetting import FORGOTTEN, READ, Rules, read_rules
from curation.hashing import file_sha256
from curation.parts import write_part
from curation.records import read_record
from curation.schema import SUBSET, hex_id
from curation.shards import derive
from curation.shards.listed import check_bytes
from curation.shards.manifest import Release
from curation.shards.mark import CHANGES, MARK, OPTIONAL, PARTS
from curation.shards.scan import scan
from curation.shards.tar import read_members
from curation.tables import read_arrow

STEP = "forget"  # of the recipe's steps, as it were: `drop_stage` in the subset, the last line of the ledger
REMOVED = pa.schema([("uid", pa.string()), ("shard", pa.int32()), ("list", pa.string()), ("line", pa.int64())])


class Hit(NamedTuple):
    """What lists mean of a release: its samples that go, by shard, and its pairs that were dropped before."""

    rules: Rules
    samples: list[dict[str, Any]]
    dropped: pa.Table


def forget(
    release: str,
    *,
    out: str,
    uids: str | None = None,
    urls: str | None = None,
    domains: str | None = None,
    hashes: str | None = None,
    articles: str | None = None,
    signed_off_by: str = "",
    exclude: bool = True,
    pool: str | None = None,
) -> dict[str, Any]:
    """Write the release OUT: RELEASE without what the lists name, each a file with a value a line.

    UIDS of pairs (32 hex, or DataComp's .npy); URLS of pictures or of the pages they were found on; DOMAINS of either,
    with all below them; HASHES, SHA-256 of pictures; ARTICLES, ids such as PMC123456 or 2301.00001. OUT stands alone:
    untouched shards are hard links (copies where links cannot be), the others are written again, other members byte for
    byte. `subset/` says `forgotten`; OUT/manifest/changes/ holds the diff, with SIGNED_OFF_BY, and what a scan of every
    tar found. The POOL, that of the release, gets the lists too, so that no later run or ingest brings anything back;
    --no-exclude leaves it alone. Interrupted: the same command again goes on.
    """
    lists = {"uids": uids, "urls": urls, "domains": domains, "hashes": hashes, "articles": articles}
    rules = read_rules(lists)
    source = Release.open(release)
    _check_kinds(source)
    key = hex_id(FORGOTTEN, str(source.mark.get("digest")), rules.key, signed_off_by)
    with derive.claimed(out, key, source) as folder:
        if (done := read_record(join(folder, MARK))) is not None:
            return _ended(folder, done, read_record(join(folder, CHANGES, f"{key[:16]}.json")))
        hit = _hit(source, rules, pool or source.places["pool"])
        excluded = _exclude(source, hit.rules, pool) if exclude else None
        hit = hit._replace(dropped=_dropped(source, hit, excluded))
        records = list(_shards(source, folder, key, hit))
        subset = derive.write_subset(source, folder, _verdicts(hit))
        diff = _diff(source, folder, key, hit, records) | {"lists": _named(lists), "signed_off_by": signed_off_by}
        diff |= {"excluded_from_pool": excluded is not None, "scan": scan(folder, records, hit.rules)}
        return _finish(source, folder, key, records, subset, diff)


def _check_kinds(source: Release) -> None:
    """RecipeError where the release lists files that this command would not know how to take over."""
    listed = (
        k for k, v in source.mark.items() if isinstance(v, list) and v and isinstance(v[0], dict) and "sha256" in v[0]
    )
    others = sorted(set(listed) - {*PARTS, *OPTIONAL})
    if others:
        raise RecipeError(
            f"{source.out}: {MARK} lists {others} too, wanted only {[*PARTS, *OPTIONAL]}: write it again without"
        )


def _hit(source: Release, rules: Rules, pool: str) -> Hit:
    """What the rules mean of the samples; a listed hash means all captions of its picture, as found or as written."""
    from curation.exclude import with_downloads

    shards = range(len(source.tars))
    names = [name for name in READ if name in source.shard_samples(0).schema.names] if source.tars else []
    if "hashes" in rules.table["kind"].to_pylist():
        images: dict[str, int] = {}
        for number in shards:
            table = source.shard_samples(number, ["sha256", "image_id"])
            numbers = rules.match(table.select(["sha256"]))
            images |= {table["image_id"][int(row)].as_py(): int(numbers[row]) for row in np.flatnonzero(numbers >= 0)}
        rules = with_downloads(pool, rules.with_images(images))
    samples = []
    for number in shards:
        table = source.shard_samples(number, names)
        numbers = rules.match(table)
        for row in np.flatnonzero(numbers >= 0).tolist():
            rule = rules.table.slice(int(numbers[row]), 1).to_pylist()[0]
            place = {"uid": table["uid"][row].as_py(), "shard": number}
            samples.append(place | {"list": rule["list"], "line": rule["line"]})
    return Hit(rules, samples, SUBSET.arrow.empty_table())


def _exclude(source: Release, rules: Rules, pool: str | None) -> pa.Table | None:
    """The pairs that the pool may not give any more; None where it is not there, which is told."""
    from curation.exclude import exclude

    uri = pool or source.places["pool"]
    try:
        if not uri:
            raise RecipeError("no pool is named")
        return exclude(uri, rules)[1]
    except RecipeError:
        if pool:
            raise
        where = f"no pool at {uri}" if uri else "the release does not say where its pool is"
        print(f"{where}: nothing keeps these pairs out of a later run; name it with --pool", file=sys.stderr)
        return None


def _dropped(source: Release, hit: Hit, excluded: pa.Table | None) -> pa.Table:
    """The verdicts on listed pairs that the release had dropped before, without the values that tell of them."""
    wanted = {row["value"] for row in hit.rules.table.to_pylist() if row["kind"] == "uids"}
    wanted |= set() if excluded is None else set(excluded["uid"].to_pylist())
    values, found = pa.array(sorted(wanted), pa.string()), [SUBSET.arrow.empty_table()]
    for part in source.mark["subset"]:
        rows = read_arrow(source.out, [part])
        found.append(rows.filter(pc.is_in(rows["uid"], values)).cast(SUBSET.arrow))
    rows = pa.concat_tables(found)
    rows = rows.filter(pc.invert(rows["keep"]))
    rows = rows.filter(pc.fill_null(pc.not_equal(rows["drop_reason"], FORGOTTEN), True))
    return rows.set_column(rows.column_names.index("drop_value"), "drop_value", pa.nulls(len(rows), pa.string()))


def _verdicts(hit: Hit) -> pa.Table:
    rows = [
        {"uid": s["uid"], "keep": False, "drop_stage": STEP, "drop_reason": FORGOTTEN, "drop_value": _told(s)}
        for s in hit.samples
    ]
    return pa.concat_tables([pa.Table.from_pylist(rows, SUBSET.arrow), hit.dropped.cast(SUBSET.arrow)])


def _told(row: dict[str, Any]) -> str:
    return f"{row['list']} line {row['line']}"


def _shards(source: Release, out: str, key: str, hit: Hit) -> Iterator[dict[str, Any]]:
    gone = {shard: {s["uid"] for s in rows} for shard, rows in itertools.groupby(hit.samples, lambda s: s["shard"])}
    for number in range(len(source.tars)):
        if number not in gone:
            yield derive.keep_shard(source, out, number)
            continue
        yield derive.rewrite_shard(source, out, number, key, lambda n=number: _left(source, n, gone[n]))
        if sys.stderr.isatty():
            print(f"\r{number + 1} of {len(source.tars)} shards", end="", file=sys.stderr, flush=True)


def _left(source: Release, number: int, gone: set[str]) -> tuple[Any, derive.Kept]:
    """The bytes of a shard, checked, and what is to stay of it: every member of a sample, those not listed too."""
    data, faults = check_bytes(source, source.tars[number])
    if faults:
        raise BrokenTableError(f"{source.out}: {faults[0]}; curate verify --fix mends a release")
    rows = source.shard_samples(number)
    places = np.flatnonzero(~pc.is_in(rows["uid"], pa.array(sorted(gone))).to_numpy()).tolist()
    rows = rows.take(pa.array(places, pa.int64()))
    members: dict[str, list[tuple[str, int, int]]] = {}
    for member in read_members(data):
        members.setdefault(member.name.partition(".")[0], []).append((member.name, member.offset, member.bytes))
    return data, derive.Kept(rows, [members[key] for key in rows["key"].to_pylist()], places)


def _diff(source: Release, out: str, key: str, hit: Hit, records: list[dict]) -> dict[str, Any]:
    """What was removed, by which line of which list, and which shards changed; the uids in a table beside it, also of
    pairs dropped before (all else null), so that no reader shows what older tables say of them.
    """
    before = [{"uid": uid} for uid in hit.dropped["uid"].to_pylist()]
    table = pa.Table.from_pylist([*hit.samples, *before], REMOVED)
    part = write_part(join(out, CHANGES), key[:16], table.to_batches(), REMOVED).record()
    changed = [
        {"shard": old["name"], "samples": old["rows"], "samples_now": new["rows"]}
        | {"sha256": old["sha256"], "sha256_now": new["sha256"]}
        for old, new in zip(source.tars, (record["tar"] for record in records))
        if old["sha256"] != new["sha256"]
    ]
    of = {"release": source.mark.get("digest"), "samples": sum(t["rows"] for t in source.tars)}
    counts = {"samples_removed": len(hit.samples), "pairs_dropped_before": len(hit.dropped)}
    removed = part | {"name": f"{CHANGES}/{part['name']}"}
    return {"of": of, **counts, "removed": removed, "shards_changed": changed}


def _named(lists: dict[str, str | None]) -> list[dict[str, str]]:
    return [{"kind": k, "file": p.rpartition("/")[2], "sha256": file_sha256(p)} for k, p in lists.items() if p]


def _finish(
    source: Release, out: str, key: str, records: list[dict], subset: list[dict], diff: dict[str, Any]
) -> dict[str, Any]:
    """Diff, ledger, the release's own stage tables, and last release.json; then what comes after it."""
    changes = derive.changes(source, out, key, diff, diff["removed"])
    before, after = diff["of"]["samples"], sum(record["tar"]["rows"] for record in records)
    step = {"name": STEP, "run": STEP, "version": 1, "key": key, "on": [], "settings": {}, "signals": {}}
    step |= {"drops": {FORGOTTEN: before - after}, "rows_in": before, "rows_out": after, "input_keys": []}
    derive.stage_tables(source, out, step)
    stages = [*source.mark.get("stages", []), step]
    mark = derive.commit(source, out, records, subset, {"key": key, "stages": stages, "changes": changes})
    return _ended(out, mark, diff)


def _ended(out: str, mark: dict[str, Any], diff: dict[str, Any]) -> dict[str, Any]:
    """What comes after release.json, which a killed attempt may have left undone; the summary."""
    from curation.report.report import report

    remove_folder(join(out, "manifest", "parts"))
    if "recipe" in mark:
        report(out)
    return _summary(out, mark, diff)


def _summary(out: str, mark: dict[str, Any], diff: dict[str, Any]) -> dict[str, Any]:
    counts = {name: diff[name] for name in ("samples_removed", "pairs_dropped_before", "excluded_from_pool")}
    changed = {"shards_rewritten": len(diff["shards_changed"]), "scanned": diff["scan"]["samples"]}
    return {"release": out, **mark["counts"], **counts, **changed, "diff": join(out, mark["changes"][-1]["name"])}
