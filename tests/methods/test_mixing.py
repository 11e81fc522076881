"""Shares of sources, raw and generated captions, captions drawn: published rules and what must hold of any."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import RecipeError, SchemaError
from curation.methods import mix_captions, sample_caption, source_counts, top_share

SCORES = st.lists(st.tuples(st.none() | st.floats(-1, 1), st.none() | st.floats(-1, 1)), max_size=30)


def test_reference_captions(shared):
    oracle = json.loads((shared / "oracles" / "text_rules_small.json").read_text())["laclip_sampling"]
    for case in oracle["cases"]:
        captions = case["captions(original first)"]
        middles = (np.arange(len(captions)) + 0.5) / len(captions)
        drawn = [sample_caption(captions, u) for u in middles]
        assert drawn == case["text_used_per_index"]
        assert drawn.count(captions[0]) / len(drawn) == case["prob_of_original_text"]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5).filter(lambda w: sum(w) > 0.01))
def test_captions_are_drawn_by_their_weights(weights):
    captions = [f"caption {k}" for k in range(len(weights))]
    drawn = Counter(sample_caption(captions, u, weights) for u in (np.arange(2000) + 0.5) / 2000)
    for caption, weight in zip(captions, weights):
        assert drawn[caption] / 2000 == pytest.approx(weight / sum(weights), abs=1e-3)


def test_a_uniform_at_the_end_of_a_caption_draws_the_next():
    for count in range(1, 12):
        captions = [f"c {k}" for k in range(count)]
        assert [sample_caption(captions, k / count) for k in range(count)] == captions


def test_captions_without_a_way_to_draw_are_refused():
    for captions, weights in (([], None), (["a b"], [1, 2]), (["a b"], [0.0]), (["a b", "c d"], [1, -1])):
        with pytest.raises(SchemaError):
            sample_caption(captions, 0.5, weights)


@given(SCORES, st.floats(0, 1))
def test_raw_tops_are_the_same_in_three_strategies(scores, x):
    raw, generated = [r for r, _ in scores], [g for _, g in scores]
    top = top_share(raw, x)
    for strategy in ("raw_top", "raw_top_generated_rest", "raw_top_generated_passing"):
        assert ((mix_captions(raw, generated, x, strategy) == "raw") == top).all()


@given(SCORES, st.floats(0, 1))
def test_each_strategy_by_its_own_words(scores, x):
    raw, generated = [r for r, _ in scores], [g for _, g in scores]
    lowest = min((r for r, taken in zip(raw, top_share(raw, x)) if taken), default=np.inf)
    rest = mix_captions(raw, generated, x, "raw_top_generated_rest")
    passing = mix_captions(raw, generated, x, "raw_top_generated_passing")
    best = mix_captions(raw, generated, x, "best_top")
    for k, (r, g) in enumerate(scores):
        assert rest[k] == "raw" or rest[k] == ("" if g is None else "generated")
        assert passing[k] == "raw" or passing[k] == ("generated" if g is not None and g >= lowest else "")
        assert best[k] in ("", "raw" if g is None or (r is not None and r >= g) else "generated")
    higher = [max((s for s in pair if s is not None), default=None) for pair in scores]
    assert ((best != "") == top_share(higher, x)).all()
    assert (mix_captions(raw, generated, x, "generated_all") != "").sum() == sum(g is not None for g in generated)


def test_mixing_refuses_what_it_does_not_know():
    with pytest.raises(RecipeError, match=r"known: .*raw_top"):
        mix_captions([0.1], [0.2], 0.5, "both")
    with pytest.raises(SchemaError, match="1 raw scores, 2 generated"):
        mix_captions([0.1], [0.2, 0.3], 0.5)


SIZES = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 50), min_size=1)


@given(SIZES, st.data())
def test_a_mixture_has_the_size_asked_for_and_takes_no_more_than_there_is(sizes, data):
    weights = data.draw(
        st.fixed_dictionaries({name: st.floats(0, 10) for name in sizes}).filter(lambda w: sum(w.values()) > 0)
    )
    budget = data.draw(st.integers(0, 200))
    found = source_counts(sizes, weights, budget)
    assert all(0 <= found[name] <= sizes[name] for name in sizes)
    assert sum(found.values()) == min(budget, sum(n for name, n in sizes.items() if weights[name] > 0))
    unbounded = {name: budget for name in sizes}
    if all(source_counts(unbounded, weights, budget)[name] <= sizes[name] for name in sizes):
        assert found == source_counts(unbounded, weights, budget)


def test_equal_remainders_go_to_the_first_name_whatever_binary_makes_of_them():
    """0.4, 1.2 and 6.4 of 8; 0.5, 3.5 and 1 of 5."""
    many = dict.fromkeys("abc", 100)
    assert source_counts(many, {"a": 0.05, "b": 0.15, "c": 0.8}, 8) == {"a": 1, "b": 1, "c": 6}
    assert source_counts(many, {"a": 0.1, "b": 0.7, "c": 0.2}, 5) == {"a": 1, "b": 3, "c": 1}


def test_weights_that_mean_nothing_are_refused():
    for weights in ({"a": -1}, {"a": 0}, {"b": 1}, {"a": float("nan")}):
        with pytest.raises(RecipeError):
            source_counts({"a": 3}, weights, 2)
