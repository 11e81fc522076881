"""Exact duplicates: the same image with the same caption."""

from typing import Any

from curation.schema import VERDICT
from curation.stage import stage, verdict


@stage(output=VERDICT.columns, pairs=["uid", "image_id", "caption"])
def dedup_pairs(pairs: Any) -> Any:
    """One pair per (image identity, caption): the smallest uid stays, so the order of the input changes nothing.

    The pool merged equal texts already; this finds pairs whose captions became equal by cleaning. drop_value is the
    uid that stays.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    first = F.min("uid").over(Window.partitionBy("image_id", "caption"))
    marked = pairs.withColumn("_first", first)
    reason = F.when(F.col("uid") != F.col("_first"), F.lit("duplicate_pair"))
    return verdict(marked, reason, F.col("_first"))
