"""Groups of duplicates as graphs in Spark: who stays, and who stands for whom. No edges come to the driver.

An edge says that two items are near: (better, worse, similarity), the better by the stage's preference. Items whose
keys are equal are joined before (`collapsed`), so that a million equal ones make a million rows and no edges. Items of
an earlier release bear EARLIER before their name; they are better than all others and are never the worse one.
"""

from typing import Any, Literal

Mode = Literal["representative", "transitive", "components"]
EDGE_DDL = "better string, worse string, similarity double"
EARLIER = "earlier "  # no image_id or uid, which are hex, begins so


def collapsed(items: Any, key: str) -> Any:
    """One row per value of `key`: the best `item` that has it, and its `rank`."""
    from pyspark.sql import functions as F

    best = F.min_by("item", F.struct("rank", "item")).alias("item")
    return items.groupBy(key).agg(best, F.min("rank").alias("rank"))


def equal(items: Any, distinct: Any, key: str) -> Any:
    """(item, representative, similarity 1) of items whose key is that of a better one."""
    from pyspark.sql import functions as F

    same = items.join(distinct.select(key, F.col("item").alias("representative")), key)
    one = F.lit(1.0).alias("similarity")
    return same.where("item != representative").select("item", "representative", one)


def with_equals(equals: Any, near: Any) -> Any:
    """Items equal to one that another replaces get that one's representative."""
    from pyspark.sql import functions as F

    further = near.select(F.col("item").alias("representative"), F.col("representative").alias("_of"), "similarity")
    moved = equals.drop("similarity").join(further, "representative", "left")
    kept = F.coalesce("_of", "representative").alias("representative")
    return near.unionByName(moved.select("item", kept, F.coalesce("similarity", F.lit(1.0)).alias("similarity")))


def decided(edges: Any, ranks: Any, mode: Mode) -> Any:
    """(item, representative, similarity) of the items that go; `ranks` are (item, rank), the better the smaller.

    representative: taking items best first, one goes if a better one that stays is near, which stands for it.
    transitive: one goes if a better one is near, whether that one stays or not (SemDeDup, arXiv:2303.09540).
    components: one goes if a chain of near ones leads to a better one; the best of the chain's component stays.
    In the last two the representative may be farther than the threshold; `similarity` is then to the nearest better
    one, null where there is none (components).
    """
    edges = edges.localCheckpoint()
    if mode == "representative":
        return _greedy(edges)
    return _transitive(edges) if mode == "transitive" else _components(edges, ranks)


def _nearest(edges: Any) -> Any:
    """(item, representative, similarity): the nearest better one of each item that has any."""
    from pyspark.sql import functions as F

    nearest = F.max_by("better", F.struct("similarity", "better")).alias("representative")
    return edges.groupBy(F.col("worse").alias("item")).agg(nearest, F.max("similarity").alias("similarity"))


def _greedy(active: Any) -> Any:
    """Each round decides all whose better neighbours are decided: as many rounds as the longest such chain, few."""
    from pyspark.sql import functions as F

    dropped = _nearest(active.limit(0))
    while not active.isEmpty():
        worse = active.select("worse").distinct()
        kept = active.select("better").distinct().join(worse, F.col("better") == F.col("worse"), "left_anti")
        gone = _nearest(active.join(kept, "better")).localCheckpoint()
        dropped = dropped.unionByName(gone)
        out = gone.select("item")
        active = active.join(out, F.col("worse") == F.col("item"), "left_anti")
        active = active.join(out, F.col("better") == F.col("item"), "left_anti").localCheckpoint()
    return dropped


def _transitive(edges: Any) -> Any:
    """Each item points at its nearest better one; pointers are doubled until all end at one that stays."""
    from pyspark.sql import functions as F

    found = _nearest(edges).localCheckpoint()
    while True:
        next_one = found.select(F.col("item").alias("representative"), F.col("representative").alias("_next"))
        if found.join(next_one, "representative", "left_semi").isEmpty():
            return found
        further = found.join(next_one, "representative", "left")
        to = F.coalesce("_next", "representative").alias("representative")
        found = further.select("item", to, "similarity").localCheckpoint()


def _components(edges: Any, ranks: Any) -> Any:
    """Every item gets the best of its component: the alternating large and small stars of Kiveris et al., "Connected
    Components in MapReduce and Beyond" (SoCC 2014), whose rounds grow as log^2 of the items at most.
    """
    from pyspark.sql import functions as F

    place = ranks.select("item", F.struct("rank", "item").alias("place"))
    links = edges.join(place.select(F.col("item").alias("better"), F.col("place").alias("low")), "better")
    links = links.join(place.select(F.col("item").alias("worse"), F.col("place").alias("high")), "worse")
    stars = links.select("high", "low").distinct().localCheckpoint()
    while not _are_stars(stars):
        stars = _small_star(_large_star(stars)).localCheckpoint()
    roots = stars.select(F.col("high.item").alias("item"), F.col("low.item").alias("representative"))
    nearest = _nearest(edges).select("item", "similarity")
    return roots.where(~F.col("item").startswith(EARLIER)).join(nearest, "item", "left")


def _large_star(links: Any) -> Any:
    """Each higher neighbour of a node is linked to the node's lowest neighbour, or the node where it is lower."""
    from pyspark.sql import functions as F

    both = links.unionByName(links.select(F.col("low").alias("high"), F.col("high").alias("low")))
    least = both.groupBy("high").agg(F.min("low").alias("_least"))
    least = least.select("high", F.least("high", "_least").alias("_least"))
    moved = both.join(least, "high").where("low > high")
    return moved.select(F.col("low").alias("high"), F.col("_least").alias("low")).distinct()


def _small_star(links: Any) -> Any:
    """A node and its lower neighbours are linked to the lowest of them."""
    from pyspark.sql import functions as F

    least = links.groupBy("high").agg(F.min("low").alias("_least"))
    moved = links.join(least, "high").where("low != _least")
    moved = moved.select(F.col("low").alias("high"), F.col("_least").alias("low"))
    return moved.unionByName(least.withColumnRenamed("_least", "low")).distinct()


def _are_stars(links: Any) -> bool:
    """Whether every node is linked to one lower node, which is linked to none."""
    from pyspark.sql import functions as F

    lows = links.select(F.col("low").alias("high"))
    twice = links.groupBy("high").count().where("count > 1")
    return twice.isEmpty() and links.join(lows, "high", "left_semi").isEmpty()
