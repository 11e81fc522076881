"""Ingest: what is found, merged, known already and rejected adds up; images of compressed archives are copied once."""

import gzip
import io
import shutil
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.errors import OutputError, RecipeError, SchemaError
from curation.images import read_pointers
from curation.ingest import ingest
from curation.pool import Pool
from curation.records import read_record, write_record
from curation.schema import PAIRS, hex_id
from tests.drawing import draw


def _table(path, rows):
    path.write_text("url\tcaption\n" + "".join(f"{url}\t{caption}\n" for url, caption in rows))
    return str(path)


def _pairs(pool, spark):
    return {r.uid: r for r in Pool.open(pool).pairs(spark).collect()}


def test_equal_pairs_are_merged_and_counted(spark, tmp_path):
    rows = [("http://a/1.jpg", "a dog"), ("http://a/2.jpg", "a cat"), ("http://a/1.jpg", "a dog")]
    result = ingest([_table(tmp_path / "one.tsv", rows)], out=str(tmp_path / "pool"))
    assert (result["rows"], result["merged"], result["rejected"]) == (2, 1, 0)
    pairs = _pairs(str(tmp_path / "pool"), spark)
    dog = pairs[hex_id("http://a/1.jpg", "a dog")]
    assert (dog.repeats, dog.image_id, dog.kind, dog.url) == (2, hex_id("http://a/1.jpg"), "table", "http://a/1.jpg")


def test_a_second_part_leaves_out_what_is_known_and_changes_the_key(spark, tmp_path, monkeypatch):
    pool = str(tmp_path / "pool")
    ingest([_table(tmp_path / "one.tsv", [("http://a/1.jpg", "a dog")])], out=pool)
    key = Pool.open(pool).key
    two = _table(tmp_path / "two.tsv", [("http://a/1.jpg", "a dog"), ("http://a/1.jpg", "the dog")])
    record = read_record(f"{pool}/pool.json")
    with monkeypatch.context() as patch, pytest.raises(OutputError, match="changed by another process meanwhile; run"):
        others = {"parts": [*record["parts"], record["parts"][0] | {"key": "another's"}]}
        patch.setattr("curation.ingest._commit_rejects", lambda *_: write_record(f"{pool}/pool.json", record | others))
        ingest([two], out=pool)
    assert read_record(f"{pool}/pool.json")["parts"] == others["parts"]
    write_record(f"{pool}/pool.json", record)
    result = ingest([two], out=pool)
    assert (result["rows"], result["already_in_pool"], result["pool_rows"]) == (1, 1, 2)
    assert Pool.open(pool).key != key
    known = ingest([_table(tmp_path / "three.tsv", [("http://a/1.jpg", "the dog")])], out=pool)
    assert known["rows"] == 0 and Pool.open(pool).rows == 2


def test_bad_lines_become_rejects_that_name_file_item_and_cause(spark, tmp_path):
    table = _table(
        tmp_path / "one.tsv", [("http://a/1.jpg", "a dog"), ("http://a/2.jpg", ""), ("ftp://a/3.jpg", "x y")]
    )
    result = ingest([table], out=str(tmp_path / "pool"))
    assert (result["rows"], result["rejected"]) == (1, 2)
    rejects = [pq.read_table(p) for p in Path(tmp_path, "pool/rejects").rglob("*.parquet")]
    rows = pa.concat_tables(rejects).to_pylist()
    assert {r["source_uri"] for r in rows} == {table} and len({r["item"] for r in rows}) == 2
    assert all(r["error"] for r in rows)


def test_images_of_a_compressed_tar_are_copied_into_the_pool_and_readable(spark, tmp_path):
    buffer = io.BytesIO()
    draw(1)[0].save(buffer, "PNG")
    picture = buffer.getvalue()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        texts = {"a.b.txt": b"a green circle", "a.b.json": b'{"url": "http://a/1.png"}', "c.txt": b"lonely"}
        for name, data in {"a.b.png": picture, **texts}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    (tmp_path / "shard.tar.gz").write_bytes(gzip.compress(packed.getvalue()))
    table = _table(tmp_path / "t.tsv", [("http://a/1.png", "shown elsewhere"), ("http://a/2.png", "not there")])
    result = ingest([str(tmp_path / "shard.tar.gz"), table], out=str(tmp_path / "pool"), name="mine")
    assert (result["rows"], result["rejected"]) == (3, 1)
    pairs = {pair.caption: pair for pair in _pairs(str(tmp_path / "pool"), spark).values()}
    pair = pairs["a green circle"]
    assert pairs["shown elsewhere"].image == pair.image and pairs["not there"].image is None
    assert pair.source == "mine" and pair.image.uri.startswith(str(tmp_path / "pool/images/"))
    assert next(read_pointers([pair.image.asDict()])) == picture
    with tarfile.open(pair.image.uri) as archive:  # the pool's own tar is a plain tar
        assert archive.extractfile(archive.getmembers()[0]).read() == picture


def test_unknown_input_is_refused_with_what_exists(tmp_path):
    with pytest.raises(RecipeError, match=r"nowhere\.tsv"):
        ingest([str(tmp_path / "nowhere.tsv")], out=str(tmp_path / "pool"))
    table = _table(tmp_path / "one.tsv", [("http://a/1.jpg", "a dog")])
    with pytest.raises(RecipeError, match="jpeg"):
        ingest([table], out=str(tmp_path / "pool"), kind="jpeg")
    assert not (tmp_path / "pool").exists()


def test_a_pool_of_a_newer_version_is_refused(pool, tmp_path):
    copy = tmp_path / "pool"
    shutil.copytree(pool, copy, ignore=shutil.ignore_patterns("store"))
    record = read_record(str(copy / "pool.json"))
    write_record(str(copy / "pool.json"), record | {"schema_version": 99})
    with pytest.raises(SchemaError, match="newer release"):
        Pool.open(str(copy))


def test_the_pairs_have_the_declared_schema(pool):
    for path in Path(pool, "pairs").rglob("*.parquet"):
        PAIRS.check(pq.read_schema(path), str(path))
