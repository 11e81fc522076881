"""Entry lists: the build from WordNet, the packaged list, and every way of giving another."""

import gzip
import importlib.resources
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.entries import build_wordnet, load_entries, metadata, packed
from curation.errors import RecipeError, SchemaError, StaleOutputError

NOUNS = """  1 This software and database is being provided to you
00001740 03 n 01 entity 0 003 ~ 00001930 n 0000 | that which is
00001741 03 n 02 St._Louis 0 saint_louis 0 000 | a city
00001742 03 n 01 physical_entity 0 000 | a thing
00001743 03 n 01 7 0 000 | a number
"""
ADJECTIVES = """  1 This software and database is being provided to you
00001744 00 a 01 able(p) 0 000 | capable
00001745 00 a 01 .22-caliber 0 000 | of a calibre
00001746 00 s 01 Entity 0 000 | again
00001747 00 s 01 ! 0 000 | a sign
"""


@pytest.fixture
def small(tmp_path):
    folder = tmp_path / "wordnet"
    folder.mkdir()
    for name, text in {"noun": NOUNS, "adj": ADJECTIVES, "verb": "", "adv": ""}.items():
        (folder / f"data.{name}").write_text(text)
    return str(folder)


def test_packaged_list_is_the_published_part_of_metaclip(shared):
    with gzip.open(shared / "data" / "metaclip" / "wordnet30-entries.txt.gz", "rt", encoding="utf-8") as file:
        wanted = file.read().splitlines()
    entries = load_entries()
    assert len(entries) == 86_654
    assert set(entries) == set(wanted)
    assert entries[:100] == sorted(map(str, range(100)))
    assert entries[100:] == sorted(entries[100:])


def test_packaged_list_is_built_by_the_code_that_ships():
    """The packed bytes carry no time and no file name, so a rebuild is the same file (where zlib is the same)."""
    data = (importlib.resources.files("curation") / "data" / "wordnet30.txt.gz").read_bytes()
    assert data[3:9] == packed([])[3:9] == bytes(5) + b"\x02"  # no flags, time 0, best compression
    assert gzip.decompress(packed(load_entries())) == gzip.decompress(data)


def test_build_from_wordnet_files(wordnet_folder, shared):
    table = build_wordnet(wordnet_folder)
    assert table.column("entry").to_pylist() == load_entries()
    assert {r["values"]: r["counts"] for r in table.column("source").value_counts().to_pylist()} == {
        "numbers": 100,
        "wordnet": 86_554,
    }


@pytest.fixture
def wordnet_folder(request):
    root = request.config.rootpath
    for folder in (root / "work/sample/packages/wordnet-base/usr/share/wordnet", "/usr/share/wordnet"):
        if (root / folder / "data.noun").exists():
            return str(folder)
    pytest.skip("WordNet's data files are not here: apt-get install wordnet-base, or make sample")


def test_rules_of_the_build(small):
    table = build_wordnet(small)
    wordnet = [row["entry"] for row in table.to_pylist() if row["source"] == "wordnet"]
    assert wordnet == ["able", "entity", "physical entity", "st"]
    assert table.column("entry").to_pylist()[:3] == ["0", "1", "10"]
    assert table.num_rows == 104


def test_metadata_writes_the_same_bytes_twice_and_refuses_another_list(small, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    record = metadata(wordnet=small, out=str(one))
    assert metadata(wordnet=small, out=str(two)) == record == metadata(wordnet=small, out=str(one))
    assert record["entries"] == 104 and record["counts"] == {"numbers": 100, "wordnet": 4}
    assert "Princeton" in record["licence"] and "ALL copies" in record["licence"]
    for name in ("entries.txt.gz", "entries.parquet", "metadata.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    assert load_entries(str(one / "entries.txt.gz")) == load_entries(str(one / "entries.parquet"))
    assert pq.read_table(one / "entries.parquet").column_names == ["source", "entry"]
    with open(f"{small}/data.adv", "w") as file:
        file.write("00001748 02 r 01 very 0 000 | much\n")
    with pytest.raises(StaleOutputError, match="name another"):
        metadata(wordnet=small, out=str(one))


def test_missing_wordnet_files_are_named(tmp_path):
    with pytest.raises(RecipeError, match=r"data\.noun"):
        build_wordnet(str(tmp_path))


def test_lists_from_files(tmp_path):
    entries = ["dog", " red  dog", "caf\u00e9", "\u2028"]
    text = "".join(f"{entry}\n" for entry in entries).encode()
    (tmp_path / "a.txt").write_bytes(text)
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n").removesuffix(b"\r\n"))
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(text))
    (tmp_path / "d.json").write_text(json.dumps(entries))
    pq.write_table(pa.table({"entry": entries, "other": [1, 2, 3, 4]}), tmp_path / "e.parquet")
    for path in sorted(tmp_path.iterdir()):
        assert load_entries(str(path)) == entries, path
    assert load_entries(f"file://{tmp_path}/a.txt") == entries
    (tmp_path / "empty.txt").write_text("")
    assert load_entries(str(tmp_path / "empty.txt")) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (["dog", "cat", "dog"], r"entry 2 \('dog'\) is given twice"),
        (["dog", ""], r"entry 1 \(''\) is empty"),
        (["dog", 7], r"entry 1 \(7\) is empty or no string"),
        (["dog", None], r"entry 1 \(None\) is empty or no string"),
        ({"dog": 1}, "found a JSON dict, wanted a list"),
    ],
)
def test_wrong_lists_are_refused(tmp_path, content, message):
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(SchemaError, match=message):
        load_entries(str(tmp_path / "a.json"))


def test_a_table_without_the_column_is_refused(tmp_path):
    pq.write_table(pa.table({"word": ["dog"]}), tmp_path / "a.parquet")
    with pytest.raises(SchemaError, match=r"no column 'entry'; found \['word'\]"):
        load_entries(str(tmp_path / "a.parquet"))


def test_unknown_names_and_missing_files_say_what_exists(tmp_path):
    with pytest.raises(RecipeError, match=r"no list 'wordnet31'; known: \['wordnet30'\]"):
        load_entries("wordnet31")
    with pytest.raises(RecipeError, match="no file"):
        load_entries(str(tmp_path / "none.txt"))
