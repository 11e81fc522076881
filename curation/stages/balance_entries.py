"""MetaCLIP's balancing: thin out pairs that hold only common entries."""

from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from curation.schema import VERDICT, Column
from curation.stage import collected, stage, to_workers, verdict

PROBABILITY = Column("keep_probability", pa.float64(), "1 - prod(1 - p(e)) over the caption's entries, in [0, 1]")


@stage(output=(*VERDICT.columns, PROBABILITY), pairs=["uid", "entries"], entry_counts=["entry_id", "count"])
def balance_entries(pairs: Any, entry_counts: Any, *, t: Annotated[int, Field(ge=1)] = 20_000, seed: int = 0) -> Any:
    """Keep a pair if one of its entries draws u < p(e) = min(t / count(e), 1); each (pair, entry) has its own u.

    T is MetaCLIP's head/tail threshold (arXiv:2309.16671 §3.3; 20,000 for 400M pairs): a pair that holds an entry seen
    at most t times stays for certain. The uniforms are keyed by (seed, uid, entry), so raising t only adds pairs.
    drop_value is keep_probability.
    """
    from pyspark.sql import functions as F

    rows = collected(entry_counts.select("entry_id", "count"))
    shared = to_workers(pairs, probabilities(rows["entry_id"], rows["count"], t))
    drawn = draw(pairs, shared, "balance_entries", seed)
    return verdict(drawn, F.when(~F.col("drawn"), F.lit("balanced_out")), F.col("keep_probability"))


def probabilities(ids: Any, counts: Any, t: Any) -> np.ndarray:
    """Probability by entry id, float64; NaN: no count, no such entry. `t` is one threshold, or one per row."""
    from curation.methods import entry_probability

    p = np.full(int(ids.max()) + 1 if len(ids) else 0, np.nan)
    p[ids] = entry_probability(counts.to_numpy(), t)
    return p


def draw(pairs: Any, probability: Any, stage: str, seed: int) -> Any:
    """uid, keep_probability and drawn of each pair; `probability` is a broadcast array, `stage` keys the uniforms."""

    def drawn(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from curation.methods import keep_by_draws, keep_probability, keyed_uniforms

        for batch in batches:
            ids, uids = batch.column("entries"), batch.column("uid")
            repeated = uids.take(pa.compute.list_parent_indices(ids))
            uniforms = keyed_uniforms(seed, stage, repeated, ids.flatten())
            p = probability.value
            columns = [uids, pa.array(keep_probability(ids, p)), pa.array(keep_by_draws(ids, p, uniforms))]
            yield pa.RecordBatch.from_arrays(columns, names=["uid", "keep_probability", "drawn"])

    return pairs.select("uid", "entries").mapInArrow(drawn, "uid string, keep_probability double, drawn boolean")
