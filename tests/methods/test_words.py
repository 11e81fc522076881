"""WFPP: the recorded reference run, the libraries it uses, and the arithmetic."""

import functools
import html
import json

import ftfy
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from curation.methods import top_share, wfpp_words, word_frequency_scores, word_probabilities, word_scores

TEXTS = st.text("aZ'stRElmd 09.,-!&;<>_#éÉß—“ſ\u00a0\t\n\r\v\x1c\x00漢̈½²", max_size=30)


@functools.cache
def clip_pattern():
    return regex.compile(
        r"""<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+""", regex.IGNORECASE
    )


def by_the_libraries(text):
    """Words as CLIP's tokenizer cuts them, before the bytes become letters."""
    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return clip_pattern().findall(" ".join(text.split()).lower())


def test_reference_run(shared):
    oracle = json.loads((shared / "oracles" / "wfpp_small.json").read_text())
    assert wfpp_words(pa.array(oracle["texts"])).to_pylist() == oracle["words"]
    for run in oracle["runs"]:
        p = word_probabilities(run["counter"], run["t"], run["min_count"])
        wanted = {w: 1.0 if raw < 0 else raw for w, raw in run["p_drop_raw(may be negative)"].items()}
        assert p == pytest.approx(wanted, abs=1e-12)
        scores = word_scores(oracle["texts"], run["t"], run["min_count"])
        np.testing.assert_allclose(scores, np.array(run["score"], float), rtol=0, atol=1e-12)
        for f, kept in run["kept_ids_by_fraction"].items():
            assert np.flatnonzero(top_share(scores, float(f))).tolist() == kept


@given(st.lists(st.none() | TEXTS, max_size=6))
def test_words_equal_the_libraries(texts):
    """The compiled path, the repaired path and their order in one batch."""
    wanted = [None if t is None else ["".join(byte_letters(w)) for w in by_the_libraries(t)] for t in texts]
    assert wfpp_words(pa.array(texts, pa.string())).to_pylist() == wanted


@given(st.text("Ã©â€™Â°® aßé&lt;<copy", max_size=12))
@example("cafÃ© au lait")
@example("it\u00e2\u20ac\u2122s &copy 2019")
def test_mojibake_and_entities_left_open_equal_the_libraries(text):
    assert wfpp_words(pa.array([text])).to_pylist() == [["".join(byte_letters(w)) for w in by_the_libraries(text)]]


VISIBLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
HIDDEN = [b for b in range(256) if b not in VISIBLE]


def byte_letters(word):
    """GPT-2's map of bytes to letters: visible Latin-1 to itself, the rest to U+0100 and up in order."""
    return [chr(256 + HIDDEN.index(b)) if b in HIDDEN else chr(b) for b in word.encode()]


@given(st.text("'strevmld aZ9!", max_size=20))
def test_contractions_by_the_compiled_path(text):
    assert wfpp_words(pa.array([text])).to_pylist() == [by_the_libraries(text)]


def test_words_of_real_captions_equal_the_libraries(shared):
    texts = pq.read_table(shared / "data" / "tables" / "laion-style-10k.parquet").column("TEXT").to_pylist()[:4000]
    found = wfpp_words(pa.array(texts)).to_pylist()
    assert found == [["".join(byte_letters(w)) for w in by_the_libraries(t)] for t in texts]


def test_special_tokens_are_one_word():
    assert wfpp_words(pa.array(["a <Start_Of_Text> b"])).to_pylist() == [["a", "<start_of_text>", "b"]]


def test_slices_chunks_and_empty_batches():
    texts = pa.array(["no", "a b", None, "é", ""])
    wanted = [["a", "b"], None, ["Ã©"], []]
    assert wfpp_words(texts[1:]).to_pylist() == wanted
    assert wfpp_words(pa.chunked_array([texts[1:2], texts[2:]])).to_pylist() == wanted
    assert wfpp_words(texts[:0]).to_pylist() == []
    assert wfpp_words(pa.array([None, None], pa.string())).to_pylist() == [None, None]


def test_worked_example():
    words = pa.array([["a", "b"], ["a", "a"], ["b"], ["a", "zzz"]])
    scores = word_frequency_scores(words, {"a": 0.9, "b": 0.8}).to_pylist()
    assert scores == pytest.approx([0.14, 0.095, 0.2, 0.05], abs=1e-12)


def test_only_the_first_thirty_words_count():
    p = {"a": 0.5, "b": 0.9}
    one, other = word_frequency_scores(pa.array([["a"] * 30, ["a"] * 30 + ["b"]]), p).to_pylist()
    assert one == other == (1 - 0.5**30) / 30


def test_no_words_and_null_have_no_score():
    words = pa.array([[], None, ["a"]], pa.list_(pa.string()))
    assert word_frequency_scores(words, {}).to_pylist() == [None, None, 0.0]
    assert word_frequency_scores(words[:0], {}).to_pylist() == []
    assert np.isnan(word_scores(["", None])).all()


def test_captions_of_rare_words_only_score_zero():
    """As published, against the stated aim: what is too rare to be counted looks infinitely common."""
    scores = word_scores(["dog dog"] * 5 + ["xylophone"], t=0.01, min_count=5)
    assert scores[-1] == 0 < scores[0]


@given(st.dictionaries(st.text("abc", min_size=1, max_size=2), st.integers(0, 100), max_size=6), st.integers(1, 5))
def test_probabilities_ignore_the_scale_of_the_counts(counts, times):
    """Every row duplicated leaves word frequencies as they were."""
    once = word_probabilities(counts, 0.01, 1)
    assert word_probabilities({w: n * times for w, n in counts.items()}, 0.01, 1) == pytest.approx(once)
    assert all(0 <= p <= 1 for p in once.values())
