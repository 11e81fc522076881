"""Duplicate pictures by their bytes, their decoded pixels or their perceptual hash; one representative kept."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from curation.duplicates import EARLIER, EDGE_DDL, Mode, collapsed, decided, equal, with_equals
from curation.representatives import (
    GROUPS,
    MERGED_CAPTIONS,
    EarlierRelease,
    preferred_columns,
    ranked,
    told,
    with_earlier,
)
from curation.schema import VERDICT
from curation.stage import cached, stage

KEYS = {"bytes": "image_sha256", "pixels": "image_pixels_sha256", "phash": "image_phash"}
TASK_HASHES = 1 << 20  # hashes that a task compares: 32 MB of them
WIDTH = 32  # bytes of a PDQ hash


def _columns(settings: dict[str, Any]) -> list[str]:
    key = KEYS[settings["by"]]
    captions = ["caption", "caption_kind", "captions"] if settings["keep_captions"] else []
    return ["uid", "image_id", key, f"{key}__error", *preferred_columns(settings["prefer"]), *captions]


@stage(
    output=VERDICT.columns,
    tables={"duplicates": GROUPS},
    optional={"keep_captions": MERGED_CAPTIONS},
    version=3,
    pairs=_columns,
)
def dedup_images(
    pairs: Any,
    *,
    by: Literal["bytes", "pixels", "phash"] = "bytes",
    distance: Annotated[int, Field(ge=0, le=63)] = 31,
    mode: Mode = "representative",
    prefer: list[str] = ("pixels",),
    against: list[EarlierRelease] = (),
    keep_captions: bool = False,
) -> Any:
    """Drop pictures that equal a kept one (`duplicate_image`) by BY: `bytes` of the file, decoded `pixels`, or `phash`,
    PDQ hashes at most DISTANCE of 256 bits apart.

    The best by each of PREFER stays (`pixels`, or columns of numbers such as clip_score, higher first), then the
    smaller image_id. All captions of a picture share its fate; KEEP_CAPTIONS gives those of a group to the survivor, in
    `captions`. MODE: `representative`, every dropped picture has a kept one within DISTANCE; `transitive`, a picture
    goes if any better one is near; `components`, one stays of all that chains of near ones join. AGAINST: earlier
    releases, none of whose pictures come again (`duplicate_of_earlier`); by phash or pixels, and by bytes where it
    changed its pictures, their manifest must hold that column. All pairs within DISTANCE are found (multi-index
    hashing), but of more than 64 better ones in a bucket the best 64 count. drop_value is the one that stays, as in the
    side table `duplicates`. A picture that cannot be hashed is dropped with that reason. Neither order nor partitions
    change the result.
    """
    from pyspark.sql import functions as F

    key = KEYS[by]
    images = ranked(pairs.where(F.col(key).isNotNull()), key, list(prefer))
    images = cached(with_earlier(images, key, list(against), key))
    distinct = cached(collapsed(images, key))
    near = distinct.select("item", F.lit("").alias("representative"), F.lit(0.0).alias("similarity")).limit(0)
    if by == "phash" and distance:
        near = decided(_edges(distinct, key, distance), distinct, mode)
    duplicates = cached(with_equals(equal(images, distinct, key), near))
    nothing = images.select("item", F.lit("").alias("fault")).limit(0)
    result, shown = told(pairs, key, nothing, duplicates, keep_captions)
    return result, {"duplicates": shown}


def _edges(distinct: Any, key: str, distance: int) -> Any:
    """(better, worse, similarity) of hashes at most `distance` bits apart, each once; similarity 1 - bits / 256."""
    from pyspark.sql import functions as F

    count, bits = distinct.count(), 0
    while count >> bits > TASK_HASHES and bits < 8:
        bits += 1
    ddl = "item string, rank array<double>, hash binary, bucket int, home boolean"
    spread = distinct.select("item", "rank", F.col(key).alias("hash")).mapInArrow(_spreading(bits, distance), ddl)
    laid = spread.repartitionById(16 << bits, "bucket").sortWithinPartitions("bucket", "rank", "item")
    edges = laid.mapInArrow(_comparing(bits, distance), EDGE_DDL)
    return edges.where(~F.col("worse").startswith(EARLIER))


def _spreading(bits: int, distance: int) -> Any:
    """Each hash to the 16 chunks of it, by the first bits of the chunk, and to the buckets near those.

    16 (1 + bits) rows at the default distance, whose chunks differ by a bit at most: 16 up to TASK_HASHES, at most 144.
    """

    def spread(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from curation.methods.hash_pairs import buckets

        for batch in batches:
            rows, numbers, home = buckets(_hashes(batch.column("hash")), bits, distance)
            columns = [*batch.take(pa.array(rows)).columns, pa.array(numbers, pa.int32()), pa.array(home)]
            yield pa.RecordBatch.from_arrays(columns, names=["item", "rank", "hash", "bucket", "home"])

    return spread


def _comparing(bits: int, distance: int) -> Any:
    def compare(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from curation.methods.hash_pairs import bucket_pairs
        from curation.tables import grouped

        for bucket, run in grouped(batches, "bucket"):
            rows = pa.Table.from_batches(list(run)).combine_chunks()
            names = rows["item"].combine_chunks()
            home = rows["home"].to_numpy()
            for better, worse, apart in bucket_pairs(_hashes(rows["hash"]), home, bucket >> bits, distance):
                columns = [names.take(pa.array(better)), names.take(pa.array(worse)), pa.array(1 - apart / 256)]
                yield pa.RecordBatch.from_arrays(columns, names=["better", "worse", "similarity"])

    return compare


def _hashes(column: Any) -> np.ndarray:
    return np.frombuffer(b"".join(column.to_pylist()), np.uint8).reshape(-1, WIDTH)
