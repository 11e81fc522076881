"""Entry lists: the packaged list, every way of giving another, and lists per language."""

import gzip
import importlib.resources
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.entries import languages, load_entries, load_language, packed
from curation.errors import RecipeError, SchemaError


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


LISTS = {"de": ["0", "1", "Hund"], "en": ["0", "1", "dog", "red dog"], "zh-yue": ["0"]}


@pytest.fixture
def worldwide(tmp_path):
    """A list in three languages, in row groups that do not end where a language does."""
    rows = [(language, entry) for language, entries in LISTS.items() for entry in entries]
    table = pa.table({"language": [row[0] for row in rows], "entry": [row[1] for row in rows]})
    pq.write_table(table, tmp_path / "entries.parquet", row_group_size=2)
    return str(tmp_path / "entries.parquet")


def test_lists_per_language(worldwide):
    assert languages(worldwide) == {"de": range(3), "en": range(3, 7), "zh-yue": range(7, 8)}
    assert {language: load_language(worldwide, language) for language in LISTS} == {
        "de": (0, LISTS["de"]),
        "en": (3, LISTS["en"]),
        "zh-yue": (7, LISTS["zh-yue"]),
    }
    with pytest.raises(RecipeError, match=r"no language \['fr'\]; known: \['de', 'en', 'zh-yue'\]"):
        load_language(worldwide, "fr")
    with pytest.raises(SchemaError, match=r"one per language \(de, en, zh-yue\); match_entries takes it"):
        load_entries(worldwide)


def test_one_language_is_read_without_the_others(worldwide):
    """The entries of the row groups of other languages are overwritten: who reads them fails."""
    table = pq.ParquetFile(worldwide)
    with open(worldwide, "r+b") as file:
        for group in (0, 3):  # rows 0 and 1, 6 and 7
            column = table.metadata.row_group(group).column(1)
            file.seek(column.dictionary_page_offset)
            file.write(bytes(column.total_compressed_size))
    with pytest.raises(OSError):
        load_language(worldwide, "zh-yue")
    with pytest.raises(OSError):
        load_language(worldwide, "en")
    pq.write_table(pa.table({"language": ["de", "en", "fr"], "entry": ["a", "b", "c"]}), worldwide, row_group_size=1)
    column = pq.ParquetFile(worldwide).metadata.row_group(0).column(1)
    with open(worldwide, "r+b") as file:
        file.seek(column.dictionary_page_offset)
        file.write(bytes(column.total_compressed_size))
    assert load_language(worldwide, "en") == (1, ["b"])


def test_a_list_without_languages_is_one_for_all(tmp_path):
    (tmp_path / "a.txt").write_text("dog\ncat\n")
    pq.write_table(pa.table({"entry": ["dog", "cat"]}), tmp_path / "b.parquet")
    for path in ("a.txt", "b.parquet"):
        assert languages(str(tmp_path / path)) == {None: range(2)}
        assert load_language(str(tmp_path / path), "de") == (0, ["dog", "cat"])
    assert languages("wordnet30") == {None: range(86_654)}


@pytest.mark.parametrize("found", [["de", "en", "de"], ["de", None, "en"]])
def test_languages_out_of_order_are_refused(tmp_path, found):
    pq.write_table(pa.table({"language": found, "entry": ["a", "b", "c"]}), tmp_path / "a.parquet")
    with pytest.raises(SchemaError, match="wanted rows sorted by language"):
        languages(str(tmp_path / "a.parquet"))


def test_files_that_are_no_list_are_refused(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    for read in (load_entries, languages):
        with pytest.raises(SchemaError, match="wanted a Parquet file"):
            read(str(tmp_path / "a.parquet"))
        with pytest.raises(RecipeError, match="no file"):
            read(str(tmp_path / "none.parquet"))


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
