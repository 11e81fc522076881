"""Pairs whose picture is one of an evaluation set."""

from typing import Annotated, Any

import pyarrow as pa
from pydantic import AfterValidator

from curation.models.evaluation import evaluation_file, load_evaluation
from curation.schema import VERDICT, Column
from curation.stage import cached, stage, verdict

COLUMNS = (
    Column("evaluation_score", pa.float64(), "cosine to the nearest evaluation picture", True),
    Column("evaluation_set", pa.string(), "the set that it is of", True),
    Column("evaluation_item", pa.string(), "its name there", True),
)
LEAKS = (
    Column("set", pa.string(), "name of the evaluation set"),
    Column("items", pa.int64(), "pictures in it"),
    Column("pairs", pa.int64(), "pairs dropped as one of them"),
    Column("items_found", pa.int64(), "of its pictures those that were found in the pool"),
    Column("captions", pa.int64(), "pairs nearest to it that share 8 words in a row with a caption of any set"),
    Column("threshold", pa.float64(), "what scores above it is dropped"),
)
READS = ["nearest_evaluation", "nearest_evaluation__error", "evaluation_ngrams"]
EvaluationSets = Annotated[str, AfterValidator(evaluation_file)]


@stage(output=(*VERDICT.columns, *COLUMNS), tables={"leaks": LEAKS}, ledger="leaks", pairs=READS)
def decontaminate(pairs: Any, *, evaluation: EvaluationSets = ...) -> Any:
    """Drop pairs whose picture is one of the evaluation sets (`evaluation_image`): cosine above the file's threshold.

    EVALUATION is a file of `curate calibrate`: the pictures of any sets, embedded by the model of image_embedding, and
    the threshold that was found for that model; another model or version of it is refused. After DataComp
    (arXiv:2304.14108, appendix), which keeps what is at most 0.604169 by its own descriptor. A pair without an
    embedding cannot be cleared and is dropped, too. drop_value names set, item and cosine; captions that share words
    with those of the sets are counted in the side table `leaks`, which the ledger repeats, and not dropped.
    """
    from pyspark.sql import functions as F

    known = load_evaluation(evaluation)
    threshold = known.told["threshold"]
    near = F.col("nearest_evaluation")
    found = pairs.withColumns(
        {"evaluation_score": near["score"], "evaluation_set": near["set"], "evaluation_item": near["item"]}
    )
    reason = F.when(near.isNull(), F.lit("nearest_evaluation is null"))
    reason = reason.when(near["score"] > F.lit(threshold), F.lit("evaluation_image"))
    shown = F.format_string("%s/%s, %.6f", near["set"], near["item"], near["score"])
    marked = cached(verdict(found, reason, F.when(near.isNull(), F.col("nearest_evaluation__error")).otherwise(shown)))
    return marked, {"leaks": _leaks(marked, known.items, threshold)}


def _leaks(marked: Any, items: pa.Table, threshold: float) -> Any:
    from pyspark.sql import functions as F

    leaked = F.col("drop_reason") == "evaluation_image"
    counts = (
        marked.where("evaluation_set is not null")
        .groupBy("evaluation_set")
        .agg(
            F.count(F.when(leaked, F.lit(1))).alias("pairs"),
            F.countDistinct(F.when(leaked, F.col("evaluation_item"))).alias("items_found"),
            F.count(F.when(F.col("evaluation_ngrams") > 0, F.lit(1))).alias("captions"),
        )
    )
    found = {row.evaluation_set: row for row in counts.collect()}
    rows = []
    for name, count in sorted(zip(*(each.to_pylist() for each in items["set"].value_counts().flatten()))):
        row = found.get(name)
        told = [row.pairs, row.items_found, row.captions] if row else [0, 0, 0]
        rows.append((name, count, *told, threshold))
    names = [c.name for c in LEAKS]
    schema = pa.schema([(c.name, c.type) for c in LEAKS])
    table = pa.Table.from_pylist([dict(zip(names, row)) for row in rows], schema)
    return marked.sparkSession.createDataFrame(table)
