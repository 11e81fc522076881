"""Which pair goes where: runs of neighbours where a file has an order of its own, nothing of it where it has none."""

import random

import pytest

from curation.schema import hex_id
from curation.stages.write_shards import BLOCK_SHIFT, _place, _set_order

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
    frame, sets = _place(spark.createDataFrame(rows, DDL).repartition(3), samples_per_shard, 0)
    assert sets == [{"set": "", "first_shard": 0, "shards": -(-PAIRS // samples_per_shard), "samples": PAIRS}]
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
    frame, _ = _place(spark.createDataFrame(rows, DDL), 50, 0)
    assert frame.select("shard").distinct().count() == 8


def test_each_value_of_a_column_has_shards_of_its_own(spark):
    rows = [(*row, [True, False, None][n % 3]) for n, row in enumerate(pairs("table", 1, 0))]
    frame, sets = _place(spark.createDataFrame(rows, DDL + ", `extra.kept` boolean"), 50, 0, by="extra.kept")
    assert [(s["set"], s["first_shard"], s["shards"], s["samples"]) for s in sets] == [
        ("true", 0, 3, 134),
        ("false", 3, 3, 133),
        ("", 6, 3, 133),
    ]
    found = {(row.shard // 3, row["extra.kept"]) for row in frame.collect()}
    assert found == {(0, True), (1, False), (2, None)}
    sizes = [row["count"] for row in frame.groupBy("shard").count().orderBy("shard").collect()]
    assert sizes == [50, 50, 34, 50, 50, 33, 50, 50, 33]


def test_sets_come_in_the_order_of_their_values():
    values = ["true", "-3", "5.0E-5", "2", "10", "1.0E10", "1e5", "false", "text", ""]
    assert sorted(sorted(values), key=_set_order) == values


@pytest.mark.parametrize("giants", [False, True])
def test_shards_of_a_target_size_have_no_gaps_and_do_not_depend_on_partitions(spark, giants):
    rows = [(*row, 100 + 37 * n % 300) for n, row in enumerate(pairs("tar", 5, 0))]
    rows = [(*row[:-1], 40_000) if giants and n % 90 == 0 else row for n, row in enumerate(rows)]
    weights, found = {row[0]: row[-1] for row in rows}, []
    for partitions in (1, 5) if giants else (2,):
        frame = spark.createDataFrame(rows, DDL + ", _weight long").repartition(partitions)
        frame, sets = _place(frame, 10_000, 0)
        found.append(sorted((r.shard, r._order, r.uid) for r in frame.collect()))
    assert found[0] == found[-1]
    sizes = {}
    for shard, _, uid in found[0]:
        sizes[shard] = sizes.get(shard, 0) + weights[uid]
    assert list(sizes) == list(range(sets[0]["shards"])) and sets[0]["samples"] == PAIRS
    sizes = list(sizes.values())
    if giants:  # each ends the shard in which it begins
        assert sum(size >= 40_000 for size in sizes) == 5 and max(sizes) < 50_000
    else:  # by where a sample begins: one more or less
        assert all(9_600 < size < 10_400 for size in sizes[:-1]) and len(sizes) == -(-sum(weights.values()) // 10_000)


def test_shards_are_exchangeable(spark):
    """Two sources in one pool: each shard has of both what chance would give it, so any of them is a fair sample."""
    rows = [(*row, n) for n, row in enumerate(pairs("table", 4, 3))]
    frame, sets = _place(spark.createDataFrame(rows, DDL + ", number long"), 50, 0)
    counts = [row["count"] for row in frame.where("number < 200").groupBy("shard").count().orderBy("shard").collect()]
    assert len(counts) == sets[0]["shards"] == 8
    # Hypergeometric, 50 of 400 of which 200: standard deviation 3.3, so that 4 of them hold for all 8.
    assert all(abs(count - 25) < 13.3 for count in counts)


def test_shards_are_cut_by_samples_or_by_bytes():
    from curation.errors import RecipeError
    from curation.recipe import load_recipe

    with pytest.raises(RecipeError, match="either samples_per_shard or bytes_per_shard"):
        load_recipe("full", ["write_shards.bytes_per_shard=1000000"])
    taken_back = ["write_shards.samples_per_shard=0", "write_shards.bytes_per_shard=1000000"]
    assert load_recipe("full", taken_back).steps[-1].settings["bytes_per_shard"] == 1_000_000
