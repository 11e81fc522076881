"""The linear probe: separable and hopeless data, the strength that is chosen, the same result twice."""

import numpy as np
import pytest

from curation.errors import RecipeError
from curation.trainer.probe import STRENGTHS, linear_probe


def blobs(count: int, spread: float, seed: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    centres = np.array([[0, 0, 4], [4, 0, 0], [0, 4, 0]], float)
    return centres[labels] + random.normal(0, spread, (count, 3)), labels, [f"k{n}" for n in range(count)]


def test_separable_classes_are_told_apart():
    train, labels, keys = blobs(60, 0.5, 0)
    test, wanted, _ = blobs(30, 0.5, 1)
    found = linear_probe(train, labels, keys, test, 3)
    assert (found.scores.argmax(axis=1) == wanted).all() and found.strength in STRENGTHS
    again = linear_probe(train, labels, keys, test, 3)
    assert np.array_equal(found.scores, again.scores) and again.tried == found.tried


def test_noise_wants_the_strength_that_the_held_out_part_says():
    """Ten numbers of signal among ninety of noise and few rows: hardly any regularisation fits the noise."""
    random = np.random.default_rng(2)
    labels = np.arange(80) % 2
    train = random.normal(size=(80, 100))
    train[:, :10] += labels[:, None] * 0.8
    test = random.normal(size=(400, 100))
    test[:, :10] += (np.arange(400) % 2)[:, None] * 0.8
    found = linear_probe(train, labels, [str(n) for n in range(80)], test, 2)
    best = max(found.tried.values())
    assert found.tried[f"{found.strength:g}"] == best
    assert all(STRENGTHS[i] <= found.strength for i in range(8) if found.tried[f"{STRENGTHS[i]:g}"] == best)
    assert (found.scores.argmax(axis=1) == np.arange(400) % 2).mean() > 0.75


def test_the_fit_is_the_minimum():
    """The gradient of the stated loss is nought where the fit ends: the residuals' means equal strength times W."""
    train, labels, _ = blobs(90, 3.0, 4)
    from curation.trainer.probe import _fitted

    score = _fitted(train, labels, 3, 0.1)
    bias = score(np.zeros((1, 3)))
    weight = score(np.eye(3)) - bias
    logits = train @ weight + bias
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    residual = (shares - np.eye(3)[labels]) / len(labels)
    assert train.T @ residual + 0.1 * weight == pytest.approx(np.zeros((3, 3)), abs=1e-5)
    assert residual.sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-5)


def test_too_few_pictures_are_told():
    with pytest.raises(RecipeError, match="wanted more pictures"):
        linear_probe(np.ones((1, 2)), np.zeros(1, int), ["a"], np.ones((1, 2)), 2)
