"""MetaCLIP's matching against the recorded reference run, a brute force written from the rule, and real captions."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curation
from curation.entries import load_entries
from curation.errors import RecipeError, SchemaError
from curation.methods import Matcher, match


def brute_force(caption, entries):
    """The rule, word for word (arXiv:2309.16671, section 3.2)."""
    if caption is None:
        return []
    text = f" {caption} "
    for mark in ",.;:?!`":
        text = text.replace(mark, f" {mark} ")
    for blank in "\t\n\r":
        text = text.replace(blank, " ")
    return [number for number, entry in enumerate(entries) if f" {entry} " in text]


# few letters so that things match; marks, blanks that count and that do not, letters of two to four bytes
TEXTS = st.text("ab ,.!`\t\n\r\u00a0\u3000\v\x00é猫🐕-'", max_size=40)
ENTRIES = st.lists(st.text("ab ,.\té猫🐕\u00a0-", max_size=8), max_size=30)


def test_reference_run(shared):
    oracle = json.loads((shared / "oracles" / "metaclip1_match_balance_small.json").read_text())
    found = match([row["text"] for row in oracle["texts"]], oracle["metadata"])
    assert found == [row["matched_ids"] for row in oracle["texts"]]
    rows = [[entry, text] for text, ids in enumerate(found) for entry in ids]
    assert rows == oracle["inverted_index_rows_entry_text"]


@given(st.lists(st.none() | TEXTS, max_size=8), ENTRIES)
def test_equals_brute_force(captions, entries):
    assert match(captions, entries) == [brute_force(c, entries) for c in captions]


@given(st.lists(st.sampled_from(["a", "b", "dog", "é" * 9, "x" * 15, "y" * 16, "z" * 300, ""]), max_size=200), ENTRIES)
def test_equals_brute_force_on_long_captions_and_tokens(words, entries):
    """Many tokens (more than are cut at a time), tokens around the sizes where their representation changes."""
    caption = " ".join(words)
    entries = [*entries, "x" * 15, "y" * 16, "y" * 17, "z" * 300, "z" * 299, "é" * 9 + " a", "a b dog", ""]
    assert match([caption], entries) == [brute_force(caption, entries)]


@pytest.mark.parametrize(
    ("caption", "entry", "found"),
    [
        ("in St. Louis", "St. Louis", False),  # a mark inside an entry of several characters
        ("in St . Louis", "St . Louis", False),  # ". " becomes two spaces
        ("New  York", "New York", False),
        ('"dog"', "dog", False),
        ("(dog)", "dog", False),
        ("the dog's", "dog", False),
        ("dog,", "dog", True),
        ("a, b", ",", True),
        ("Dog", "dog", False),
        ("New\tYork", "New York", True),
        ("New\u00a0York", "New York", False),
        ("", "", True),  # two spaces hold the empty entry between them
    ],
)
def test_consequences_of_the_rule(caption, entry, found):
    assert brute_force(caption, [entry]) == match([caption], [entry])[0] == ([0] if found else [])


def test_real_captions_and_entries(shared):
    table = pq.read_table(shared / "data" / "tables" / "laion-style-10k.parquet")
    captions = table.column("TEXT").combine_chunks()
    entries = load_entries("wordnet30")
    ids = {entry: number for number, entry in enumerate(entries)}
    longest = max(entry.count(" ") for entry in entries) + 1

    def by_dict(caption):
        for mark in ",.;:?!`":
            caption = caption.replace(mark, f" {mark} ")
        words = caption.translate(str.maketrans("\t\n\r", "   ")).split(" ")
        spans = (" ".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, i + longest + 1))
        return sorted({ids[span] for span in spans if span in ids})

    found = Matcher(entries).match(captions)
    assert found.type == pa.list_(pa.int32())
    assert found.to_pylist() == [by_dict(caption) for caption in captions.to_pylist()]
    assert len(found.flatten()) > 10_000  # it matched at all


def test_slices_chunks_nulls_and_large_strings_match_alike():
    matcher = Matcher(["dog", "red dog"])
    captions = pa.array(["skipped dog", "a red dog", None, "", "dog"])
    wanted = [[0, 1], [], [], [0]]
    assert matcher.match(captions[1:]).to_pylist() == wanted
    assert matcher.match(pa.chunked_array([captions[1:3], captions[3:]])).to_pylist() == wanted
    assert matcher.match(captions[1:].cast(pa.large_string())).to_pylist() == wanted
    assert matcher.match(captions[:0]).to_pylist() == []
    assert matcher.match(pa.array(["", ""])).to_pylist() == [[], []]


def test_nulls_whose_bytes_are_there_do_not_match():
    """Arrow leaves the bytes of a null undefined; some writers keep the old text there."""
    whole = pa.array(["dog", "dog"])
    hidden = pa.Array.from_buffers(pa.string(), 2, [pa.py_buffer(b"\x02"), *whole.buffers()[1:]])
    assert Matcher(["dog"]).match(hidden).to_pylist() == [[], [0]]


def test_an_entry_given_twice_matches_twice():
    assert match(["a dog"], ["dog", "a dog", "dog", "dog"]) == [[0, 1, 2, 3]]


def test_no_entries():
    assert match(["dog", ""], []) == [[], []]


def test_a_caption_of_a_million_words():
    found = Matcher(["a b", "b a", "a"]).match(pa.array(["a b " * 250_000]))
    assert found.to_pylist() == [[0, 1, 2]]


def test_wrong_mode_and_null_entries_are_refused():
    with pytest.raises(RecipeError, match=r"longest.*metaclip1"):
        Matcher(["dog"], mode="longest")
    with pytest.raises(SchemaError, match="1 of 2 are null"):
        Matcher(["dog", None])


def test_importing_the_methods_does_not_import_numba_or_torch():
    script = (
        "import sys, curation.methods; print([m for m in ('numba', 'torch', 'ftfy', 'pyspark') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"


ROOT = Path(next(iter(curation.__path__))).parent


@pytest.mark.slow  # compiles without a cache
def test_matches_when_imported_from_a_zip(tmp_path):
    """As on a cluster with --py-files: numba may have no place for its cache there."""
    archive = tmp_path / "curation.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(ROOT.glob("curation/**/*")):
            if path.suffix in (".py", ".gz"):
                file.write(path, path.relative_to(ROOT))
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import curation.methods as m; assert '.zip' in m.__file__;"
        "from curation.entries import load_entries; print(m.match(['a dog, red'], load_entries('wordnet30')))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script, str(archive)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"HOME": "/nonexistent", "NUMBA_CACHE_DIR": ""},
    )
    entries = load_entries("wordnet30")
    assert [[entries[k] for k in row] for row in json.loads(found.stdout)] == [["a", "dog", "red"]]
