"""What the two sides do not agree on, and by which step: what each of them finds in every caption, without bounds."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from paired.commands import run

from curation.methods.clean import clean_captions
from curation.signals import SIGNALS
from juicer.commands import LANGUAGE, WORDS, environment, unbounded

STATS = "__dj__stats__"  # the peer's column of what its filters look at, as JSON


class Found(NamedTuple):
    """What a side finds in one caption."""

    text: str
    language: str | None
    words: int

    @property
    def passes(self) -> bool:
        return bool(self.text) and self.language == LANGUAGE and WORDS[0] <= self.words <= WORDS[1]


def differences(folder: Path) -> list[dict[str, Any]]:
    """A row per step on which they differ: pairs that only one keeps for it, and an example; none if all is equal."""
    mine, theirs = our_findings(folder), peer_findings(folder)
    rows = filter_rows(mine, theirs)
    for side, found in (("ours", mine), ("peer", theirs)):
        odd = kept(folder, side, "filters") ^ {uid for uid, each in found.items() if each.passes}
        rows += [{"step": f"the filters of {side}", "not_explained": len(odd)}] if odd else []
    same = {uid for uid, each in mine.items() if each.passes and theirs[uid].passes and each.text == theirs[uid].text}
    return rows + later_rows(folder, mine, same)


def filter_rows(mine: dict[str, Found], theirs: dict[str, Found]) -> list[dict[str, Any]]:
    """Of the filters: other texts first, then other languages, then other numbers of words."""
    rows = []
    unequal = [uid for uid in mine if mine[uid].passes != theirs[uid].passes]
    texts = sum(mine[uid].text != theirs[uid].text for uid in mine)
    if texts:
        rows.append({"step": "clean", "other_texts": texts, "captions": len(mine)})
    for step in ("clean", "language", "words"):
        uids = [uid for uid in unequal if deciding(mine[uid], theirs[uid]) == step]
        rows += [_row(step, uids, lambda uid: mine[uid].passes, mine, theirs)] if uids else []
    return rows


def deciding(mine: Found, other: Found) -> str:
    """The first step that makes the verdicts differ."""
    if mine.text != other.text:
        return "clean"
    return "language" if (mine.language == LANGUAGE) != (other.language == LANGUAGE) else "words"


def later_rows(folder: Path, mine: dict[str, Found], same: set[str]) -> list[dict[str, Any]]:
    """Of match and balance, on the captions that both have and see alike."""
    ours, peer = our_entries(folder), peer_entries(folder)
    matched = [uid for uid in same if ours.get(uid, ()) != peer.get(uid, ())]
    rows = [_row("match", matched, lambda uid: uid in ours, ours, peer)] if matched else []
    left, right = kept(folder, "ours", "whole"), kept(folder, "peer", "whole")
    drawn = sorted((left ^ right) & same - set(matched))
    rows += [_row("balance", drawn, lambda uid: uid in left, mine, mine)] if drawn else []
    total = {"step": "all", "kept_by_both": len(left & right)}
    return [*rows, total | {"ours_only": len(left - right), "peer_only": len(right - left)}] if left != right else rows


def _row(step: str, uids: list[str], ours: Callable[[str], bool], mine: dict, theirs: dict) -> dict[str, Any]:
    example = min(uids)
    shown = {"ours": list(mine.get(example, ())), "peer": list(theirs.get(example, ()))}
    count = sum(map(ours, uids))
    return {"step": step, "ours_only": count, "peer_only": len(uids) - count, "example": shown}


def our_findings(folder: Path) -> dict[str, Found]:
    """By uid, from the same functions that our stages call."""
    pairs = pq.read_table(folder / "pairs.parquet")
    texts = clean_captions(pairs["text"])
    prediction = SIGNALS["language_prediction"](texts)
    languages = SIGNALS["caption_language"](prediction).to_pylist()
    found = zip(texts.to_pylist(), languages, SIGNALS["caption_words"](texts).to_pylist())
    return dict(zip(pairs["uid"].to_pylist(), map(Found._make, found)))


def peer_findings(folder: Path) -> dict[str, Found]:
    """By uid, from a run of its own operators that drops nothing."""
    command, result = unbounded(folder)
    run(command, environment(folder, "unbounded"))
    rows = pq.read_table(result, columns=["uid", "text", STATS]).to_pylist()
    stats = [json.loads(row[STATS]) for row in rows]
    return {row["uid"]: Found(row["text"], each["lang"], each["num_words"]) for row, each in zip(rows, stats)}


def kept(folder: Path, side: str, variant: str) -> set[str]:
    """The uids that a side kept in its last run of a variant."""
    if side == "peer":
        return set(pq.read_table(folder / f"peer-{variant}" / "kept.parquet", columns=["uid"])["uid"].to_pylist())
    subset = _table(folder.glob(f"ours-{variant}/subset/*.parquet"), ["uid", "keep"])
    return set(subset.filter(subset["keep"])["uid"].to_pylist())


def our_entries(folder: Path) -> dict[str, list[int]]:
    """The ids of the entries in each caption that came to the matching and has any."""
    table = _table(folder.glob("store-whole/stages/match_entries-*/*.parquet"), ["uid", "entries"])
    return {uid: ids for uid, ids in zip(table["uid"].to_pylist(), table["entries"].to_pylist()) if ids}


def peer_entries(folder: Path) -> dict[str, list[int]]:
    """The same of the peer."""
    table = pq.read_table(folder / "peer-whole" / "first.parquet", columns=["uid", "entries"])
    return {uid: sorted(ids) for uid, ids in zip(table["uid"].to_pylist(), table["entries"].to_pylist())}


def _table(paths: Iterable[Path], columns: list[str]) -> pa.Table:
    return pa.concat_tables(pq.read_table(path, columns=columns) for path in paths)
