"""Parrot captions: the recorded pairs, and the edit distance against its plain definition."""

import functools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.methods import parrot_share


def test_recorded_pairs(shared):
    pairs = json.loads((shared / "oracles" / "text_rules_small.json").read_text())["parrot_captions"]["pairs"]
    captions, words = [p["caption"] for p in pairs], [p["ocr_words"] for p in pairs]
    assert parrot_share(captions, words).tolist() == [p["co_emb_rate"] for p in pairs]
    assert parrot_share(captions, words, distance=1).tolist() == [p["fuzzy_rate"] for p in pairs]


def levenshtein(a, b):
    @functools.cache
    def cost(i, j):
        if not i or not j:
            return i + j
        return min(cost(i - 1, j) + 1, cost(i, j - 1) + 1, cost(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

    return cost(len(a), len(b))


WORD = st.text("abc", min_size=1, max_size=6)


@given(WORD, WORD, st.integers(0, 3))
def test_a_word_is_shown_within_the_edit_distance(a, b, distance):
    assert parrot_share([a], [[b]], distance)[0] == float(levenshtein(a, b) <= distance)


@given(st.lists(WORD, max_size=6), st.lists(WORD, max_size=6), st.integers(0, 2))
def test_more_distance_never_shows_less(caption, words, distance):
    one, other = (parrot_share([" ".join(caption)], [words], d)[0] for d in (distance, distance + 1))
    assert np.isnan(one) if not caption else 0 <= one <= other <= 1


def test_nulls_and_captions_without_words():
    assert np.isnan(parrot_share([None, "...", "a_b"], [["a"], ["a"], None])).all()
    assert parrot_share(["a_b"], [["B"]]).tolist() == [0.5]
    with pytest.raises(ValueError, match="shorter"):
        parrot_share(["a", "b"], [["a"]])
