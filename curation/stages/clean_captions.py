"""Readable captions; the text as ingested stays beside them."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from curation.schema import VERDICT, Column
from curation.stage import stage, verdict

CAPTION = Column("caption", pa.string(), "the cleaned text, empty if nothing readable is left")
RAW = Column("caption_raw", pa.string(), "the text as ingested")


@stage(output=(*VERDICT.columns, CAPTION, RAW), pairs=["uid", "caption"])
def clean_captions(pairs: Any) -> Any:
    """`caption` with entities decoded, mojibake repaired (ftfy), blanks collapsed; `caption_raw` as it was.

    The uid stays. Drops pairs whose caption is empty then (`empty_caption`).
    """
    from pyspark.sql import functions as F

    cleaned = pairs.mapInArrow(_clean, "uid string, caption string, caption_raw string")
    return verdict(cleaned, F.when(F.length("caption") == 0, F.lit("empty_caption")), F.col("caption_raw"))


def _clean(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    from curation.methods.clean import clean_captions as clean

    for batch in batches:
        raw = batch.column("caption")
        columns = [batch.column("uid"), clean(raw), raw]
        yield pa.RecordBatch.from_arrays(columns, names=["uid", "caption", "caption_raw"])
