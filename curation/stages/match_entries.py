"""MetaCLIP's substring matching: which entries of the metadata each caption holds."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import AfterValidator

from curation.schema import VERDICT, Column
from curation.stage import cached, stage, verdict

ENTRIES = Column("entries", pa.list_(pa.int32()), "ids of the entries in the caption, ascending, each once")
COUNTS = (
    Column("entry_id", pa.int32(), "number of the entry in the list"),
    Column("entry", pa.string(), "the entry"),
    Column("count", pa.int64(), "captions that hold it; entries never seen are left out"),
)


def _readable(metadata: str) -> str:
    from curation.entries import load_entries

    load_entries(metadata)  # an unknown or broken list is refused before any work
    return metadata


EntryList = Annotated[str, AfterValidator(_readable)]


@stage(output=(*VERDICT.columns, ENTRIES), tables={"entry_counts": COUNTS}, pairs=["uid", "caption"])
def match_entries(pairs: Any, *, metadata: EntryList = "wordnet30", mode: Literal["metaclip1"] = "metaclip1") -> Any:
    """`entries` of each caption, and the table `entry_counts`; drops captions that match nothing (`no_entry`).

    METADATA is a packaged entry list or a file of entries. MetaCLIP (arXiv:2309.16671) §3.2: an entry matches where it
    stands between blanks, after blanks were put around , . ; : ? ! and the backtick; case-sensitive.
    """
    from pyspark.sql import functions as F

    from curation.entries import FORMATS, load_entries
    from curation.files import absolute

    entries = load_entries(metadata)
    metadata = absolute(metadata) if metadata.endswith(FORMATS) else metadata  # tasks run in other folders
    matched = cached(pairs.mapInArrow(_matching(metadata, mode), "uid string, caption string, entries array<int>"))
    held = matched.select(F.explode("entries").alias("entry_id"))
    names = pa.table({"entry_id": pa.array(range(len(entries)), pa.int32()), "entry": entries})
    named = F.broadcast(pairs.sparkSession.createDataFrame(names))
    counts = held.groupBy("entry_id").agg(F.count("*").alias("count")).join(named, "entry_id")
    result = verdict(matched, F.when(F.size("entries") == 0, F.lit("no_entry")), F.col("caption"))
    return result, {"entry_counts": counts}


def _matching(metadata: str, mode: str) -> Any:
    def match(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        matcher = _matcher(metadata, mode)
        for batch in batches:
            columns = [batch.column("uid"), batch.column("caption"), matcher.match(batch.column("caption"))]
            yield pa.RecordBatch.from_arrays(columns, names=["uid", "caption", "entries"])

    return match


@lru_cache(maxsize=2)
def _matcher(metadata: str, mode: str) -> Any:
    """One matcher per worker process: building it costs more than a batch."""
    from curation.entries import load_entries
    from curation.methods import Matcher

    return Matcher(load_entries(metadata), mode)
