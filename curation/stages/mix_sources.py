"""A mixture of sources by stated weights."""

import functools
from typing import Annotated, Any

import pyarrow as pa
from pydantic import Field

from curation.errors import unknown
from curation.schema import VERDICT, Column
from curation.stage import cached, stage, verdict
from curation.stages.sample_budget import among_best, uniforms

SOURCES = (
    Column("source", pa.string(), "as in the pool"),
    Column("weight", pa.float64(), "as given"),
    Column("pairs", pa.int64(), "pairs before"),
    Column("pairs_kept", pa.int64(), "pairs kept"),
)
Budget = Annotated[int | None, Field(ge=0)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@stage(output=VERDICT.columns, tables={"sources": SOURCES}, ledger="sources", version=2, pairs=["uid", "source"])
def mix_sources(pairs: Any, *, weights: dict[str, Weight] = ..., budget: Budget = None, seed: int = 0) -> Any:
    """Keep of each source its share of BUDGET pairs by WEIGHTS (0 leaves it out); drops the others (`source_share`).

    Shares are rounded by largest remainders; what a source cannot give goes to the others. Without BUDGET as many as
    the weights allow without that. Every source must have a weight: mixing interpolates between sources, so a weak one
    dilutes a strong one ("Quality Not Quantity", arXiv:2208.05516), and nothing is put together unsaid. Which pairs:
    the smallest uniforms keyed by (seed, uid), so a larger budget only adds pairs, but that rounding may take one from
    a source. Side table `sources`.
    """
    from pyspark.sql import functions as F

    sizes = dict(pairs.groupBy("source").count().collect())
    if set(sizes) - set(weights):
        raise unknown("source without a weight", set(sizes) - set(weights), weights, "mix_sources")
    wanted = _counts(sizes, weights, budget)
    drawn = cached(uniforms(pairs, "mix_sources", seed).join(pairs.select("uid", "source"), "uid"))
    kept = F.lit(False)
    for source in sorted(sizes):
        count = functools.partial(lambda n, some: some, some=wanted.get(source, 0))
        inside = among_best(drawn.where(F.col("source") == source).select("uid", "score"), count)
        kept = kept | ((F.col("source") == source) & inside)
    rows = [
        {"source": s, "weight": weights[s], "pairs": n, "pairs_kept": wanted.get(s, 0)}
        for s, n in sorted(sizes.items())
    ]
    table = pa.Table.from_pylist(rows, pa.schema([(c.name, c.type) for c in SOURCES]))
    result = verdict(drawn, F.when(~kept, F.lit("source_share")), F.col("source"))
    return result, {"sources": pairs.sparkSession.createDataFrame(table)}


def _counts(sizes: dict[str, int], weights: dict[str, float], budget: int | None) -> dict[str, int]:
    from curation.methods.mixing import as_written, source_counts

    given = {name: weights[name] for name in sizes}
    if budget is None:  # the largest at which no source runs out
        total = sum(map(as_written, given.values()))
        budget = int(min((sizes[s] * total / as_written(w) for s, w in given.items() if w > 0), default=0))
    return source_counts(sizes, given, budget) if sizes else {}
