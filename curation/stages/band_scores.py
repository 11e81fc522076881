"""Nested top shares of a score in one pass: which share a pair is in the best of."""

from typing import Annotated, Any

import pyarrow as pa
from pydantic import AfterValidator, Field

from curation.bounds import FINITE, Bound, no_later, nth_best
from curation.bounds import verdict as bounds_verdict
from curation.schema import VERDICT, Column
from curation.stage import cached, stage

BAND = Column("score_band", pa.float64(), "the smallest of SHARES whose best pairs it is among; null if none", True)
Share = Annotated[float, Field(gt=0, le=1)]


def _ascending(shares: list[float]) -> list[float]:
    if not shares or shares != sorted(set(shares)):
        raise ValueError("wanted ascending shares, e.g. [0.2, 0.4]")
    return shares


Shares = Annotated[list[Share], AfterValidator(_ascending)]


def _columns(settings: dict[str, Any]) -> list[str]:
    return [settings["score"], f"{settings['score']}__error"]


@stage(output=(*VERDICT.columns, BAND), pairs=_columns)
def band_scores(pairs: Any, *, score: str = "clip_score", shares: Shares = (0.2, 0.4, 0.6, 0.8, 1.0)) -> Any:
    """`score_band` of each pair: the smallest of SHARES such that it is among the int(n * share) best by SCORE.

    So the subsets are nested: the best 40 % are the pairs of the bands 0.2 and 0.4. What is in the last share not
    either is dropped, as `select_subset` with that top_fraction drops it; n counts the pairs with a finite score, ties
    by uid. Scaling (Down) CLIP (arXiv:2404.08197), section 4.
    """
    from pyspark.sql import functions as F

    scores = cached(pairs.select(F.col(f"`{score}`").try_cast("double").alias("score"), "uid").where(FINITE))
    band = F.lit(None).cast("double")
    for share in reversed(shares):
        last = nth_best(scores, lambda n, share=share: int(n * share) - 1)
        band = F.when(no_later(last, F.col("score")), F.lit(share)).otherwise(band)
    banded = scores.select("uid", band.alias("score_band"))
    return bounds_verdict(pairs, {score: Bound(top_fraction=shares[-1])}).join(banded, "uid", "left")
