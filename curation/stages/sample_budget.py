"""A random subset of an exact size."""

from collections.abc import Iterator
from typing import Annotated, Any

import pyarrow as pa
from pydantic import Field

from curation.bounds import no_later, nth_best
from curation.errors import RecipeError
from curation.schema import VERDICT
from curation.stage import cached, stage, verdict

Size = Annotated[int | None, Field(ge=0)]
Share = Annotated[float | None, Field(ge=0, le=1)]


def check_budget(stage: str, settings: dict[str, Any]) -> None:
    """RecipeError unless a stage has one of size and share."""
    if (settings["size"] is None) == (settings["share"] is None):
        raise RecipeError(f"stage {stage}: give either size or share")


def _columns(settings: dict[str, Any]) -> list[str]:
    check_budget("sample_budget", settings)
    return ["uid"]


@stage(output=VERDICT.columns, pairs=_columns)
def sample_budget(pairs: Any, *, size: Size = None, share: Share = None, seed: int = 0) -> Any:
    """Keep SIZE pairs, or int(n * SHARE), drawn at random; all of them where there are no more.

    Each pair has one uniform, keyed by (seed, uid), and the smallest stay, ties by uid: so a larger budget only adds
    pairs.
    """
    from pyspark.sql import functions as F

    drawn = cached(uniforms(pairs, "sample_budget", seed))
    reason = F.when(~among_best(drawn, lambda n: size if share is None else int(n * share)), F.lit("over_budget"))
    return verdict(drawn, reason, -F.col("score"))


def uniforms(pairs: Any, stage: str, seed: int) -> Any:
    """uid and `score`, minus the pair's uniform: the highest scores are the smallest draws."""

    def draw(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from curation.methods import keyed_uniforms

        for batch in batches:
            uids = batch.column("uid")
            scores = pa.array(-keyed_uniforms(seed, stage, uids))
            yield pa.RecordBatch.from_arrays([uids, scores], names=["uid", "score"])

    return pairs.select("uid").mapInArrow(draw, "uid string, score double")


def among_best(scores: Any, count_of: Any) -> Any:
    """The condition on uid and score to be among the `count_of(n)` best of `scores`, n being their number."""
    from pyspark.sql import functions as F

    return no_later(nth_best(scores, lambda n: min(n, count_of(n)) - 1), F.col("score"))
