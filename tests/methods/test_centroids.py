"""Assignment to centroids by inner product: the exact answer, whatever the batch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import RecipeError, SchemaError
from curation.methods import centroids as module
from curation.methods.centroids import nearest_centroids
from curation.models.centroids import load


def plain(vectors, centroids):
    return (vectors.astype(np.float64) @ centroids.astype(np.float64).T).argmax(axis=1)


@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 40), st.integers(1, 9))
def test_it_is_the_largest_inner_product(seed, n, k, d):
    random = np.random.default_rng(seed)
    vectors, centroids = random.normal(size=(n, d)).astype("f4"), random.normal(size=(k, d)) * random.uniform(1, 50)
    assert nearest_centroids(vectors, centroids).tolist() == plain(vectors, centroids).tolist()


def test_ties_go_to_the_first_and_what_float32_cannot_tell_is_told(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 7)
    random = np.random.default_rng(0)
    one = random.normal(size=64)
    near = one * (1 + np.arange(40)[:, None] * 1e-9)  # equal in float32
    vectors = np.stack([one, -one]).astype("f4")
    assert nearest_centroids(vectors, near).tolist() == plain(vectors, near).tolist() == [39, 0]
    assert nearest_centroids(vectors, np.repeat(near[:1], 20, axis=0)).tolist() == [0, 0]


def test_what_the_rounding_of_float32_would_turn_round():
    random = np.random.default_rng(2)
    vectors = random.normal(size=(50, 64)).astype("f4")
    centroids = random.normal(size=64) + random.normal(size=(400, 64)) * 1e-7
    assert nearest_centroids(vectors, centroids).tolist() == plain(vectors, centroids).tolist()


def test_neighbours_change_nothing():
    random = np.random.default_rng(1)
    vectors, centroids = random.normal(size=(300, 48)).astype("f4"), random.normal(size=(999, 48)).astype("f4")
    whole = nearest_centroids(vectors, centroids)
    for size in (1, 7, 64):
        parts = [nearest_centroids(vectors[i : i + size], centroids) for i in range(0, 300, size)]
        assert np.array_equal(np.concatenate(parts), whole)
    assert nearest_centroids(vectors[:0], centroids).tolist() == []
    with pytest.raises(SchemaError, match="48 numbers"):
        nearest_centroids(vectors, centroids[:, :4])


def test_files_of_vectors(tmp_path):
    good = np.random.default_rng(0).normal(size=(5, 3)).astype("f2")
    np.save(tmp_path / "good.npy", good)
    assert np.array_equal(load(str(tmp_path / "good.npy")), good)
    for name, array in {
        "ints": np.zeros((2, 3), int),
        "flat": good[0],
        "empty": good[:0],
        "nan": good * np.nan,
    }.items():
        np.save(tmp_path / f"{name}.npy", array)
    np.save(tmp_path / "pickled.npy", np.array([[None]]), allow_pickle=True)
    (tmp_path / "text.npy").write_text("0.5 0.5\n")
    for name in ("ints", "flat", "empty", "nan", "pickled", "text", "none"):
        with pytest.raises(RecipeError, match=rf"{name}\.npy.*wanted a \.npy of vectors"):
            load(str(tmp_path / f"{name}.npy"))
