"""What pages say against the use of their images, kept for each image: an opt-out outlives its pair.

A pair is merged with its like on another page, is in the pool already, or is dropped by a recipe; what its page said
still holds. So each part of a pool has, beside its pairs, a table OPT_OUTS of all that was found in its sources.
"""

from typing import Any

from curation import tables
from curation.files import join
from curation.pool import Pool
from curation.schema import OPT_OUT, OPT_OUTS
from curation.sources.http import FORBIDDING


def of_pairs(pairs: Any) -> Any:
    """image_id and term, each once: the terms in extra["opt_out"] that forbid the use. `pairs` has image_id, extra."""
    from pyspark.sql import functions as F

    return _terms(pairs.where("extra IS NOT NULL").select("image_id", F.col("extra").getItem("opt_out").alias(OPT_OUT)))


def of_pool(spark: Any, pool: Pool) -> Any | None:
    """image_id and term, each once, of all pages of a pool; null where there are none.

    Parts made before there was such a table have only what their pairs say.
    """
    frames = []
    for part in pool.parts:
        if "opt_outs" not in part:
            frames.append(of_pairs(tables.read_spark(spark, *pool.table(part, "pairs"))))
        elif part["opt_outs"]:
            frames.append(_terms(tables.read_spark(spark, *pool.table(part, OPT_OUTS.name))))
    union = frames[0] if frames else None
    for frame in frames[1:]:
        union = union.unionByName(frame)
    return union if len(frames) < 2 else union.distinct()


def not_in(pool: Pool, found: Any) -> Any:
    """image_id and term, each once, of what was found, less what pages of the pool have said already."""
    terms, known = of_pairs(found), of_pool(found.sparkSession, pool)
    return terms if known is None else terms.join(known, ["image_id", "term"], "left_anti")


def attach(pairs: Any, pool: Pool) -> Any:
    """The pairs with `opt_out`: the terms of all pages of the pool that show its image, sorted, with commas between."""
    from pyspark.sql import functions as F

    terms = of_pool(pairs.sparkSession, pool)
    if terms is None:
        return pairs.withColumn(OPT_OUT, F.lit(None).cast("string"))
    return pairs.join(_per_image(terms), "image_id", "left")


def write(part: dict[str, Any], terms: Any | None, pool: str, rows: int) -> dict[str, Any]:
    """A part of the pool at `pool` with its table of TERMS committed, ROWS expected: `opt_outs` counts its images, and
    `content` them too.
    """
    if terms is None:
        return part | {"opt_outs": 0}
    folder = join(pool, OPT_OUTS.name, part["key"])
    parts = tables.write_spark(_per_image(terms), folder, OPT_OUTS.arrow, rows, key="image_id")
    tables.write_done(folder, {"table": OPT_OUTS.name, "parts": parts})
    added = tables.row_hash(tables.read_spark(terms.sparkSession, folder, parts), OPT_OUTS.names)
    content = f"{int(part['content'], 16) ^ int(added, 16):032x}"
    return part | {"opt_outs": sum(each["rows"] for each in parts), "content": content}


def _terms(said: Any) -> Any:
    """image_id and term of a frame of image_id and `opt_out`, a comma list."""
    from pyspark.sql import functions as F

    each = F.explode(F.split(F.lower(OPT_OUT), ",")).alias("term")
    terms = said.where(F.col(OPT_OUT).isNotNull()).select("image_id", each)
    terms = terms.withColumn("term", F.regexp_replace("term", r"^\s+|\s+$", ""))
    return terms.where(F.col("term").isin(sorted(FORBIDDING))).distinct()


def _per_image(terms: Any) -> Any:
    from pyspark.sql import functions as F

    listed = F.concat_ws(",", F.array_sort(F.collect_set("term")))
    return terms.groupBy("image_id").agg(listed.alias(OPT_OUT))
