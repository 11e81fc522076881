"""The one job by two matchers, on DataFrames: `uid`, `caption` in; `uid`, `entries`, and counts of entries out."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from paired import peer_packages

from curation.stage import cached
from curation.stages import STAGES
from matching.peer import PEER, built_automaton

SCHEMA = "uid string, caption string, entries array<int>"


def ours(frame: Any, entries: str) -> tuple[Any, Any]:
    """By the stage `match_entries`, as any recipe runs it."""
    matched, tables = STAGES["match_entries"](frame, metadata=entries)
    return matched, tables["entry_counts"]


def peer(frame: Any, entries: str) -> tuple[Any, Any]:
    """By an automaton in each worker."""
    from pyspark.sql import functions as F

    matched = cached(frame.mapInArrow(partial(_matched, entries), SCHEMA))
    held = matched.select(F.explode("entries").alias("entry_id"))
    return matched, held.groupBy("entry_id").agg(F.count("*").alias("count"))


def _matched(entries: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    search = automaton(entries)
    for batch in batches:
        ids = pa.array(search(batch.column("caption").to_pylist()), pa.list_(pa.int32()))
        columns = [batch.column("uid"), batch.column("caption"), ids]
        yield pa.RecordBatch.from_arrays(columns, names=["uid", "caption", "entries"])


@lru_cache(maxsize=1)
def automaton(entries: str) -> Callable[[Sequence[str]], list[list[int]]]:
    """The peer's search for the entries of a file, built once in a process."""
    peer_packages("match", PEER)
    return built_automaton(pq.read_table(entries)["entry"].to_pylist())
