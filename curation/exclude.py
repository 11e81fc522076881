"""A pool's list of what is forgotten: which of its pairs no run may use any more, and what no ingest may bring back."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation import tables
from curation.files import join, locked
from curation.forgetting import FORGOTTEN, RULES, Rules
from curation.parts import write_part
from curation.pool import PAIRS_FORGOTTEN, Pool
from curation.report.parts import batches_of

READ = ["uid", "image_id", "url", "document"]


def exclude(uri: str, rules: Rules) -> tuple[Pool, pa.Table]:
    """Put rules on the list of the pool at `uri`; the pool as it is then, and the pairs that they mean.

    No file of its pairs is touched. The rename of pool.json is what makes it so; the same rules again change nothing.
    RecipeError where there is no pool.
    """
    uri = Pool.open(uri).uri  # a lock would make the folder of a pool that is not there
    with locked(uri, wait=True):
        pool = Pool.open(uri)
        key = rules.key[:16]
        if any(entry["key"] == key for entry in pool.forgotten):
            return pool, pool.forgotten_pairs()
        known = pool.forgotten_pairs()["uid"]
        found = [_matched(folder, parts, rules) for folder, parts in pool.tables()]
        table = pa.concat_tables([PAIRS_FORGOTTEN.empty_table(), *found])
        table = table.filter(pc.invert(pc.is_in(table["uid"], known.combine_chunks())))
        entry = {"key": key, "rows": len(table)}
        for name, rows, schema in (("rules", rules.table, RULES), ("pairs", table, PAIRS_FORGOTTEN)):
            part = write_part(join(pool.uri, FORGOTTEN, key), name, rows.to_batches(), schema).record()
            entry[name] = part | {"name": f"{key}/{part['name']}"}
        counts = dict(zip(*(c.to_pylist() for c in pc.value_counts(table["part"]).flatten())))
        parts = (p | {FORGOTTEN: p.get(FORGOTTEN, 0) + counts.get(p["key"], 0)} for p in pool.parts)
        pool = replace(pool, parts=tuple(parts), forgotten=(*pool.forgotten, entry))
        pool.commit()
        return pool, pool.forgotten_pairs()


def _matched(folder: str, parts: list[dict[str, Any]], rules: Rules) -> pa.Table:
    """The pairs of one part of the pool that a rule means."""
    key = folder.rpartition("/")[2]
    rows = []
    for part in parts:
        for batch in batches_of(folder, part, READ):
            numbers = rules.match(pa.Table.from_batches([batch]))
            hits = (numbers >= 0).nonzero()[0]
            named = rules.table.select(["list", "line"]).take(pa.array(numbers[hits])).to_pylist()
            uids = batch["uid"].take(pa.array(hits)).to_pylist()
            rows += [{"uid": uid, "part": key} | rule for uid, rule in zip(uids, named)]
    return pa.Table.from_pylist(rows, PAIRS_FORGOTTEN)


def with_downloads(uri: str, rules: Rules) -> Rules:
    """And the pictures that were downloaded into the pool at `uri`, if there is one, of a listed hash."""
    done = tables.read_done(join(uri, "downloads")) if uri else None
    found: dict[str, int] = {}
    for part in done["parts"] if done else ():
        for batch in batches_of(join(uri, "downloads"), part, ["image_id", "sha256"]):
            numbers = rules.match(pa.Table.from_batches([batch.select(["sha256"])]))
            hits = (numbers >= 0).nonzero()[0]
            found |= dict(zip(batch["image_id"].take(pa.array(hits)).to_pylist(), numbers[hits].tolist()))
    return rules.with_images(found)


def without(frame: Any, rules: Rules | None) -> Any:
    """The rows of a DataFrame of pairs that no rule means."""
    if rules is None:
        return frame

    def keep(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            numbers = rules.match(pa.Table.from_batches([batch.select(READ)]))
            yield batch.filter(pa.array(numbers < 0))

    return frame.mapInArrow(keep, frame.schema)
