"""What a page says against the use of an image holds for the image, whatever becomes of the page's own pair."""

from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import opt_outs
from curation.ingest import ingest
from curation.plan import _pool, _sample
from curation.pool import Pool
from curation.records import read_record, write_record
from curation.schema import OPT_OUTS, hex_id

DOG, CAT, HEN = (f"http://a.org/{name}.jpg" for name in ("dog", "cat", "hen"))


def _ingest(folder, name, rows):
    path = folder / f"{name}.tsv"
    path.write_text("url\tcaption\topt_out\tkey\n" + "".join("\t".join(row) + "\tk\n" for row in rows))
    return ingest([str(path)], out=str(folder / "pool"))


def _said(spark, pool):
    """The terms of each caption's image."""
    pool = Pool.open(str(pool))
    return {row.caption: row.opt_out for row in opt_outs.attach(pool.pairs(spark), pool).collect()}


def _warc(folder):
    parts = []
    for name, head in (("a", ""), ("b", "<meta name=robots content='noai'>")):
        body = f"<html>{head}<img src='http://x.com/a.jpg' alt='a red dog'>".encode()
        http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body
        head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://x.com/{name}.html\r\n"
        head += "Content-Type: application/http; msgtype=response\r\nContent-Length: "
        parts.append(f"{head}{len(http)}\r\n\r\n".encode() + http + b"\r\n\r\n")
    path = folder / "opt.warc"
    path.write_bytes(b"".join(parts))
    return str(path)


def test_one_of_two_pages_with_the_same_pair_forbids_it(spark, tmp_path):
    result = ingest([_warc(tmp_path)], out=str(tmp_path / "pool"))
    assert (result["rows"], result["merged"]) == (1, 1)
    assert _said(spark, tmp_path / "pool") == {"a red dog": "noai"}


def test_terms_of_merged_and_of_other_pairs_are_united(spark, tmp_path):
    rows = [(DOG, "a dog", ""), (DOG, "a dog", "noML , nofollow"), (DOG, "the dog", "NOAI"), (CAT, "a cat", "nofollow")]
    keys = set()
    for number, order in enumerate((rows, rows[::-1])):
        folder = tmp_path / str(number)
        folder.mkdir()
        _ingest(folder, "all", order)
        assert _said(spark, folder / "pool") == {"a dog": "noai,noml", "the dog": "noai,noml", "a cat": None}
        [path] = Path(folder, "pool/opt_outs").rglob("*.parquet")
        OPT_OUTS.check(pq.read_schema(path), str(path))
        assert pq.read_table(path).to_pylist() == [{"image_id": hex_id(DOG), "opt_out": "noai,noml"}]
        keys.add(Pool.open(str(folder / "pool")).key)
    assert len(keys) == 1


def test_a_later_page_forbids_a_pair_that_is_there(spark, tmp_path):
    pool = tmp_path / "pool"
    _ingest(tmp_path, "one", [(DOG, "a dog", ""), (CAT, "a cat", "noai"), (HEN, "a hen", "")])
    key = Pool.open(str(pool)).key
    again = _ingest(tmp_path, "two", [(DOG, "a dog", "noai"), (CAT, "a cat", "noml,noai")])
    assert (again["rows"], again["already_in_pool"]) == (0, 2)
    assert _said(spark, pool) == {"a dog": "noai", "a cat": "noai,noml", "a hen": None}
    changed = Pool.open(str(pool)).key
    assert changed != key
    _ingest(tmp_path, "three", [(CAT, "a cat", "noml")])  # nothing new
    assert Pool.open(str(pool)).key == changed and Pool.open(str(pool)).parts[-1]["opt_outs"] == 0


def test_a_pool_made_before_there_was_the_table(spark, tmp_path):
    _ingest(tmp_path, "one", [(DOG, "a dog", ""), (DOG, "the dog", "noai")])
    record = read_record(str(tmp_path / "pool/pool.json"))
    record["parts"] = [{name: value for name, value in record["parts"][0].items() if name != "opt_outs"}]
    write_record(str(tmp_path / "pool/pool.json"), record)
    _ingest(tmp_path, "two", [(CAT, "a cat", "noml"), (DOG, "a third dog", "noai")])
    assert Pool.open(str(tmp_path / "pool")).parts[1]["opt_outs"] == 1  # the one of the cat
    assert _said(spark, tmp_path / "pool") == {
        "a dog": "noai", "the dog": "noai", "a third dog": "noai", "a cat": "noml"
    }  # fmt: skip


def test_a_plan_keeps_to_them(spark, tmp_path):
    """What it tries is a sample of the pairs, in a pool of its own."""
    _ingest(tmp_path, "one", [(DOG, "a dog", ""), (DOG, "the dog", "noai"), (CAT, "a cat", "")])
    pool = Pool.open(str(tmp_path / "pool"))
    rows = _sample(pool, 100)
    rows = rows.filter(pc.not_equal(rows["caption"], "the dog"))
    sample = _pool(str(tmp_path / "sample"), rows, opt_outs.of_pool(spark, pool))
    assert _said(spark, sample) == {"a dog": "noai", "a cat": None}
