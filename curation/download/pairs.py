"""Between pairs and images: which images the pairs lack, and what became of them, joined back."""

from typing import Any


def images(pairs: Any) -> Any:
    """image_id, url and opt_out, one row for each image that has a URL and that no pair has a pointer to.

    `pairs` has image_id, url, image and `opt_out`, the terms of all pages of the pool on which the image was found
    (curation.opt_outs): one page that forbids the use is enough, also where its own pair is not among these.
    """
    from pyspark.sql import functions as F

    there = F.max(F.col("image").isNotNull()).alias("_there")
    found = pairs.groupBy("image_id").agg(F.min("url").alias("url"), F.min("opt_out").alias("opt_out"), there)
    return found.where("url IS NOT NULL AND NOT _there").select("image_id", "url", "opt_out")


def with_images(pairs: Any, downloads: Any) -> Any:
    """The pairs, `image` filled in from the table `downloads`, and `_status` and `_detail` of what was fetched.

    What another pair has is not fetched: a pair without gets the smallest of its image_id.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    fetched = downloads.select("image_id", F.col("image").alias("_fetched"), F.col("status").alias("_status"), "detail")
    joined = pairs.join(fetched, "image_id", "left")
    others = F.min("image").over(Window.partitionBy("image_id"))
    there = joined.withColumn("image", F.coalesce("image", "_fetched", others)).withColumnRenamed("detail", "_detail")
    return there.drop("_fetched")


def reason(found: Any) -> Any:
    """Why a pair of `with_images` has no image: the status of its download, or no_url; null where it has one."""
    from pyspark.sql import functions as F

    return F.when(F.col("image").isNull(), F.coalesce("_status", F.lit("no_url")))
