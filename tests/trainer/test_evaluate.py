"""Retrieval recalls, by hand and against a plain loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import RecipeError
from curation.trainer import evaluate as module
from curation.trainer.evaluate import retrieval


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_perfect_and_shifted_pairs():
    features = np.eye(20, dtype=np.float32)
    found = retrieval(features, features)
    assert found["image_to_text"] == found["text_to_image"] == {"r1": 1.0, "r5": 1.0, "r10": 1.0}
    assert found["chance"] == {"r1": 0.05, "r5": 0.25, "r10": 0.5} and found["pairs"] == 20
    assert retrieval(features, np.roll(features, 1, axis=0))["image_to_text"] == {"r1": 0.0, "r5": 0.0, "r10": 0.0}


def test_a_collapsed_model_finds_nothing():
    same = np.ones((20, 4), np.float32) / 2
    assert retrieval(same, same)["image_to_text"] == {"r1": 0.0, "r5": 0.0, "r10": 0.0}


def test_by_hand():
    images = unit(np.array([[1, 0], [0, 1], [1, 1]], np.float32))
    texts = unit(np.array([[1, 0], [1, 0.9], [0, 1]], np.float32))
    # image 0 finds its text; image 1 likes text 2, then 1; image 2 likes text 1, and its own ties with text 0
    assert retrieval(images, texts)["image_to_text"] == {"r1": 1 / 3, "r5": 1.0, "r10": 1.0}
    # text 0 finds image 0; text 1 likes image 2; text 2 likes image 1
    assert retrieval(images, texts)["text_to_image"]["r1"] == 1 / 3


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(0, 100))
def test_against_sorting(count, seed):
    random = np.random.default_rng(seed)
    images, texts = (unit(random.normal(size=(count, 6))).astype(np.float32) for _ in range(2))
    found = retrieval(images, texts)
    orders = np.argsort(-(images @ texts.T), axis=1)
    for k in (1, 5, 10):
        assert found["image_to_text"][f"r{k}"] == pytest.approx(np.mean([i in orders[i, :k] for i in range(count)]))


def test_rows_are_scored_in_pieces_alike(monkeypatch):
    random = np.random.default_rng(0)
    images, texts = (unit(random.normal(size=(50, 6))) for _ in range(2))
    whole = retrieval(images, texts)
    monkeypatch.setattr(module, "ROWS", 7)
    assert retrieval(images, texts) == whole


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="wanted equal"):
        retrieval(np.ones((2, 3)), np.ones((3, 3)))
    with pytest.raises(ValueError, match="not empty"):
        retrieval(np.ones((0, 3)), np.ones((0, 3)))


def test_nothing_held_out_is_told(release):
    with pytest.raises(RecipeError, match="no image held out"):
        module.evaluate("sample-clip", release=release, holdout=0)
