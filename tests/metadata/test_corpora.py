"""Text to count: what flags name, and every form of file."""

import gzip
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.errors import RecipeError, SchemaError
from curation.exclude import exclude
from curation.forgetting import read_rules
from curation.metadata.corpora import documents, named, units
from curation.metadata.wikipedia import Skipped
from curation.pool import Pool
from tests.metadata.dumps import page, write


def read(corpora, dumps=()):
    return [document for unit in units(list(dumps), corpora) for document in documents(unit)]


def test_what_a_flag_names(tmp_path):
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).touch()
    found = named("corpus", [f"de={tmp_path}/*.txt", f"zh-yue={tmp_path}/a.txt"])
    assert found == [("de", f"{tmp_path}/a.txt"), ("de", f"{tmp_path}/b.txt"), ("zh-yue", f"{tmp_path}/a.txt")]
    assert named("pageviews", [f"{tmp_path}/b.txt"], needed=False) == [(None, f"{tmp_path}/b.txt")]
    assert named("corpus", ["s3://bucket/key=1"], needed=False) == [(None, "s3://bucket/key=1")]
    with pytest.raises(RecipeError, match=r"--dump a\.txt: wanted LANG=FILE"):
        named("dump", ["a.txt"])
    with pytest.raises(RecipeError, match="no file matches"):
        named("corpus", [f"de={tmp_path}/*.gz"])


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_lines_of_text(tmp_path, name):
    data = b"ein Hund\nder Park\n" * 1500 + b"\xff\n"
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    found = read([("de", str(tmp_path / name))])
    assert found[:2] == [("de", "ein Hund\n"), ("de", "der Park\n")] and len(found) == 3001
    assert found[-1] == ("de", "\ufffd\n")


def test_a_text_file_that_is_cut_and_a_line_that_is_too_long(tmp_path):
    lines = b"".join(b"%x\n" % (n**9) for n in range(10_000))
    (tmp_path / "a.gz").write_bytes(gzip.compress(lines)[:-2000])
    found = read([("de", str(tmp_path / "a.gz"))])
    skipped = [d.code for d in found if isinstance(d, Skipped)]
    assert skipped == ["bad_file"] and 1000 < len(found) < 10_000
    (tmp_path / "b.txt").write_bytes(b"a\n" + b"x" * (5 << 20) + b"\nb\n")
    found = read([("de", str(tmp_path / "b.txt"))])
    assert [d[0] if isinstance(d, Skipped) else d[1] for d in found] == ["too_large", "a\n", "b\n"]


def test_tables_with_and_without_languages(tmp_path):
    columns = {"n": [1, 2, 3, 4], "language": ["de", None, "fr", "de"], "caption": ["Hund", "x", "chien", None]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=2)
    found = read([(None, str(tmp_path / "a.parquet"))])
    assert found == [("de", "Hund"), Skipped("no_language"), ("fr", "chien")]
    assert read([("cs", str(tmp_path / "a.parquet"))]) == [("cs", "Hund"), ("cs", "x"), ("cs", "chien")]
    pq.write_table(pa.table({"text": ["ein Hund im Park", "un chien dans le parc", "12"]}), tmp_path / "b.parquet")
    found = read([(None, str(tmp_path / "b.parquet"))])
    assert [d[0] for d in found[:2]] == ["de", "fr"] and found[2] == Skipped("no_language")


def test_a_damaged_row_group_costs_itself(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"w{n}" for n in range(2000)]}), path, row_group_size=1000, compression="zstd")
    data = bytearray(path.read_bytes())
    start = pq.read_metadata(path).row_group(0).column(0).dictionary_page_offset
    data[start + 30 : start + 200] = bytes(170)
    path.write_bytes(data)
    found = read([("de", str(path))])
    assert found[0].code == "bad_file" and len(found) == 1001


def test_dumps_and_pools(tmp_path, pool):
    dump = write(tmp_path / "d.xml.bz2", [page("T", "ein [[Hund]]"), page("R", "x", redirect=True)])
    assert read([], [("de", dump)]) == [("de", "ein Hund"), Skipped("redirect")]
    captions = read([("en", pool)])
    assert len(captions) == 26 and all(language == "en" for language, _ in captions)


def test_what_a_pool_has_forgotten_is_not_read(spark, tmp_path, pool):
    copy = str(tmp_path / "pool")
    shutil.copytree(pool, copy)
    gone = Pool.open(copy).pairs(spark).orderBy("uid").first()
    (tmp_path / "gone.txt").write_text(gone["uid"])
    exclude(copy, read_rules({"uids": str(tmp_path / "gone.txt")}))
    captions = [each for each in read([("en", pool)]) if isinstance(each, tuple)]
    captions.remove(("en", gone["caption"]))
    found = read([("en", copy)])
    assert sorted(each for each in found if each != Skipped("forgotten")) == sorted(captions)
    assert found.count(Skipped("forgotten")) == 1


def test_files_of_no_known_form_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="no file"):
        units([], [("de", str(tmp_path / "none.txt"))])
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(SchemaError, match=r"a\.parquet is no Parquet table"):
        units([], [("de", str(tmp_path / "a.parquet"))])
    pq.write_table(pa.table({"word": ["a"]}), tmp_path / "b.parquet")
    with pytest.raises(SchemaError, match=r"wanted a column of \['caption', 'text'\], found \['word'\]"):
        units([], [("de", str(tmp_path / "b.parquet"))])
