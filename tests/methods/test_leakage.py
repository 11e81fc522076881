"""Nearest evaluation picture, the threshold for a precision, shared runs of words: against the plain rules."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import SchemaError
from curation.methods import leak_threshold, nearest_evaluation
from curation.methods.leakage import caption_ngrams, shared_ngrams


@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 40), st.integers(1, 9))
def test_it_is_the_largest_cosine(seed, n, m, d):
    random = np.random.default_rng(seed)
    images, known = (random.normal(size=(k, d)) * random.uniform(0.1, 9, (k, 1)) + 1e-6 for k in (n, m))
    images, known = images.astype("f4"), known.astype("f4")
    unit = [each.astype(float) / np.linalg.norm(each.astype(float), axis=1, keepdims=True) for each in (images, known)]
    rows, scores = nearest_evaluation(images, known)
    np.testing.assert_allclose(scores, (unit[0] @ unit[1].T).max(1), atol=1e-6)
    np.testing.assert_allclose(scores, (unit[0] * unit[1][rows]).sum(1), atol=1e-12)
    alone = nearest_evaluation(images[-1:], known)
    assert (alone[0][0], alone[1][0]) == (rows[-1], scores[-1])


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=40), st.sampled_from([0.5, 0.9, 1]))
def test_the_threshold_is_the_least_with_that_precision(rows, precision):
    scores, same = np.array([s / 12 for s, _ in rows]), np.array([b for _, b in rows])
    allowed = {}
    for t in [-1.0, *np.unique(scores)]:
        above = scores > t
        if above.any() and same[above].mean() >= precision:
            allowed[t] = (t, same[above].mean(), above[same].sum() / max(1, same.sum()))
    if not allowed:
        with pytest.raises(SchemaError, match="leak_threshold"):
            leak_threshold(scores, same, precision)
    else:
        assert leak_threshold(scores, same, precision) == pytest.approx(allowed[min(allowed)])


def test_runs_of_eight_words():
    text = "One two, three four five six seven eight nine"
    assert caption_ngrams(text) == {
        "one two three four five six seven eight",
        "two three four five six seven eight nine",
    }
    assert caption_ngrams("...") == set()
    known = caption_ngrams(text) | caption_ngrams("a photo of a dog")
    found = shared_ngrams(["A photo of a dog.", "a photo of a dog here", f"see: {text}", None, ""], known)
    assert found.tolist() == [1, 0, 2, 0, 0]
