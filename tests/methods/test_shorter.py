"""CLIPA's ways to shorten a caption."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import RecipeError, SchemaError
from curation.methods import reduce_tokens

DRAWN = ("truncate", "random", "block", "simple", "shuffle")


def draws(mode: str, count: int, seed: int = 0):
    """What a mode draws of a caption of that many tokens."""
    generator = np.random.default_rng(seed)
    return generator.random(count) if mode in ("random", "shuffle") else generator.random()


@given(st.integers(1, 40), st.integers(3, 20), st.sampled_from(DRAWN), st.integers(0, 9))
def test_what_is_kept_is_of_the_caption_and_as_much_as_fits(count, length, mode, seed):
    kept = reduce_tokens(range(count), length, mode, uniforms=draws(mode, count, seed))
    assert len(kept) == min(count, length - 2) and set(kept) <= set(range(count))
    if mode != "shuffle":
        assert kept == sorted(kept)
    if mode in ("block", "simple", "truncate"):
        assert kept == list(range(kept[0], kept[0] + len(kept)))


def test_every_start_of_a_block_is_as_likely():
    starts = [reduce_tokens(range(10), 6, "block", uniforms=(n + 0.5) / 700)[0] for n in range(700)]
    assert np.bincount(starts).tolist() == [100] * 7  # 0 to n - kept, both included


def test_a_recorded_permutation_and_start_are_replayed():
    permutation = np.random.default_rng(1).permutation(12)
    places = np.empty(12)
    places[permutation] = np.arange(12) / 12
    tokens = np.arange(100, 112).tolist()
    assert reduce_tokens(tokens, 7, "random", uniforms=places) == [tokens[i] for i in sorted(permutation[:5])]
    assert reduce_tokens(tokens, 7, "shuffle", uniforms=places) == [tokens[i] for i in permutation[:5]]
    assert reduce_tokens(tokens, 7, "simple", uniforms=(4 + 0.5) / (12 - 5 + 1)) == tokens[4:9]


def test_syntax_keeps_nouns_first_and_the_order_of_the_caption():
    words = ["a", "very", "small", "brown", "dog", "quickly", "runs", "over", "the", "wet", "grass", "today"]
    tags = ["DT", "RB", "JJ", "JJ", "NN", "RB", "VBZ", "IN", "DT", "JJ", "NN", "NN"]
    assert reduce_tokens(words, 5, "syntax", tags=tags) == ["dog", "grass", "today"]
    assert reduce_tokens(words, 8, "syntax", tags=tags) == ["small", "brown", "dog", "wet", "grass", "today"]
    assert reduce_tokens(words, 10, "syntax", tags=tags) == [
        "a", "small", "brown", "dog", "runs", "wet", "grass", "today",
    ]  # fmt: skip
    many = [f"w{n}" for n in range(40)]
    assert reduce_tokens(many, 12, "syntax", tags=["NNS"] * 40) == many[:10]  # stable, however many there are


def test_what_is_wrong_is_told():
    with pytest.raises(RecipeError, match=r"no mode \['longest'\]; known: .*'syntax'"):
        reduce_tokens("abc", 4, "longest")
    with pytest.raises(SchemaError, match="length 2 has no room"):
        reduce_tokens("abc", 2)
    with pytest.raises(SchemaError, match=r"uniforms of shape \(2,\), wanted 3"):
        reduce_tokens("abc", 4, "random", uniforms=[0.1, 0.2])
    with pytest.raises(SchemaError, match=r"tags of shape \(0,\), wanted 3"):
        reduce_tokens("abc", 4, "syntax")
