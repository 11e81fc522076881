"""WFPP: drop captions made of frequent words."""

from collections.abc import Iterator
from typing import Annotated, Any

import pyarrow as pa
from pydantic import Field

from curation.bounds import Bound
from curation.bounds import verdict as bounds_verdict
from curation.schema import VERDICT, Column
from curation.stage import cached, collected, stage, to_workers

SCORE = Column("word_score", pa.float64(), "(1 - prod P(w)) / n over the first 30 words; null without words", True)
KEPT = Column("frequent_words_kept", pa.bool_(), "among the KEEP_SHARE with the highest score")
COUNTS = (
    Column("word", pa.string(), "in byte-level form"),
    Column("count", pa.int64(), "occurrences, at least min_count"),
)
Share = Annotated[float, Field(gt=0, le=1)]


@stage(output=(*VERDICT.columns, SCORE, KEPT), tables={"word_counts": COUNTS}, version=4, pairs=["uid", "caption"])
def prune_frequent_words(
    pairs: Any,
    *,
    keep_share: Share = 0.9,
    t: Annotated[float, Field(gt=0)] = 1e-7,
    min_count: int = 5,
    drop: bool = True,
) -> Any:
    """Keep the KEEP_SHARE of pairs with the highest word score, exactly int(n * share), ties by uid.

    WFPP (arXiv:2410.10879): f(w) = count / sum of counts of words seen at least MIN_COUNT times, P(w) = 1 - sqrt(t/f).
    A deterministic ranking; a caption of rare words alone scores 0 and is pruned first, as in the published code.
    With --no-drop all pairs go on, and `frequent_words_kept` tells them apart: the paper trains on the kept ones and
    then one epoch on all. Side table `word_counts`.
    """
    from pyspark.sql import functions as F

    words = pairs.mapInArrow(_count_words, "word string, count long")
    counts = cached(words.groupBy("word").agg(F.sum("count").alias("count")).where(F.col("count") >= min_count))
    table = collected(counts)
    shared = to_workers(pairs, dict(zip(table["word"], table["count"])))
    scored = cached(pairs.mapInArrow(_scoring(shared, t), "uid string, word_score double"))
    # A caption without words counts in n and ranks last: below any score, all of which are at least 0.
    ranked = scored.select("uid", F.coalesce("word_score", F.lit(-1.0)).alias("word_score"))
    verdicts = bounds_verdict(ranked, {"word_score": Bound(top_fraction=keep_share)})
    verdicts = verdicts.withColumn("frequent_words_kept", F.col("keep"))
    if not drop:
        nothing = F.lit(None).cast("string")
        verdicts = verdicts.withColumns({"keep": F.lit(True), "drop_reason": nothing, "drop_value": nothing})
    verdicts = verdicts.join(scored, "uid")
    value = F.when(F.col("word_score").isNotNull(), F.col("drop_value"))
    return verdicts.withColumn("drop_value", value), {"word_counts": counts}


def _count_words(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    from curation.methods import wfpp_words

    for batch in batches:
        counts = wfpp_words(batch.column("caption")).flatten().value_counts()
        columns = [counts.field("values"), counts.field("counts")]
        yield pa.RecordBatch.from_arrays(columns, names=["word", "count"])


def _scoring(counts: Any, t: float) -> Any:
    def score(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from curation.methods import wfpp_words, word_frequency_scores, word_probabilities

        probabilities = word_probabilities(counts.value, t)
        for batch in batches:
            scores = word_frequency_scores(wfpp_words(batch.column("caption")), probabilities)
            columns = [batch.column("uid"), pa.array(scores, from_pandas=True)]
            yield pa.RecordBatch.from_arrays(columns, names=["uid", "word_score"])

    return score
