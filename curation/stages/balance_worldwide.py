"""MetaCLIP 2's balancing: each language's head is thinned to the same share as that of English."""

from typing import Annotated, Any

import pyarrow as pa
from pydantic import Field

from curation.schema import VERDICT, Column
from curation.stage import cached, collected, stage, to_workers, verdict
from curation.stages.balance_entries import PROBABILITY, draw, probabilities

LANGUAGES = (
    Column("language", pa.string(), "of the entries: a language that has a list, or other"),
    Column("t", pa.int64(), "threshold: entries seen more often are thinned out"),
    Column("entries", pa.int64(), "entries seen at least once"),
    Column("matches", pa.int64(), "(pair, entry) rows before"),
    Column("tail_share", pa.float64(), "share of these that falls to entries seen fewer than t times"),
    Column("matches_kept", pa.int64(), "(pair, entry) rows of the kept pairs"),
    Column(
        "tail_share_kept",
        pa.float64(),
        "share of these that falls to the same entries; null where nothing is left",
        True,
    ),
    Column("pairs", pa.int64(), "pairs before"),
    Column("pairs_kept", pa.int64(), "pairs kept"),
)


@stage(
    output=(*VERDICT.columns, PROBABILITY),
    tables={"languages": LANGUAGES},
    ledger="languages",
    pairs=["uid", "entries", "entry_language"],
    entry_counts=["entry_id", "language", "count"],
)
def balance_worldwide(
    pairs: Any,
    entry_counts: Any,
    *,
    t: Annotated[int, Field(ge=1)] = 170_000,
    anchor: str = "en",
    seed: int = 0,
) -> Any:
    """Keep a pair if one of its entries draws u < min(t_language / count, 1), with a threshold for each language.

    T is the threshold of ANCHOR (170,000 in the paper); the other languages get the one at which entries below it hold
    the same share of the matches. MetaCLIP 2 (arXiv:2507.22062), algorithm 1, with languages of rare entries kept from
    vanishing: no threshold is below 1. Draws are keyed by (seed, uid, entry): raising T only adds pairs. Side table
    `languages`, which the ledger repeats.
    """
    from pyspark.sql import functions as F

    rows = collected(entry_counts.select("entry_id", "language", "count"))
    thresholds = _thresholds(rows, t, anchor)
    limit = rows["language"].map(thresholds).to_numpy()
    shared = to_workers(pairs, probabilities(rows["entry_id"], rows["count"], limit))
    drawn = cached(draw(pairs, shared, "balance_worldwide", seed).join(pairs.select("uid", "entry_language"), "uid"))
    kept = pairs.join(drawn.where("drawn").select("uid"), "uid").select(F.explode("entries").alias("entry_id"))
    after = collected(kept.groupBy("entry_id").agg(F.count("*").alias("kept"))).set_index("entry_id")["kept"]
    by_language = drawn.groupBy("entry_language").agg(F.count("*").alias("pairs"), F.sum(F.col("drawn").cast("long")))
    summary = _summary(rows, after, thresholds, {row[0]: (row[1], row[2]) for row in by_language.collect()})
    result = verdict(drawn, F.when(~F.col("drawn"), F.lit("balanced_out")), F.col("keep_probability"))
    return result, {"languages": pairs.sparkSession.createDataFrame(summary)}


def _thresholds(rows: Any, t: int, anchor: str) -> dict[str, int]:
    from curation.methods import language_thresholds

    return language_thresholds({k: group.to_numpy() for k, group in rows.groupby("language")["count"]}, t, anchor)


def _summary(rows: Any, after: Any, thresholds: dict[str, int], pairs: dict[str, tuple[int, int]]) -> pa.Table:
    """The table `languages` from the counts before and after."""
    rows = rows.assign(kept=rows["entry_id"].map(after).fillna(0).astype("int64"))
    found = []
    for language, group in rows.groupby("language"):
        tail = group[group["count"] < thresholds[language]]
        matches, kept = int(group["count"].sum()), int(group["kept"].sum())
        before, left = pairs.get(language, (0, 0))
        found.append(
            {
                "language": language,
                "t": thresholds[language],
                "entries": len(group),
                "matches": matches,
                "tail_share": float(tail["count"].sum() / matches),
                "matches_kept": kept,
                "tail_share_kept": float(tail["kept"].sum() / kept) if kept else None,
                "pairs": before,
                "pairs_kept": left,
            }
        )
    return pa.Table.from_pylist(found, pa.schema([(c.name, c.type) for c in LANGUAGES]))
