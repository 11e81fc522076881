"""ClipCov's greedy order: the recorded run, and greedy taken literally, pick by pick over all classes."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import SchemaError
from curation.methods import coverage_order
from curation.methods.coverage import class_terms


def unit(random, n, d):
    x = random.normal(size=(n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_order_and_terms_of_the_reference(shared):
    case = json.loads((shared / "oracles" / "clipcov_greedy_small.json").read_text())["case"]
    images, texts, prompts = (np.array(case[name]) for name in ("image", "text", "label_text"))
    classes = np.array(case["latent_class"])
    order = coverage_order(images, texts, classes, prompts, case["period"])
    assert order[: int(case["fraction"] * len(images))].tolist() == case["selected_in_order"]
    assert sorted(order.tolist()) == list(range(len(images)))
    for c in (0, 1):
        own, other = classes == c, classes != c
        label = np.array(case["label_similarity"])[own]
        terms = class_terms(images[own], texts[own], label, images[other].mean(0), texts[other].mean(0))
        np.testing.assert_allclose(terms.cross, np.array(case["cross"])[own], atol=1e-9)
        np.testing.assert_allclose(terms.score, np.array(case["initial_score"])[own], atol=1e-9)


def literal(images, texts, classes, prompts, period):
    """One pick at a time over all classes, everything kept in full matrices."""
    n = len(images)
    s = np.maximum(images @ texts.T, 0)
    same = classes[:, None] == classes[None]
    size = same.sum(1)
    cross = ((s + s.T) * same).sum(1) / size
    label = ((images + texts) * prompts[classes]).sum(1) / 2
    present = np.unique(classes)
    inter = np.zeros(n)
    for i in range(n):
        others = [classes == c for c in present if c != classes[i]]
        if others:
            inter[i] = np.mean([images[i] @ texts[m].mean(0) + texts[i] @ images[m].mean(0) for m in others])
    score = cross + 2 * (images * texts).sum(1) + label / 2 - inter
    left, order, picks, new = set(range(n)), [], {c: [] for c in present}, {c: [] for c in present}
    while left:
        best = min(left, key=lambda i: (-score[i], i))
        left.remove(best)
        order.append(best)
        c = classes[best]
        picks[c].append(best)
        new[c].append(best)
        if (len(picks[c]) + 1) % period == 0:
            own = classes == c
            taken = s[:, new[c]].sum(1) + cross[picks[c]].sum() + label[new[c]].sum() / 2
            score[own] -= taken[own] / own.sum()
            new[c] = []
    return order


@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 4), st.integers(1, 9))
def test_it_is_greedy_taken_literally(seed, n, k, period):
    random = np.random.default_rng(seed)
    images, prompts = unit(random, n, 5), unit(random, k, 5)
    texts = unit(random, n, 5) * 0.3 + images
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    classes = random.integers(0, k, n)
    found = coverage_order(images, texts, classes, prompts, period).tolist()
    assert found == literal(images, texts, classes, prompts, period)


def test_equal_pairs_come_by_row_and_classes_take_turns():
    one = np.tile(unit(np.random.default_rng(0), 1, 4), (12, 1))
    assert coverage_order(one, one, np.zeros(12, int), one[:1], 3).tolist() == list(range(12))
    assert coverage_order(one, one, np.arange(12) % 2, one[:2], 200).tolist() == list(range(12))
    found = coverage_order(one, one, np.arange(12) % 2, one[:2], 1)
    assert found.tolist() == literal(one, one, np.arange(12) % 2, one[:2], 1)


def test_with_one_long_period_it_is_the_top_by_score():
    random = np.random.default_rng(1)
    images, texts, prompts = unit(random, 40, 6), unit(random, 40, 6), unit(random, 3, 6)
    classes = random.integers(0, 3, 40)
    assert coverage_order(images, texts, classes, prompts, 200).tolist() == literal(images, texts, classes, prompts, 99)


def test_none_and_arrays_that_do_not_go_together():
    none = np.zeros((0, 3))
    assert coverage_order(none, none, np.zeros(0, int), np.eye(3), 5).tolist() == []
    with pytest.raises(SchemaError, match="coverage_order"):
        coverage_order(np.eye(3), np.eye(4), np.zeros(3, int), np.eye(3), 5)
