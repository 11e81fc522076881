"""Near-duplicate captions by MinHash; one representative kept."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import Field

from curation.duplicates import EDGE_DDL, Mode, collapsed, decided, equal, with_equals
from curation.representatives import preferred_columns, ranked
from curation.schema import VERDICT, Column
from curation.stage import cached, stage, verdict

PLACES, ROWS = 128, 4  # assumption: 32 bands of 4; at similarity 0.8 a pair is missed once in 10^7, at 0.6 once in 80
NEIGHBOURS = 64  # better captions of a band that one is compared with: many equal openings make no n^2
GROUPS = (
    Column("uid", pa.string(), "the pair that was dropped"),
    Column("group", pa.string(), "the pair that its group is named by: its representative"),
    Column("representative", pa.string(), "the pair that stays for it"),
    Column("similarity", pa.float64(), "Jaccard, to the representative, or to the nearest better one (mode)", True),
)
SPREAD_DDL = "item string, rank array<double>, scope string, caption string, band bigint"


def _columns(settings: dict[str, Any]) -> list[str]:
    return ["uid", "image_id", "caption", *preferred_columns(settings["prefer"])]


@stage(output=VERDICT.columns, tables={"duplicates": GROUPS}, pairs=_columns)
def dedup_captions(
    pairs: Any,
    *,
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.8,
    within: Literal["image", "pool"] = "image",
    mode: Mode = "representative",
    prefer: list[str] = (),
) -> Any:
    """Drop pairs whose caption is nearly that of a kept one (`duplicate_caption`): Jaccard similarity >= THRESHOLD of
    their runs of five bytes, in lower case.

    WITHIN an image, of whose captions one is kept for each that say the same, or of the whole `pool`, whatever the
    picture. The best by each of PREFER (columns of numbers such as clip_score, higher first) stays, then the smaller
    uid; MODE as in dedup_images. Candidates by MinHash (Broder 1997) in 32 bands of 4, then compared exactly: no wrong
    pair, and of those at 0.8 one in 10^7 is missed. drop_value is the uid that stays, as in the side table
    `duplicates`. Neither order nor partitions change the result.
    """
    from pyspark.sql import functions as F

    scope = F.col("image_id") if within == "image" else F.lit("")
    keyed = pairs.withColumn("key", F.struct(scope.alias("scope"), "caption"))
    items = cached(ranked(keyed, "key", list(prefer), "uid"))
    distinct = cached(collapsed(items, "key"))
    near = decided(_edges(distinct, threshold), distinct, mode)
    found = cached(with_equals(equal(items, distinct, "key"), near).withColumnRenamed("item", "uid"))
    marked = pairs.join(found.select("uid", "representative"), "uid", "left")
    reason = F.when(F.col("representative").isNotNull(), F.lit("duplicate_caption"))
    groups = found.withColumn("group", F.col("representative"))
    return verdict(marked, reason, F.col("representative")), {"duplicates": groups}


def _edges(distinct: Any, threshold: float) -> Any:
    """(better, worse, similarity) of captions that share a band and are near, each once."""
    from pyspark.sql import functions as F

    rows = distinct.select("item", "rank", "key.scope", "key.caption")
    spread = rows.mapInArrow(_banding, SPREAD_DDL).withColumn("band", F.xxhash64("scope", "band"))
    spread = cached(spread.drop("scope"))
    shared = spread.groupBy("band").count().where("count > 1")
    met = spread.join(shared, "band", "left_semi").repartition("band").sortWithinPartitions("band", "rank", "item")
    return met.mapInArrow(_comparing(threshold), EDGE_DDL).distinct()


def _banding(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    import numpy as np

    from curation.methods.minhash import bands, signatures

    for batch in batches:
        numbers = bands(signatures(batch.column("caption").to_pylist(), PLACES), ROWS)
        rows = batch.take(pa.array(np.repeat(np.arange(batch.num_rows), PLACES // ROWS)))
        columns = [*rows.columns, pa.array(numbers.reshape(-1))]
        yield pa.RecordBatch.from_arrays(columns, names=[*batch.schema.names, "band"])


def _comparing(threshold: float) -> Any:
    def compare(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from curation.methods.minhash import jaccard, shingles
        from curation.tables import grouped

        for _, run in grouped(batches, "band"):
            rows = pa.Table.from_batches(list(run))
            names, sets = rows["item"].to_pylist(), [shingles(text) for text in rows["caption"].to_pylist()]
            pairs = [(b, w) for w in range(1, len(names)) for b in range(min(w, NEIGHBOURS))]
            scored = [(b, w, jaccard(sets[b], sets[w])) for b, w in pairs]
            found = [{"better": names[b], "worse": names[w], "similarity": s} for b, w, s in scored if s >= threshold]
            if found:
                yield pa.RecordBatch.from_pylist(found)

    return compare
