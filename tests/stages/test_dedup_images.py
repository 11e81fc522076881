"""dedup_images: by bytes and by perceptual hash, against all pairs; captions; a million equal ones."""

import numpy as np
import pytest

from curation.methods.hash_pairs import bucket_pairs, buckets
from curation.representatives import ranked
from curation.schema import hex_id
from curation.stages import STAGES

DDL = (
    "uid string, image_id string, image_phash binary, image_phash__error string, image_width_px int, "
    "image_height_px int, clip_score float, caption string, caption_kind string, "
    "captions array<struct<text:string,kind:string,model:string,language:string,negative:boolean>>"
)
DISTANCE = 20


@pytest.fixture(scope="module")
def hashes() -> np.ndarray:
    """600 hashes: 60 families that differ by a few bits or by some more than DISTANCE, and equal ones."""
    generator = np.random.default_rng(2)
    base = generator.integers(0, 256, (60, 32), np.uint8)
    rows = []
    for number in range(600):
        bits = np.unpackbits(base[number % 60])
        bits[generator.choice(256, generator.integers(0, 16), replace=False)] ^= 1
        rows.append(np.packbits(bits))
    return np.array([*rows, *rows[:20]])


def apart(hashes: np.ndarray) -> np.ndarray:
    bits = np.unpackbits(hashes, axis=1).astype(np.int32)
    return (bits[:, None] != bits[None]).sum(axis=2)


@pytest.mark.parametrize("bits, distance", [(0, 31), (3, 31), (2, 20), (4, 40), (0, 5)])
def test_all_pairs_within_the_distance_once(hashes, bits, distance):
    hashes = np.unique(hashes, axis=0)
    rows, numbers, home = buckets(hashes, bits, distance)
    order = np.lexsort((rows, numbers))
    rows, numbers, home = rows[order], numbers[order], home[order]
    found = []
    for number in np.unique(numbers):
        here = rows[numbers == number]
        for better, worse, far in bucket_pairs(hashes[here], home[numbers == number], number >> bits, distance):
            found += zip(here[better].tolist(), here[worse].tolist(), far.tolist())
    far = apart(hashes)
    wanted = [(i, j, int(far[i, j])) for i, j in zip(*np.nonzero(np.triu(far <= distance, 1)))]
    assert len(wanted) > 50 and sorted(found) == wanted


def rows_of(hashes: np.ndarray) -> list[tuple]:
    names = [hex_id("image", str(n)) for n in range(len(hashes))]
    captions = [[(f"also {n}", "alt", None, None, None)] if n % 2 else None for n in range(len(hashes))]
    listed = [
        (hex_id(str(n)), names[n], h.tobytes(), None, 10 + n % 3, 10, n % 7 / 7, f"caption {n}", "alt", captions[n])
        for n, h in enumerate(hashes)
    ]
    listed.append((hex_id("second"), *listed[0][1:7], "a second caption", "alt", None))
    return [
        *listed,
        (hex_id("broken"), hex_id("broken"), None, "decode_error: cut", None, None, None, "b", "alt", None),
    ]


def run(spark, rows, partitions=3, **settings):
    frame = spark.createDataFrame(rows, DDL).repartition(partitions)
    result, sides = STAGES["dedup_images"](frame, by="phash", distance=DISTANCE, **settings)
    return {r.uid: r for r in result.collect()}, {r.image_id: r for r in sides["duplicates"].orderBy("uid").collect()}


def test_greedy_by_resolution_then_score_against_all_pairs(spark, hashes):
    rows = rows_of(hashes)
    found, groups = run(spark, rows, prefer=["pixels", "clip_score"], keep_captions=True)
    far = apart(hashes)
    order = sorted(range(len(hashes)), key=lambda n: (-rows[n][4], -np.float32(rows[n][6]), rows[n][1]))
    kept: list[int] = []
    for n in order:
        if not any(far[n, k] <= DISTANCE for k in kept):
            kept.append(n)
    left = {rows[n][1] for n in kept}
    assert {r[1] for r in rows if found[r[0]].keep} == left
    assert len(groups) == len(hashes) - len(kept) > 200
    place = {row[1]: n for n, row in enumerate(rows[: len(hashes)])}
    for image, group in groups.items():
        bits = far[place[image], place[group.group]]
        assert group.group in left and bits <= DISTANCE
        assert group.similarity == pytest.approx(1 - bits / 256)
    assert found[hex_id("broken")].drop_reason == "image_phash is null"
    texts = {place[g.group]: set() for g in groups.values()}
    for image, group in groups.items():
        n = place[image]
        texts[place[group.group]] |= {f"caption {n}"} | ({f"also {n}"} if n % 2 else set())
    for n, wanted in list(texts.items())[:40]:
        said = {c.text for c in found[hex_id(str(n))].captions}
        assert wanted - {"a second caption"} <= said and f"caption {n}" not in said
    assert found[hex_id(str(0))].keep == found[hex_id("second")].keep
    shuffled = [rows[n] for n in np.random.default_rng(1).permutation(len(rows))]
    again, regrouped = run(spark, shuffled, 5, prefer=["pixels", "clip_score"], keep_captions=True)
    assert again == found and regrouped == groups


def test_a_column_of_the_source_ranks_by_its_numbers(spark):
    rows = [("a", "9", "k"), ("b", "10", "k"), ("c", "none", "k"), ("d", None, "k")]
    frame = spark.createDataFrame(rows, "image_id string, `extra.views` string, key string")
    ranks = {r.item: r["rank"][1] for r in ranked(frame, "key", ["extra.views"]).collect()}
    assert ranks == {"a": -9, "b": -10, "c": float("inf"), "d": float("inf")}


def test_a_million_equal_pictures(spark):
    from pyspark.sql import functions as F

    many = spark.range(1_000_000).select(
        F.md5(F.col("id").cast("string")).alias("uid"),
        F.md5(F.col("id").cast("string")).alias("image_id"),
        F.lit("same").alias("image_sha256"),
        F.lit(None).cast("string").alias("image_sha256__error"),
        F.lit(10).alias("image_width_px"),
        (F.col("id") % 5).cast("int").alias("image_height_px"),
    )
    result, sides = STAGES["dedup_images"](many)
    assert result.where("keep").count() == 1
    assert sides["duplicates"].select("group").distinct().count() == 1
    assert sides["duplicates"].count() == 999_999
