"""Raw or generated caption: which one an image goes with, by their CLIP scores."""

from typing import Annotated, Any

import pyarrow as pa
from pydantic import Field

from curation.bounds import no_later, nth_best
from curation.errors import RecipeError
from curation.methods.mixing import GENERATED, RAW, Strategy
from curation.schema import VERDICT, Column
from curation.stage import cached, stage, verdict

CAPTION = (
    Column("caption", pa.string(), "the caption chosen; null where the pair is dropped", True),
    Column(
        "caption_source", pa.string(), "raw, or the model or kind of the caption; null where the pair is dropped", True
    ),
)


@stage(
    output=(*VERDICT.columns, *CAPTION),
    pairs=["uid", "caption", "captions", "clip_score", "captions_clip_score"],
)
def mix_captions(
    pairs: Any,
    *,
    x: Annotated[float, Field(ge=0, le=1)] = 0.3,
    strategy: Strategy = "raw_top_generated_passing",
    generated: list[str] = (),
) -> Any:
    """`caption` of each image: its own, or the best of its generated ones; drops what STRATEGY takes neither of.

    raw_top keeps the best int(X * n) pairs by clip_score; raw_top_generated_rest gives the generated caption to all
    others that have one, raw_top_generated_passing only where it scores as high as the last raw one taken; best_top
    keeps the best by the higher of the two scores; generated_top the best by the generated one; generated_all all that
    have one. "Improving Multimodal Datasets with Image Captioning" (arXiv:2307.10350), section 4. GENERATED lists the
    kinds or models of `captions` that count, as ingest named them; without it those that name a model do. Negative ones
    never do. Ties by uid.
    """
    from pyspark.sql import functions as F

    scored = cached(pairs.withColumn("_best", _best_generated(list(generated))).withColumns(_scores()))
    if strategy != "raw_top":
        _check_generated(scored, list(generated))
    ranked = _ranked_by(strategy)
    last = None
    if ranked is not None:
        scores = scored.select("uid", F.col(ranked).alias("score")).where("score is not null")
        last = nth_best(scores, lambda n: int(n * x) - 1)
    chosen = scored.withColumn("_source", _choice(strategy, ranked, last))
    generated = F.col("_source") == GENERATED
    named = {
        "caption": F.when(generated, F.col("_best.text")).when(F.col("_source") == RAW, F.col("caption")),
        "caption_source": F.when(generated, F.col("_best.source")).otherwise(F.col("_source")),
    }
    reason = F.when(F.col("_source").isNull(), F.lit(f"caption not in {strategy} {x}"))
    return verdict(chosen.withColumns(named), reason, F.col("clip_score"))


def _check_generated(scored: Any, generated: list[str]) -> None:
    """RecipeError where there are further captions and none of them counts: nothing would be mixed, nothing said."""
    from pyspark.sql import functions as F

    if not scored.where("_best is not null").isEmpty():
        return
    each = scored.select(F.explode("captions").alias("each")).where("not coalesce(each.negative, false)")
    names = each.select(F.coalesce("each.model", "each.kind").alias("name")).distinct().orderBy("name").limit(20)
    if found := [row.name for row in names.collect()]:
        wanted = f"that are {generated}" if generated else "that name a model"
        raise RecipeError(f"mix_captions: generated: no captions {wanted} have a score; there are those of {found}")


def _best_generated(generated: list[str]) -> Any:
    """Struct (score, place, text, source) of the generated caption of highest score, the first of equal ones."""
    from pyspark.sql import functions as F

    def scored(caption: Any, place: Any) -> Any:
        score, model, kind = F.get("captions_clip_score", place), caption["model"], caption["kind"]
        named = F.coalesce(model.isin(generated), F.lit(False)) | kind.isin(generated)
        fits = (named if generated else model.isNotNull()) & ~F.coalesce(caption["negative"], F.lit(False))
        fields = {"score": score, "place": -place, "text": caption["text"], "source": F.coalesce(model, kind)}
        return F.when(
            fits & score.isNotNull() & ~F.isnan(score), F.struct(*(v.alias(name) for name, v in fields.items()))
        )

    return F.array_max(F.filter(F.transform("captions", scored), lambda each: each.isNotNull()))


def _scores() -> dict[str, Any]:
    from pyspark.sql import functions as F

    raw = F.when(~F.isnan("clip_score"), F.col("clip_score")).cast("double")
    generated = F.col("_best.score").cast("double")
    return {"_raw": raw, "_generated": generated, "_higher": F.greatest(raw, generated)}


def _ranked_by(strategy: Strategy) -> str | None:
    """The score whose best are taken; None where nothing is ranked."""
    if strategy == "generated_all":
        return None
    return {"generated_top": "_generated", "best_top": "_higher"}.get(strategy, "_raw")


def _choice(strategy: Strategy, ranked: str | None, last: tuple[float, str] | None) -> Any:
    """raw, generated or null for each pair, as `curation.methods.mix_captions`."""
    from pyspark.sql import functions as F

    there = F.col("_generated").isNotNull()
    if ranked is None:
        return F.when(there, F.lit(GENERATED))
    taken = no_later(last, F.col(ranked))
    if strategy == "generated_top":
        return F.when(taken, F.lit(GENERATED))
    if strategy == "best_top":
        better = there & ~F.coalesce(F.col("_raw") >= F.col("_generated"), F.lit(False))
        return F.when(taken, F.when(better, F.lit(GENERATED)).otherwise(F.lit(RAW)))
    rest = {"raw_top": F.lit(False), "raw_top_generated_rest": there}.get(strategy)
    if rest is None:
        rest = F.lit(False) if last is None else F.col("_generated") >= F.lit(last[0])
    return F.when(taken, F.lit(RAW)).when(rest, F.lit(GENERATED))
