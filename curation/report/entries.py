"""How often each entry of the metadata is held by captions, before those that matched were thinned out and after."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import tables
from curation.files import join
from curation.report.charts import curves
from curation.report.parts import batches_of, prefix, read_where
from curation.report.plots import ENTRY_COUNTS, Plot
from curation.shards.manifest import Release
from curation.shown import plain

READ = 20_000_000  # pairs whose entries are read, in whole parts from the smallest uids on: some ten seconds
SHOWN = 12  # entries in the table of the page


@dataclass(frozen=True)
class Entries:
    """What step `number` (from 0) matched: counts by entry id, int64, of `pairs` of the `of` pairs that came to it."""

    release: Release
    number: int
    done: dict[str, Any]
    before: np.ndarray
    after: np.ndarray
    pairs: int
    of: int

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows of ENTRY_COUNTS, by entry id, as the step's side table names the entries."""
        for named in self._named(["entry_id", "language", "entry"]):
            ids = named["entry_id"].to_numpy()
            seen = np.flatnonzero(_looked_up(self.before, ids))
            ids, named = ids[seen], named.take(pa.array(seen))
            counts = [pa.array(_looked_up(side, ids)) for side in (self.before, self.after)]
            columns = [named["entry_id"], named["language"], named["entry"], *counts]
            yield pa.RecordBatch.from_arrays(columns, schema=ENTRY_COUNTS.arrow)

    def names(self, ids: list[int]) -> dict[int, str]:
        """The entries behind some ids, in their order; the number where the side table does not have one."""
        wanted, found = pa.array(ids, pa.int32()), {}
        for named in self._named(["entry_id", "entry"]):
            rows = named.filter(pc.is_in(named["entry_id"], wanted))
            found |= dict(zip(rows["entry_id"].to_pylist(), map(plain, rows["entry"].to_pylist())))
        return {i: found.get(i, str(i)) for i in ids}

    def _named(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        folder = join(self.release.stage_folder(self.number), "entry_counts")
        for part in self.done["tables"].get("entry_counts", []):
            yield from batches_of(folder, part, columns)


def _looked_up(counts: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The counts of some ids, 0 beyond the last."""
    return np.where(ids < len(counts), counts[np.minimum(ids, max(0, len(counts) - 1))], 0) if len(counts) else 0 * ids


def count_entries(release: Release) -> Entries | None:
    """The counts of the first step that matches; None where there is none, or the store does not have it any more."""
    number = next((n for n, s in enumerate(release.mark["stages"]) if s["run"] == "match_entries"), None)
    done = None if number is None else tables.read_done(release.stage_folder(number))
    if done is None:
        return None
    before, after, pairs = np.zeros(0, np.int64), np.zeros(0, np.int64), 0
    for part in sorted(done["parts"], key=prefix):
        if pairs < READ:
            rows = read_where(release.stage_folder(number), part, ["uid", "entries"], pc.field("keep"))
            kept = rows.filter(pc.is_in(rows["uid"], _kept(release, prefix(part))))
            before, after = _added(before, rows["entries"]), _added(after, kept["entries"])
            pairs += part["rows"]
    return Entries(release, number, done, before, after, pairs, done["rows"])


def _kept(release: Release, start: str) -> pa.ChunkedArray:
    """The uids of the kept pairs that begin with `start`."""
    able = [p for p in release.mark["subset"] if prefix(p).startswith(start) or start.startswith(prefix(p))]
    found = [read_where(release.out, part, ["uid"], pc.field("keep"))["uid"] for part in able]
    return pa.chunked_array([chunk for uids in found for chunk in uids.chunks], pa.string())


def _added(counts: np.ndarray, entries: pa.ChunkedArray) -> np.ndarray:
    """`counts` with one more for each id in these lists; changed in place where it is long enough."""
    ids = pc.list_flatten(entries).to_numpy()
    most = int(ids.max(initial=-1))
    if most >= len(counts):
        counts = np.pad(counts, (0, most + 1))
    np.add.at(counts, ids, 1)
    return counts


def entry_changes(release: Release) -> dict[str, Any] | None:
    """What the page says of the entries, with their `plot`; None where nothing was matched."""
    found = count_entries(release)
    if found is None:
        return None
    size = max(len(found.before), len(found.after))
    before, after = (np.pad(c, (0, size - len(c))) for c in (found.before, found.after))
    top = np.argsort(-before, kind="stable")[:SHOWN]
    names = found.names(top[before[top] > 0].tolist())
    t = next((s["settings"]["t"] for s in release.mark["stages"] if s["run"] == "balance_entries"), None)
    level = None if t is None else t * found.pairs / max(1, found.of)
    told = "captions that hold it" + (f", of {found.pairs:,} of {found.of:,}" if found.pairs < found.of else "")
    picture = curves(before, after, level, ("matched", "kept"), ("rank of the entry", told))
    return {
        "plot": Plot(ENTRY_COUNTS, found.batches(), picture, found.pairs, found.of),
        "t": t,
        "rows": [{"entry": name, "before": int(before[i]), "after": int(after[i])} for i, name in names.items()],
        "distinct": int((before > 0).sum()),
        "distinct_after": int((after > 0).sum()),
    }
