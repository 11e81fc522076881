"""Tar shards and their manifest: image bytes go from file to tar inside a task and never through Spark."""

from collections.abc import Iterator
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curation.schema import PAIRS, SAMPLES, VERDICT, Column
from curation.stage import cached, stage, verdict

BLOCK_SHIFT = 26  # source files are shuffled in blocks of 64 MiB: near pairs stay near, so reads stay sequential
BUCKETS = 4096  # counts per bucket of blocks are all that comes to the driver
SHARD = Column("shard", pa.int32(), "number of the shard, from 0 without gaps")
CARRIED = [c for c in PAIRS.names if c in (*SAMPLES.names, "image")]


def _columns(settings: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys([*CARRIED, *settings["signals"]]))


@stage(output=(*VERDICT.columns, SHARD), version=2, pairs=_columns)
def write_shards(
    pairs: Any,
    *,
    samples_per_shard: Annotated[int, Field(ge=1)] = 10_000,
    signals: list[str] = (),
    seed: int = 0,
    out: str = "",
) -> Any:
    """Write OUT/shards and OUT/manifest: SAMPLES_PER_SHARD samples in each tar, SIGNALS as further manifest columns.

    Order: blocks of the source files by keyed hash, then keyed hash within a shard, so that pictures are read in runs.
    The rows of a table may come in any order and cut into any files, so there each pair is a block. Equal input gives
    equal bytes, whatever the partitions. A picture that cannot be read now is dropped (`unreadable_image`) and takes no
    place.
    """
    from pyspark.sql import functions as F

    placed, total = _place(pairs, samples_per_shard, seed)
    shards = max(1, -(-total // samples_per_shard))
    laid = placed.repartitionById(shards, "shard").sortWithinPartitions("shard", "_order", "uid")
    written = cached(laid.mapInArrow(_writing(out, list(signals)), "uid string, shard int, error string"))
    return verdict(written, F.when(F.col("error").isNotNull(), F.lit("unreadable_image")), F.col("error"))


def _place(pairs: Any, samples_per_shard: int, seed: int) -> tuple[Any, int]:
    """`shard` and `_order` of each pair, from keyed hashes and 4,096 counts (no global sort, no chance); the total."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    # A block is named by what is in it, not by the file's path: a pool that lies elsewhere gives the same tars.
    place = F.shiftright(F.coalesce("image.offset", F.lit(0)), BLOCK_SHIFT)
    name = F.min("image_id").over(Window.partitionBy("image.uri", place))
    name = F.when((F.col("kind") == "table") | F.col("image").isNull(), F.col("uid")).otherwise(name)
    keyed = pairs.withColumns({"_block": F.xxhash64(F.lit(seed), name), "_order": F.xxhash64(F.lit(seed), "uid")})
    keyed = cached(keyed.withColumn("_bucket", F.pmod("_block", F.lit(BUCKETS)).cast("int")))
    counts = keyed.groupBy("_bucket").count().toArrow().sort_by("_bucket")
    ends = pc.cumulative_sum(counts["count"])
    starts = pa.table({"_bucket": counts["_bucket"], "_start": pc.subtract(ends, counts["count"])})
    started = keyed.join(F.broadcast(pairs.sparkSession.createDataFrame(starts)), "_bucket")
    window = Window.partitionBy("_bucket").orderBy("_block", "_order", "uid")
    number = F.col("_start") + F.row_number().over(window) - 1
    shard = F.floor(number / samples_per_shard).cast("int")
    total = ends[-1].as_py() if len(ends) else 0
    return started.withColumn("shard", shard).drop("_block", "_bucket", "_start"), total


def _writing(out: str, signals: list[str]) -> Any:
    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from curation.shards.writer import write_release_shard
        from curation.tables import grouped

        for number, run in grouped(batches, "shard"):
            rows = pa.Table.from_batches(list(run)).drop_columns(["_order", "shard"])
            errors = write_release_shard(out, number, rows, signals)
            columns = [rows["uid"].combine_chunks(), pa.repeat(pa.scalar(number, pa.int32()), len(rows)), errors]
            yield pa.RecordBatch.from_arrays(columns, names=["uid", "shard", "error"])

    return write
