"""The pool through the product, and what an arm keeps of it: releases, subsets of one as files of uids, faults left."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from planting.measuring import slug
from planting.pairs import keyed, part_rows

from curation.ingest import ingest
from curation.pool import Pool
from curation.run import run
from curation.shards.manifest import Release
from curation.shards.mark import shards_of
from curation.shards.mend import mend
from curation.shards.verify import verify
from proving.arms import RANDOM, Arm
from proving.faults import CLEAN

WHOLE = (CLEAN, "numbers")  # pairs whose caption is true of their picture and not there twice


class Kept(NamedTuple):
    """What an arm trains on: a release, or those of its uids that a file lists; how many pairs, by fault if known."""

    release: str
    uids: str | None
    pairs: int
    faults: dict[str, int]

    @classmethod
    def of(cls, release: str, faults: dict[str, str]) -> "Kept":
        """What a training sees of a release: the shards of its recipe's phases, or without phases all."""
        opened = Release.open(release)
        phases = opened.mark.get("phases") or [{"shards": [[0, len(opened.tars) - 1]]}]
        seen = {n for phase in phases for n in shards_of(phase["shards"])}
        rows = zip(*opened.samples(["uid", "shard"]).to_pydict().values())
        uids = [uid for uid, shard in rows if shard in seen]
        return cls(release, None, len(uids), dict(Counter(faults[uid] for uid in uids)) if faults else {})


def ingested(tars: Path, pool: str) -> dict[str, str]:
    """The fault of each pair of the pool by uid; the pool is made where it is not there yet."""
    ingest([str(tars)], out=pool, name="scenes")
    rows = (row for uri, parts in Pool.open(pool).tables() for row in part_rows(uri, parts, ["uid", "extra"]))
    return {row["uid"]: dict(row["extra"])["planted_fault"] for row in rows}


def released(arm: Arm, pool: str, work: Path) -> str:
    """The arm's recipe run on the pool, less the pictures that do not decode: a recipe that looks at no pixels keeps
    them, and no trainer can use them. What is there already is used.
    """
    out = str(work / "releases" / slug(arm.name))
    run(arm.recipe, pool, out, set=list(arm.changes))
    if verify(out, decode=True):
        mend(out, f"{out}-decoded", [False] * len(Release.open(out).tars), decode=True)
        return f"{out}-decoded"
    return out


def subset_file(name: str, pool: Kept, size: int | None, faults: dict[str, str], work: Path) -> Kept:
    """Pairs of the uncurated pool's release by their uids: `size` by a keyed draw, or those without a fault."""
    uids = sorted(Release.open(pool.release).samples(["uid"])["uid"].to_pylist())
    if name == RANDOM:
        uids = sorted(uids, key=lambda uid: keyed("random subset", uid))[:size]
    else:
        uids = [uid for uid in uids if faults[uid] in WHOLE]
    path = work / f"{slug(name)}.uids"
    path.write_text("\n".join(uids))
    counts = dict(Counter(faults[uid] for uid in uids)) if faults else {}
    return Kept(pool.release, str(path), len(uids), counts)
