"""MetaCLIP 2: matching without blanks and one threshold per language, against the recorded run of its functions."""

import json
import string
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curation.errors import RecipeError
from curation.methods import entry_probability, language_thresholds, match, tail_share, threshold_for_share

LETTERS = "ab é猫熊大⺀กຂမខཀかн한,.!，《～«¿-+ \t\n\r"


@pytest.fixture(scope="module")
def oracle(shared):
    return json.loads((shared / "oracles" / "metaclip2_curation_small.json").read_text())


def test_matches_of_the_reference_run(oracle):
    for language in oracle["matching"].values():
        found = match([text["text"] for text in language["texts"]], language["metadata"], "worldwide")
        assert found == [text["ids_iter"] for text in language["texts"]]


def test_thresholds_of_the_reference_run(oracle):
    for case in oracle["threshold_cases"]:
        for t, p in case["t_to_p"].items():
            assert tail_share(case["counts"], int(t)) == pytest.approx(p, abs=1e-15)
        for p, t in case["p_to_t"].items():
            assert threshold_for_share(case["counts"], float(p)) == t
        for t, wanted in case["probs"].items():
            np.testing.assert_allclose(entry_probability(case["counts"], int(t)), wanted, atol=1e-6)


def test_thresholds_by_language_of_the_reference_run_but_for_the_zero_trap(oracle):
    counts = oracle["worldwide"]["counts"]
    for row in oracle["worldwide"]["rows"]:
        assert tail_share(counts["en"], row["t_en"]) == pytest.approx(row["p"], abs=1e-15)
        found = language_thresholds(counts, row["t_en"])
        mended = {k: t for k, t in row["t_lang"].items() if 0 not in counts[k] or k == "en"}
        assert {k: found[k] for k in mended} == mended
        assert found["sw"] >= 1


def needs_blank(character):
    """The rule of the paper's code: not next to Han, Thai, Lao, Burmese, Khmer, Tibetan or its own punctuation."""
    blocks = ((0x2E80, 0x2FDF), (0x4E00, 0x9FFF), (0xE00, 0xFFF), (0x1000, 0x109F), (0x1780, 0x17FF))
    written_without = any(low <= ord(character) <= high for low, high in blocks)
    return not (written_without or character in string.punctuation + "，。、；：？！“”‘’（）【】《》〈〉「」『』～—")


def brute_force(caption, entries):
    text = f" {caption} "
    for mark in ",.;:?!`":
        text = text.replace(mark, f" {mark} ")
    for blank in "\t\n\r":
        text = text.replace(blank, " ")
    edged = [
        (" " if not e or needs_blank(e[0]) else "", " " if not e or needs_blank(e[-1]) else "", e) for e in entries
    ]
    return [number for number, (left, right, entry) in enumerate(edged) if left + entry + right in text]


@given(st.lists(st.text(LETTERS, max_size=30), max_size=6), st.lists(st.text(LETTERS, max_size=5), max_size=30))
@example(["a\tdog\nred dog\r", "新\n狗\tb"], ["dog", "red dog", "狗 b"])
@example(["x～y", "le«Monde»x", "a⺀b"], ["～", "«Monde»", "⺀"])
def test_equals_brute_force(captions, entries):
    assert match(captions, entries, "worldwide") == [brute_force(caption, entries) for caption in captions]


BLANKS = " \t\n\v\u00a0\u1680\u2003\u2028\u3000\x85"


def normal(text):
    text = unicodedata.normalize("NFC", text)
    for mark in ",.;:?!`":
        text = text.replace(mark, f" {mark} ")
    for blank in BLANKS:
        text = text.replace(blank, " ")
    return " ".join(piece for piece in text.split(" ") if piece)


MIXED = st.text("ab.,e\u0301é猫" + BLANKS, max_size=20)


@given(st.lists(MIXED, max_size=6), st.lists(MIXED.filter(normal), max_size=20))
def test_normalised_is_the_same_rule_on_both_sides(captions, entries):
    texts = [f" {normal(caption)} " for caption in captions]
    wanted = [[n for n, entry in enumerate(entries) if f" {normal(entry)} " in text] for text in texts]
    assert match(captions, entries, "normalised") == wanted


@given(
    st.dictionaries(st.sampled_from(["fr", "sw", "ja"]), st.lists(st.integers(0, 50), max_size=12)),
    st.lists(st.integers(1, 50), min_size=1, max_size=12),
    st.integers(1, 60),
)
def test_no_language_gets_a_threshold_below_one(counts, english, t):
    found = language_thresholds(counts | {"en": english}, t)
    assert found["en"] == t and all(value >= 1 for value in found.values())


def test_without_the_anchor_there_is_no_share():
    with pytest.raises(RecipeError, match="'en' matched no entry"):
        language_thresholds({"fr": [1, 2], "en": [0]}, 20)
