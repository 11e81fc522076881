"""Tar shards and their manifest: image bytes go from file to tar inside a task and never through Spark."""

import re
from collections.abc import Iterator
from typing import Annotated, Any

import pyarrow as pa
from pydantic import Field

from curation.errors import RecipeError
from curation.sample_bytes import with_bytes
from curation.schema import PAIRS, SAMPLES, VERDICT, Column
from curation.shards.picture import Encoded, Form
from curation.stage import cached, collected, stage, verdict

BLOCK_SHIFT = 26  # source files are shuffled in blocks of 64 MiB: near pairs stay near, so reads stay sequential
BUCKETS = 4096  # counts per bucket of blocks are all that comes to the driver
SAMPLES_PER_SHARD = 10_000  # as img2dataset and DataComp have it
SHARD = Column("shard", pa.int32(), "number of the shard, from 0 without gaps")
NUMBER = re.compile(r"-?\d+(\.\d+)?(E-?\d+)?")  # as Spark writes one
SETS = (
    Column("first_shard", pa.int32(), "number of its first shard"),
    Column("set", pa.string(), "value of the column that divides the pairs; empty without one, or where it is null"),
    Column("shards", pa.int32(), "number of its shards"),
    Column("samples", pa.int64(), "pairs placed in them"),
)
STARTS = pa.schema([("_set", pa.string()), ("_bucket", pa.int32()), ("_start", pa.int64())])
NUMBERS = pa.schema([("_set", pa.string()), ("_cut", pa.int64()), ("shard", pa.int32())])
CARRIED = [c for c in PAIRS.names if c in (*SAMPLES.names, "image")]
Count = Annotated[int, Field(ge=1)]
Quality = Annotated[int, Field(ge=1, le=100)]


def _columns(settings: dict[str, Any]) -> list[str]:
    if settings["samples_per_shard"] and settings["bytes_per_shard"]:
        raise RecipeError("stage write_shards: give either samples_per_shard or bytes_per_shard (0: not this one)")
    by = [settings["by"]] if settings["by"] else []
    sought = [*(["face_boxes"] if settings["blur_faces"] else []), *settings["embeddings"]]
    sought = [name for each in sought for name in (each, f"{each}__error")]
    return list(dict.fromkeys([*CARRIED, *settings["signals"], *by, *sought]))


@stage(output=(*VERDICT.columns, SHARD), tables={"sets": SETS}, ledger="sets", version=5, pairs=_columns)
def write_shards(
    pairs: Any,
    *,
    samples_per_shard: Annotated[int, Field(ge=0)] | None = None,
    bytes_per_shard: Count | None = None,
    signals: list[str] = (),
    embeddings: list[str] = (),
    by: str | None = None,
    max_side_px: Count | None = None,
    short_side_px: Count | None = None,
    encode: Encoded | None = None,
    quality: Quality = 95,
    blur_faces: bool = False,
    seed: int = 0,
    out: str = "",
) -> Any:
    """Write OUT/shards and OUT/manifest, SIGNALS as further manifest columns (docs/shards.md).

    Each tar has SAMPLES_PER_SHARD samples (10,000), or instead about BYTES_PER_SHARD bytes: by what pictures and texts
    take before they are encoded anew, times the share that a keyed sample of pictures keeps. Numbers have no gaps.

    Order: blocks of the source files by keyed hash, then keyed hash within a shard, so that pictures are read in runs.
    The rows of a table may come in any order and cut into any files, so there each pair is a block. Equal input gives
    equal bytes, whatever the partitions. A picture that cannot be read now is dropped (`unreadable_image`) and takes no
    place. BY, a column of few values, gives each value shards of its own, in the order of the values (numbers before
    text, true before false, null last); which ones says the side table `sets`, which the ledger repeats.

    Pictures are copied byte for byte unless they have to change: above MAX_SIDE_PX (longer side) or SHORT_SIDE_PX
    (shorter side) they are made smaller, in their own format; ENCODE, jpg or webp, encodes every one anew. QUALITY is
    that of JPEG and WebP. BLUR_FACES: where `face_boxes` finds faces they are blurred and the picture is written as
    JPEG, and the manifest has `blurred_faces`; one that could not be searched is dropped. Size and SHA-256 in the
    manifest are those of what is written.

    EMBEDDINGS, signals that are vectors, go into `.npy` files beside each tar, a row per sample in their order; a pair
    that lacks one is dropped (`NAME is null`).
    """
    from pyspark.sql import functions as F

    form = Form(max_side_px, short_side_px, encode, quality, blur_faces)
    weighed = with_bytes(pairs, form, seed) if bytes_per_shard else pairs
    placed, sets = _place(weighed, bytes_per_shard or samples_per_shard or SAMPLES_PER_SHARD, seed, by)
    shards = max(1, sum(row["shards"] for row in sets))
    laid = placed.repartitionById(shards, "shard").sortWithinPartitions("shard", "_order", "uid")
    task = _writing(out, list(signals), form, list(embeddings))
    written = cached(laid.mapInArrow(task, "uid string, shard int, error string"))
    error = F.col("error")
    code = F.substring_index(error, ":", 1)
    reason = F.when(code.isin([f"{name} is null" for name in embeddings]), code).otherwise("unreadable_image")
    table = pa.Table.from_pylist(sets, pa.schema([(c.name, c.type) for c in SETS]))
    sides = {"sets": pairs.sparkSession.createDataFrame(table)}
    return verdict(written, F.when(error.isNotNull(), reason), error), sides


def _place(pairs: Any, per_shard: int, seed: int, by: str | None = None) -> tuple[Any, list[dict[str, Any]]]:
    """`shard` and `_order` of each pair, from keyed hashes and 4,096 counts a set (no global sort, no chance); the
    rows of SETS. A shard takes PER_SHARD pairs, or that much of the column `_weight` where there is one.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    # A block is named by what is in it, not by the file's path: a pool that lies elsewhere gives the same tars.
    place = F.shiftright(F.coalesce("image.offset", F.lit(0)), BLOCK_SHIFT)
    name = F.min("image_id").over(Window.partitionBy("image.uri", place))
    name = F.when((F.col("kind") == "table") | F.col("image").isNull(), F.col("uid")).otherwise(name)
    keyed = pairs.withColumns({"_block": F.xxhash64(F.lit(seed), name), "_order": F.xxhash64(F.lit(seed), "uid")})
    keyed = keyed.withColumn("_set", F.coalesce(F.col(f"`{by}`").cast("string"), F.lit("")) if by else F.lit(""))
    weighed = "_weight" in pairs.columns
    keyed = keyed if weighed else keyed.withColumn("_weight", F.lit(1).cast("long"))
    keyed = cached(keyed.withColumn("_bucket", F.pmod("_block", F.lit(BUCKETS)).cast("int")))
    counts = collected(keyed.groupBy("_set", "_bucket").agg(F.count("*").alias("count"), F.sum("_weight").alias("sum")))
    counts = counts.sort_values(["_set", "_bucket"])
    starts = counts.groupby("_set")["sum"].cumsum() - counts["sum"]
    starts = pa.table([counts["_set"], counts["_bucket"], starts], schema=STARTS)
    started = keyed.join(F.broadcast(pairs.sparkSession.createDataFrame(starts)), ["_set", "_bucket"])
    window = Window.partitionBy("_set", "_bucket").orderBy("_block", "_order", "uid")
    so_far = F.sum("_weight").over(window.rowsBetween(Window.unboundedPreceding, 0))
    before = F.col("_start") + so_far - F.col("_weight")
    cut = started.withColumn("_cut", F.floor(before / per_shard)).drop("_block", "_bucket", "_start", "_weight")
    samples = counts.groupby("_set")["count"].sum()
    # Of pairs larger than a shard some cuts are empty: by bytes those that are not have to be looked for.
    cuts = collected(cut.select("_set", "_cut").distinct()) if weighed else _cuts(samples, per_shard)
    order = {name: place for place, name in enumerate(sorted(samples.index, key=_set_order))}
    cuts = cuts.sort_values(["_set", "_cut"], key=lambda c: c.map(order) if c.name == "_set" else c, ignore_index=True)
    numbers = pa.table([cuts["_set"], cuts["_cut"], cuts.index], schema=NUMBERS)
    numbered = cut.join(F.broadcast(pairs.sparkSession.createDataFrame(numbers)), ["_set", "_cut"])
    return numbered.drop("_set", "_cut"), _sets(cuts, samples)


def _cuts(samples: Any, per_shard: int) -> Any:
    """_set and _cut, the number of a shard within its set, of each shard."""
    import pandas as pd

    cuts = [(name, cut) for name, count in samples.items() for cut in range(-(-int(count) // per_shard))]
    return pd.DataFrame(cuts, columns=["_set", "_cut"])


def _sets(cuts: Any, samples: Any) -> list[dict[str, Any]]:
    """The rows of SETS: `cuts` in the order of the shards, and the pairs of each set."""
    rows = []
    for name, shards in cuts.groupby("_set", sort=False):
        rows.append({"first_shard": int(shards.index[0]), "set": name, "shards": len(shards)})
        rows[-1]["samples"] = int(samples[name])
    return rows


def _set_order(name: str) -> tuple[bool, bool, bool, float, str]:
    number = NUMBER.fullmatch(name)
    return name == "", name != "true", not number, float(name) if number else 0.0, name


def _writing(out: str, signals: list[str], form: Form, embeddings: list[str]) -> Any:
    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from curation.shards.writer import write_release_shard
        from curation.tables import grouped

        for number, run in grouped(batches, "shard"):
            rows = pa.Table.from_batches(list(run)).drop_columns(["_order", "shard"])
            errors = write_release_shard(out, number, rows, signals, form, embeddings)
            columns = [rows["uid"].combine_chunks(), pa.repeat(pa.scalar(number, pa.int32()), len(rows)), errors]
            yield pa.RecordBatch.from_arrays(columns, names=["uid", "shard", "error"])

    return write
