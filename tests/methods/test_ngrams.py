"""N-grams, PMI and caps: the recorded reference run, the worked examples, and what holds for any text."""

import itertools
import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.methods import lift, ngram_counts, ngram_tokens, pmi, worldwide_caps
from curation.methods.ngrams import is_punctuation, spaced, word_runs


@pytest.fixture(scope="module")
def oracle(shared):
    return json.loads((shared / "oracles" / "metaclip2_curation_small.json").read_text())


def test_tokens_and_counts_of_the_reference_run(oracle):
    for case in oracle["ngrams"]:
        assert ngram_tokens(case["text"]) == case["tokens"]
        assert ngram_counts([case["text"]]) == (case["unigram"], case["bigram"])


def test_caps_of_the_reference_run(oracle):
    for case in oracle["caps_v2"]:
        found = worldwide_caps(case["unigrams"], case["bigrams_over_threshold"], case["titles"])
        assert found == (case["cap_unigram"], case["cap_bigram"], case["cap_title"])


def test_caps_at_their_ends():
    """251,465, 100,646 and 61,235 are MetaCLIP's own numbers (arXiv:2309.16671, table of metadata sources)."""
    assert worldwide_caps(2_514_649, 100_645, 80_571) == (251_464, 100_645, 61_233)
    assert worldwide_caps(2_514_650, 100_647, 80_573) == (251_465, 100_646, 61_235)
    assert worldwide_caps(10, 10, 10, unigram_share=1, max_bigrams=3, max_titles=2) == (10, 3, 2)


@pytest.mark.parametrize(
    ("pair", "first", "second", "bits"),
    [(8, 20, 10, math.log2(40)), (2, 2, 2, math.log2(500)), (12, 500, 30, math.log2(0.8))],
)
def test_pmi_of_the_worked_examples(pair, first, second, bits):
    assert pmi([pair], [first], [second], 1000)[0] == pytest.approx(bits, abs=1e-12)


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_thirty_bits_are_met_exactly(pair, times):
    """A bi-gram of two words that are never apart, in a corpus of 2^30 times their number: no rounding decides."""
    assert lift([pair], [pair], [pair], pair * 2**30)[0] == 2.0**30
    assert lift([pair], [pair], [pair * times], pair * times * 2**30)[0] == 2.0**30
    below, above = (lift([pair], [pair], [pair], pair * 2**30 + step)[0] for step in (-1, 1))
    assert below < 2.0**30 < above


@given(st.lists(st.integers(1, 10**6), min_size=3, max_size=3), st.integers(1, 10**12))
def test_pmi_is_the_formula(counts, total):
    pair, first, second = counts
    wanted = math.log2(pair * total) - math.log2(first * second)
    assert pmi(np.array([pair]), np.array([first]), np.array([second]), total)[0] == pytest.approx(wanted, abs=1e-9)


TEXTS = st.text(st.sampled_from("ab1 \n\t\u00a0.,'-+\u00ab\u3002\u72d7\u732b\u0e01\u304b\uac00\u00e9"), max_size=60)


@given(TEXTS)
def test_words_are_the_tokens_without_punctuation(text):
    runs = list(word_runs(spaced(text)))
    assert [word for run in runs for word in run] == [t for t in ngram_tokens(text) if not is_punctuation(t)]
    assert all(len(t) == 1 for t in ngram_tokens(text) if is_punctuation(t))
    assert "".join(ngram_tokens(text)) == "".join(text.split())


@given(st.lists(TEXTS, max_size=4))
def test_counts_are_those_of_a_plain_loop(texts):
    words, pairs = Counter(), Counter()
    for line in itertools.chain.from_iterable(text.split("\n") for text in texts):
        chain = None
        for token in ngram_tokens(line):
            if is_punctuation(token):
                chain = None
                continue
            words[token] += 1
            if chain is not None:
                pairs[f"{chain} {token}"] += 1
            chain = token
    assert ngram_counts(texts) == (dict(words), dict(pairs))


def test_scripts_without_spaces_are_cut_into_characters():
    assert ngram_tokens("\u72d7\u732b dog") == ["\u72d7", "\u732b", "dog"]
    assert ngram_tokens("\u304b\u306a \uac00\ub098") == ["\u304b\u306a", "\uac00\ub098"]  # kana and Hangul are not
    assert ngram_counts(["\u72d7\u732b"], joiner="")[1] == {"\u72d7\u732b": 1}
