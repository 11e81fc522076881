"""Which pair goes where: runs of neighbours where a file has an order of its own, nothing of it where it has none."""

import random

import pytest

from curation.schema import hex_id
from curation.stages.write_shards import BLOCK_SHIFT, _place

BLOCK = 1 << BLOCK_SHIFT
DDL = "uid string, image_id string, kind string, image struct<uri: string, offset: bigint, length: bigint>"
PAIRS = 400


def pairs(kind: str, files: int, seed: int) -> list[tuple]:
    """Pairs of `kind` laid out in `files` files of four blocks each, in an order drawn from `seed`."""
    numbers = random.Random(seed).sample(range(PAIRS), PAIRS)
    apart = 4 * BLOCK * files // PAIRS
    places = {number: (f"/f{n % files}", n // files * apart) for n, number in enumerate(numbers)}
    rows = [(hex_id(f"u{n}"), hex_id(f"i{n}"), kind, (*places[n], 9)) for n in range(PAIRS)]
    return random.Random(seed + 1).sample(rows, PAIRS)


def placed(spark, rows: list[tuple], samples_per_shard: int) -> list[tuple]:
    """(shard, uid, file, block) of each pair, in the order of the shards."""
    frame, total = _place(spark.createDataFrame(rows, DDL).repartition(3), samples_per_shard, 0)
    assert total == PAIRS
    found = sorted((r.shard, r._order, r.uid, r.image.uri, r.image.offset // BLOCK) for r in frame.collect())
    assert [sum(row[0] == shard for row in found) for shard in range(PAIRS // samples_per_shard)] == [
        samples_per_shard
    ] * (PAIRS // samples_per_shard)
    return [(shard, uid, file, block) for shard, _, uid, file, block in found]


def test_pairs_of_a_tar_stay_with_their_block(spark):
    found = placed(spark, pairs("tar", 5, 0), 50)
    for shard in range(8):
        assert len({row[2:] for row in found if row[0] == shard}) <= 5  # 20 blocks of 20: three whole ones and two ends


@pytest.mark.parametrize(("kind", "same"), [("table", True), ("tar", False)])
def test_the_order_of_a_table_s_rows_and_files_does_not_count(spark, kind, same):
    one, other = (placed(spark, pairs(kind, files, seed), 50) for files, seed in ((5, 0), (2, 7)))
    assert ([row[:2] for row in one] == [row[:2] for row in other]) == same


def test_pairs_without_a_picture_are_no_block(spark):
    rows = [(uid, image_id, kind, None) for uid, image_id, kind, _ in pairs("crawl", 5, 0)]
    frame, total = _place(spark.createDataFrame(rows, DDL), 50, 0)
    assert total == PAIRS and frame.select("shard").distinct().count() == 8
