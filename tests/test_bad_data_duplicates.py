"""The same pairs, pictures and keys again and again: over rows, files, kinds of source, parts of a pool; and skew."""

import hashlib
import io
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.ingest import ingest
from curation.pool import Pool
from curation.run import run
from curation.schema import hex_id
from curation.shards.manifest import Release
from curation.shards.verify import verify
from curation.stages import STAGES
from tests.drawing import draw

SAME = 100_000
SHARDS = """
[[stage]]
run = "clean_captions"
[[stage]]
run = "dedup_pairs"
[[stage]]
run = "write_shards"
with.samples_per_shard = 3
"""


def encoded(number: int) -> bytes:
    file = io.BytesIO()
    draw(number)[0].save(file, "PNG")
    return file.getvalue()


def write_tar(path: Path, samples: list[tuple[str, int, str]]) -> None:
    with tarfile.open(path, "w") as archive:
        for key, number, caption in samples:
            for extension, data in (("png", encoded(number)), ("txt", caption.encode())):
                member = tarfile.TarInfo(f"{key}.{extension}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    """Two tables and three tars; pictures 0 to 5, most in several of them, keys that stand for different pictures."""
    folder = tmp_path_factory.mktemp("sources")
    captions = [draw(n)[1] for n in range(6)]
    rows = {"image": [encoded(n) for n in (0, 1, 2, 0)], "caption": [captions[n] for n in (0, 1, 2, 0)]}
    pq.write_table(pa.table(rows), folder / "a.parquet")
    pq.write_table(pa.table({"image": [encoded(2), encoded(3)], "caption": captions[2:4]}), folder / "b.parquet")
    write_tar(folder / "c.tar", [("0001", 3, captions[3]), ("0002", 4, captions[4]), ("0001", 5, captions[5])])
    write_tar(
        folder / "d.tar", [("0001", 5, captions[5]), ("0002", 4, f"  {captions[4]} "), ("x/0001", 0, captions[0])]
    )
    write_tar(folder / "e.tar", [("0001", 1, "the picture of the table")])
    return folder


def test_overlapping_sources_give_each_pair_once(spark, sources, tmp_path):
    pool, recipe, out = str(tmp_path / "pool"), tmp_path / "shards.toml", str(tmp_path / "out")
    result = ingest([str(sources)], out=pool)
    # 4 + 2 + 2 + 3 + 1 items; 0, 0 and 0, 2 and 2, 3 and 3 are one pair each; the second 0001 in c.tar is refused.
    assert (result["rows"], result["merged"], result["rejected"]) == (8, 4, 1)
    pairs = Pool.open(pool).pairs(spark).collect()
    assert len({p.uid for p in pairs}) == 8 and sum(p.repeats for p in pairs) == 12
    assert len({p.image_id for p in pairs}) == 6
    recipe.write_text(SHARDS)
    assert run(str(recipe), pool, out)["kept"] == 7  # the caption with blanks around it is the other one when cleaned
    samples = Release.open(out).samples()
    assert verify(out) == []
    assert len(set(samples["key"].to_pylist())) == 7 and set(samples["shard"].to_pylist()) == {0, 1, 2}


def test_what_a_pool_has_is_left_out_wherever_it_comes_from(spark, sources, tmp_path):
    pool = str(tmp_path / "pool")
    first = ingest([str(sources / "a.parquet"), str(sources / "c.tar")], out=pool)
    second = ingest([str(sources / name) for name in ("e.tar", "d.tar", "b.parquet")], out=pool)
    assert (first["rows"], first["merged"]) == (5, 1)
    assert (second["rows"], second["already_in_pool"], second["pool_rows"]) == (3, 3, 8)
    uids = [p.uid for p in Pool.open(pool).pairs(spark).collect()]
    assert len(uids) == len(set(uids)) == 8


def test_of_rows_with_one_key_the_same_stays_in_any_order(spark, tmp_path):
    """A key that stands twice in a file, with other columns: the rest of the row decides, never the order."""
    columns = {
        "key": ["k"] * 6,
        "url": ["http://a.org/1.jpg"] * 6,
        "caption": ["a dog"] * 6,
        "score": [3, 1, 2, None, 5, 4],
        "license": ["CC0", "CC BY", None, "CC BY", "CC0", None],
    }
    kept = []
    for order in ([0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [3, 0, 5, 1, 4, 2]):
        folder = tmp_path / str(len(kept))
        folder.mkdir()
        pq.write_table(pa.table(columns).take(order), folder / "t.parquet")
        ingest([str(folder / "t.parquet")], out=str(folder / "pool"))
        [pair] = Pool.open(str(folder / "pool")).pairs(spark).drop("source_uri").collect()
        assert pair.repeats == 6
        kept.append(pair)
    assert kept[0] == kept[1] == kept[2]


@pytest.fixture(scope="module")
def skewed(spark):
    """100,000 pairs with one caption and two pictures out of three their own; a hundred pairs with other captions."""
    text = "if(id < 100000, 'a photograph of a dog', concat('a picture of the number ', id))"
    image = "md5(string(if(id < 100000, id % 66667, id)))"
    frame = spark.range(SAME + 100).selectExpr("md5(string(id)) uid", f"{image} image_id", f"{text} caption")
    return frame.cache()


def test_one_caption_a_hundred_thousand_times(spark, skewed):
    matched, sides = STAGES["match_entries"](skewed, metadata="wordnet30")
    counts = sides["entry_counts"].cache()
    assert {r.entry: r["count"] for r in counts.where("entry in ('photograph', 'dog')").collect()} == {
        "photograph": SAME,
        "dog": SAME,
    }
    entries = matched.where("keep").select("uid", "entries").cache()
    balanced = STAGES["balance_entries"](entries, counts, t=1000, seed=0)
    kept = {r.uid for r in balanced.where("keep").select("uid").collect()}
    again = STAGES["balance_entries"](entries.repartition(7), counts, t=1000, seed=0)
    assert kept == {r.uid for r in again.where("keep").select("uid").collect()}
    wanted = balanced.selectExpr("sum(keep_probability)", "sum(keep_probability * (1 - keep_probability))").first()
    assert abs(len(kept) - wanted[0]) < 4 * wanted[1] ** 0.5


def test_ranks_and_groups_of_a_hundred_thousand_equal_rows(skewed):
    pruned, _ = STAGES["prune_frequent_words"](skewed, keep_share=0.5)
    assert pruned.where("keep").count() == (SAME + 100) // 2
    assert STAGES["dedup_pairs"](skewed).where("keep").count() == 66_667 + 100


def test_keys_of_the_same_name_are_told_apart_by_their_picture(spark, sources, tmp_path):
    ingest([str(sources / "d.tar"), str(sources / "e.tar")], out=str(tmp_path / "pool"))
    pairs = Pool.open(str(tmp_path / "pool")).pairs(spark).where("document = '0001'").collect()
    assert {p.caption for p in pairs} == {draw(5)[1], "the picture of the table"}
    assert len({p.image_id for p in pairs}) == 2
    assert all(p.uid == hex_id(*_identity(p)) for p in pairs)


def _identity(pair) -> tuple[str, str]:
    with open(pair.image.uri, "rb") as file:
        file.seek(pair.image.offset)
        return f"sha256:{hashlib.sha256(file.read(pair.image.length)).hexdigest()}", pair.caption
