"""What happened to one pair, and what two releases keep or drop of the same pairs. No Spark."""

import re
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import RecipeError
from curation.report.pairs import Pairs
from curation.report.parts import first_rows, prefix, read_where, whole
from curation.schema import SUBSET, VERDICT
from curation.shards.manifest import Release
from curation.shown import cut, plain, public, value_text

FEWEST_DIGITS = 6  # of a uid that is cut short: 24 bits, few enough to type and enough for a pool of thousands
EXAMPLES = 5  # pairs shown of each side by `compare`


def why(out: str, uid: str) -> None:
    """Print what happened to a pair of the release OUT, stage by stage, and the verdict.

    UID is the pair's uid or its first 6 or more characters, where no other pair has the same.
    """
    release = Release.open(out)
    pair = Pairs.of(release, [_find(release, uid)])
    told = [*_origin(pair), "", *_steps(pair)]
    if pair.forgotten[0].as_py():  # what stage tables still say of it is not to be shown
        told = [f"pair      {pair.uids[0]}"]
    for line in [*told, "", *_verdict(pair)]:
        print(line)


def _find(release: Release, uid: str) -> str:
    """The one uid of the release that begins so; RecipeError where there is none, or more."""
    wanted = uid.strip().lower()
    if not re.fullmatch(f"[0-9a-f]{{{FEWEST_DIGITS},32}}", wanted):
        raise RecipeError(f"uid {uid}: wanted 32 hex characters, or at least the first {FEWEST_DIGITS}")
    span = (pc.field("uid") >= wanted) & (pc.field("uid") < wanted + "g")
    parts = release.mark["subset"]
    able = [p for p in parts if prefix(p).startswith(wanted) or wanted.startswith(prefix(p))]
    found = first_rows(release.out, able, ["uid"], 3, span)
    uids = found["uid"].to_pylist() if found is not None else []
    if len(uids) == 1:
        return uids[0]
    if uids:
        raise RecipeError(f"{release.out}: {wanted} begins more than one uid: {', '.join(uids)}")
    known = first_rows(release.out, parts, ["uid"], 1)
    example = f"one that it has: {known['uid'][0]}" if known is not None and len(known) else "it has no pairs at all"
    raise RecipeError(f"{release.out}: no pair {wanted}; {example}")


def _row(table: pa.Table | None) -> dict[str, Any]:
    return table.to_pylist()[0] if table is not None and len(table) else {}


def _origin(pair: Pairs) -> list[str]:
    columns = ["caption", "caption_kind", "url", "document", "source", "kind", "source_uri", "image", "repeats"]
    row = _row(pair.pool_rows(columns))
    lines = [f"pair      {pair.uids[0]}"]
    if not row.get("source"):
        return [*lines, f"pool      {public(pair.release.places['pool'])}: the pair is not there any more"]
    image = row["image"]
    size = "" if image is None else f", {image['length']:,} bytes" if image["length"] is not None else ", whole file"
    where = "none: not downloaded" if image is None else f"{public(image['uri'])} at {image['offset'] or 0:,}{size}"
    lines.append(f"caption   {_quoted(row['caption'])} ({row['caption_kind']})")
    lines.append(f"document  {public(row['document'])}")
    lines.append(f"source    {plain(row['source'])} ({row['kind']}), from {public(row['source_uri'])}")
    lines += [f"url       {public(row['url'])}"] if row["url"] else []
    lines.append(f"image     {where}")
    return lines + ([f"repeats   {row['repeats']:,} times in the source"] if row["repeats"] > 1 else [])


def _quoted(text: str) -> str:
    return f'"{cut(plain(text))}"'


def _steps(pair: Pairs) -> list[str]:
    stages = pair.release.mark["stages"]
    width = max((len(_title(s)) for s in stages), default=0)
    lines = []
    for number, step in enumerate(stages):
        if not pair.reached(number)[0].as_py():
            break
        row = _row(pair.stage_rows(number))
        ended = pair.verdicts["drop_stage"][0].as_py() == step["name"]
        detail = _added(row, ended) + _signals(pair, number)
        if not row and step["run"] != "forget":
            detail.append("(its table is not in the store any more)")
        if ended:
            detail.insert(0, _reason(pair))
        lines.append(f"{number + 1:3}. {_title(step):{width}}  {'DROPPED' if ended else 'kept':7}  {'; '.join(detail)}")
    return [line.rstrip() for line in lines]


def _title(step: dict[str, Any]) -> str:
    return step["name"] if step["name"] == step["run"] else f"{step['name']} ({step['run']})"


def _added(row: dict[str, Any], ended: bool) -> list[str]:
    """The columns that the step added, but for a text that it left as it was and the shard of a pair not written."""
    same = [k for k in row if f"{k}_raw" in row and row[k] == row[f"{k}_raw"]]
    out = ["uid", *VERDICT.names, *same, *(f"{k}_raw" for k in same), *(["shard"] if ended else [])]
    return [_shown(k, v) for k, v in row.items() if k not in out and v is not None]


def _shown(name: str, value: Any) -> str:
    is_text = isinstance(value, str) and name.startswith("caption") and name != "caption_language"
    return f"{name} {_quoted(value) if is_text else value_text(value)}"


def _signals(pair: Pairs, number: int) -> list[str]:
    """The signals that the step read of this pair; vectors are left out."""
    step = pair.release.mark["stages"][number]
    names = [*step["settings"].get("keep", {})] if step["run"] == "select_subset" else _signals_read(pair, step)
    shown = []
    for name in names:
        stored = pair.stored(name, number)
        value = (pair.column(name, number) if stored is None else whole(stored["value"]))[0].as_py()
        error = None if stored is None else stored["error"][0].as_py()
        if not isinstance(value, bytes):
            shown.append(_shown(name, value) + (f" ({plain(error)})" if error else ""))
    return shown


def _signals_read(pair: Pairs, step: dict[str, Any]) -> list[str]:
    from curation.stages import STAGES

    if step["run"] not in STAGES:
        return []
    spec = STAGES[step["run"]].spec
    read = spec.columns(next(iter(spec.reads)), spec.settings | step["settings"])  # one may be younger than the release
    return [name for name in read if name in pair.release.mark["signals"] and "embedding" not in name]


def _reason(pair: Pairs) -> str:
    row = _row(pair.verdicts)
    value = "" if row["drop_value"] is None else f" (value: {cut(plain(row['drop_value']))})"
    return plain(row["drop_reason"]) + value


def _verdict(pair: Pairs) -> list[str]:
    if not pair.kept[0].as_py():
        return [f"verdict   dropped by {pair.verdicts['drop_stage'][0]}: {_reason(pair)}"]
    shard = pair.column("shard")[0].as_py()
    place = "" if shard is None else f" in {pair.release.tars[shard]['name']} under the key {pair.uids[0]}"
    return [f"verdict   kept{place}"]


def compare(out_a: str, out_b: str) -> dict[str, Any]:
    """Count what the release OUT_A keeps and OUT_B drops, and the other way round, by stage and reason, with examples.

    Pairs that only one of the pools has are counted apart (`pool_only_a`, `pool_only_b`).
    """
    a, b = Release.open(out_a), Release.open(out_b)
    counts: Counter[str] = Counter()
    because: dict[str, Counter[tuple]] = {"a": Counter(), "b": Counter()}
    examples: dict[str, list[dict]] = {"a": [], "b": []}
    digits = max((len(prefix(p)) for r in (a, b) for p in r.mark["subset"]), default=0)
    for start in (f"{n:0{digits}x}" if digits else "" for n in range(16**digits)):
        tables = {"a": _verdicts(a, start), "b": _verdicts(b, start)}
        for side, other in (("a", "b"), ("b", "a")):
            _count(side, tables[side], tables[other], counts, because[side], examples[side])
    result: dict[str, Any] = {name: counts[name] for name in ("both", "only_a", "only_b", "neither")}
    for side, release in (("a", a), ("b", b)):
        result[f"pool_only_{side}"] = {"pairs": counts[f"pool_{side}"], "kept": counts[f"pool_{side}_kept"]}
        ordered = sorted(because[side].items(), key=lambda item: (-item[1], item[0]))
        result[f"only_{side}_because"] = [{"stage": s, "reason": r, "pairs": n} for (s, r), n in ordered]
        result[f"only_{side}_examples"] = _with_captions(release, examples[side])
    return result


def _verdicts(release: Release, start: str) -> pa.Table:
    """The verdicts on the pairs whose uid begins with `start`, ascending."""
    able = [p for p in release.mark["subset"] if prefix(p).startswith(start) or start.startswith(prefix(p))]
    span = (pc.field("uid") >= start) & (pc.field("uid") < start + "g")
    tables = [read_where(release.out, part, SUBSET.names, span) for part in able]
    return pa.concat_tables(tables).sort_by("uid") if tables else SUBSET.arrow.empty_table()


def _count(side: str, mine: pa.Table, other: pa.Table, counts: Counter, because: Counter, examples: list[dict]) -> None:
    """Count one side's pairs by what the other side made of them."""
    place = pc.index_in(whole(mine["uid"]), whole(other["uid"]))
    theirs = other.take(place)
    kept, common = whole(mine["keep"]), place.is_valid()
    alone = pc.invert(common)
    counts[f"pool_{side}"] += pc.sum(alone).as_py() or 0
    counts[f"pool_{side}_kept"] += pc.sum(pc.and_(alone, kept)).as_py() or 0
    dropped = pc.fill_null(pc.invert(whole(theirs["keep"])), False)
    lost = pc.and_(kept, dropped)
    counts[f"only_{side}"] += pc.sum(lost).as_py() or 0
    if side == "a":
        counts["both"] += pc.sum(pc.and_(kept, pc.and_(common, pc.invert(dropped)))).as_py() or 0
        counts["neither"] += pc.sum(pc.and_(pc.invert(kept), dropped)).as_py() or 0
    rows = theirs.filter(lost)
    because.update(zip(rows["drop_stage"].to_pylist(), rows["drop_reason"].to_pylist()))
    examples += rows.slice(0, EXAMPLES - len(examples)).to_pylist() if len(examples) < EXAMPLES else []


def _with_captions(release: Release, rows: list[dict]) -> list[dict]:
    pairs = Pairs.of(release, [row["uid"] for row in rows])
    captions = dict(zip(pairs.uids.to_pylist(), pairs.column("caption").to_pylist()))
    return [{k: v for k, v in row.items() if k != "keep"} | {"caption": captions[row["uid"]]} for row in rows]
