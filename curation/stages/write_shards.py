"""Tar shards and their manifest: image bytes go from file to tar inside a task and never through Spark."""

from collections.abc import Iterator
from typing import Annotated, Any

import pyarrow as pa
from pydantic import Field

from curation.schema import PAIRS, SAMPLES, VERDICT, Column
from curation.stage import cached, collected, stage, verdict

BLOCK_SHIFT = 26  # source files are shuffled in blocks of 64 MiB: near pairs stay near, so reads stay sequential
BUCKETS = 4096  # counts per bucket of blocks are all that comes to the driver
SHARD = Column("shard", pa.int32(), "number of the shard, from 0 without gaps")
SETS = (
    Column("first_shard", pa.int32(), "number of its first shard"),
    Column("set", pa.string(), "value of the column that divides the pairs; empty without one, or where it is null"),
    Column("shards", pa.int32(), "number of its shards"),
    Column("samples", pa.int64(), "pairs placed in them"),
)
CARRIED = [c for c in PAIRS.names if c in (*SAMPLES.names, "image")]


def _columns(settings: dict[str, Any]) -> list[str]:
    by = [settings["by"]] if settings["by"] else []
    faces = ["face_boxes", "face_boxes__error"] if settings["blur_faces"] else []
    return list(dict.fromkeys([*CARRIED, *settings["signals"], *by, *faces]))


@stage(output=(*VERDICT.columns, SHARD), tables={"sets": SETS}, ledger="sets", version=3, pairs=_columns)
def write_shards(
    pairs: Any,
    *,
    samples_per_shard: Annotated[int, Field(ge=1)] = 10_000,
    signals: list[str] = (),
    by: str | None = None,
    blur_faces: bool = False,
    seed: int = 0,
    out: str = "",
) -> Any:
    """Write OUT/shards and OUT/manifest: SAMPLES_PER_SHARD samples in each tar, SIGNALS as further manifest columns.

    Order: blocks of the source files by keyed hash, then keyed hash within a shard, so that pictures are read in runs.
    The rows of a table may come in any order and cut into any files, so there each pair is a block. Equal input gives
    equal bytes, whatever the partitions. A picture that cannot be read now is dropped (`unreadable_image`) and takes no
    place. BY, a column of few values, gives each value shards of its own, in the order of the values (true before
    false, null last); which ones says the side table `sets`, which the ledger repeats.

    BLUR_FACES: pictures in which `face_boxes` finds faces are decoded, blurred there and written as JPEG, and the
    manifest has `blurred_faces`; the others stay byte for byte. One that could not be searched is dropped.
    """
    from pyspark.sql import functions as F

    placed, sets = _place(pairs, samples_per_shard, seed, by)
    shards = max(1, sum(row["shards"] for row in sets))
    laid = placed.repartitionById(shards, "shard").sortWithinPartitions("shard", "_order", "uid")
    written = cached(laid.mapInArrow(_writing(out, list(signals), blur_faces), "uid string, shard int, error string"))
    reason = F.when(F.col("error").isNotNull(), F.lit("unreadable_image"))
    table = pa.Table.from_pylist(sets, pa.schema([(c.name, c.type) for c in SETS]))
    return verdict(written, reason, F.col("error")), {"sets": pairs.sparkSession.createDataFrame(table)}


def _place(pairs: Any, samples_per_shard: int, seed: int, by: str | None = None) -> tuple[Any, list[dict[str, Any]]]:
    """`shard` and `_order` of each pair, from keyed hashes and 4,096 counts a set (no global sort, no chance); the
    rows of SETS.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    # A block is named by what is in it, not by the file's path: a pool that lies elsewhere gives the same tars.
    place = F.shiftright(F.coalesce("image.offset", F.lit(0)), BLOCK_SHIFT)
    name = F.min("image_id").over(Window.partitionBy("image.uri", place))
    name = F.when((F.col("kind") == "table") | F.col("image").isNull(), F.col("uid")).otherwise(name)
    keyed = pairs.withColumns({"_block": F.xxhash64(F.lit(seed), name), "_order": F.xxhash64(F.lit(seed), "uid")})
    keyed = keyed.withColumn("_set", F.coalesce(F.col(by).cast("string"), F.lit("")) if by else F.lit(""))
    keyed = cached(keyed.withColumn("_bucket", F.pmod("_block", F.lit(BUCKETS)).cast("int")))
    counts = collected(keyed.groupBy("_set", "_bucket").count())
    sets = _sets(counts, samples_per_shard)
    counts = counts.sort_values(["_set", "_bucket"])
    starts = counts.groupby("_set")["count"].cumsum() - counts["count"]
    firsts = counts["_set"].map({row["set"]: row["first_shard"] for row in sets})
    starts = pa.table({"_set": counts["_set"], "_bucket": counts["_bucket"], "_start": starts, "_first": firsts})
    started = keyed.join(F.broadcast(pairs.sparkSession.createDataFrame(starts)), ["_set", "_bucket"])
    window = Window.partitionBy("_set", "_bucket").orderBy("_block", "_order", "uid")
    number = F.col("_start") + F.row_number().over(window) - 1
    shard = (F.col("_first") + F.floor(number / samples_per_shard)).cast("int")
    return started.withColumn("shard", shard).drop("_set", "_block", "_bucket", "_start", "_first"), sets


def _sets(counts: Any, samples_per_shard: int) -> list[dict[str, Any]]:
    """The rows of SETS from the counts per set and bucket."""
    rows, first = [], 0
    for name, samples in sorted(counts.groupby("_set")["count"].sum().items(), key=lambda item: _set_order(item[0])):
        shards = -(-int(samples) // samples_per_shard)
        rows.append({"set": name, "first_shard": first, "shards": shards, "samples": int(samples)})
        first += shards
    return rows


def _set_order(name: str) -> tuple[bool, bool, str]:
    return name == "", name != "true", name


def _writing(out: str, signals: list[str], blur_faces: bool) -> Any:
    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from curation.shards.writer import write_release_shard
        from curation.tables import grouped

        for number, run in grouped(batches, "shard"):
            rows = pa.Table.from_batches(list(run)).drop_columns(["_order", "shard"])
            errors = write_release_shard(out, number, rows, signals, blur_faces)
            columns = [rows["uid"].combine_chunks(), pa.repeat(pa.scalar(number, pa.int32()), len(rows)), errors]
            yield pa.RecordBatch.from_arrays(columns, names=["uid", "shard", "error"])

    return write
