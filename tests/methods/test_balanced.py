"""Balanced k-means: sizes within two in a hundred on vectors of one kind, at about the cost of plain k-means."""

import numpy as np
import pytest

from curation.methods import balanced_centres, nearest_centres


def plain(vectors, start):
    centres = start.astype(float)
    for _ in range(20):
        nearest = nearest_centres(vectors, centres)
        centres = np.stack(
            [vectors[nearest == c].mean(0) if (nearest == c).any() else centres[c] for c in range(len(start))]
        )
    return centres


def cost(vectors, centres, nearest):
    return ((vectors - centres[nearest]) ** 2).sum()


@pytest.mark.parametrize(("n", "d", "k"), [(8000, 16, 16), (3200, 32, 32), (1000, 4, 10)])
def test_sizes_are_equal_and_the_cost_is_that_of_plain_k_means(n, d, k):
    vectors = np.random.default_rng(n).normal(size=(n, d)).astype("f4")
    found = balanced_centres(vectors, vectors[:k])
    nearest = nearest_centres(vectors, found.centres, found.prices)
    assert np.abs(np.bincount(nearest, minlength=k) / (n / k) - 1).max() <= 0.02
    loose = plain(vectors, vectors[:k])
    assert np.ptp(np.bincount(nearest_centres(vectors, loose), minlength=k)) > 0.1 * n / k
    assert cost(vectors, found.centres, nearest) <= 1.05 * cost(vectors, loose, nearest_centres(vectors, loose))


def test_skewed_groups_are_cut():
    random = np.random.default_rng(0)
    vectors = np.concatenate([random.normal(size=(900, 8)) * 0.1, random.normal(size=(100, 8)) + 4]).astype("f4")
    found = balanced_centres(vectors, vectors[::200])
    sizes = np.bincount(nearest_centres(vectors, found.centres, found.prices), minlength=5)
    assert sizes.min() >= 100 and sizes.max() <= 300


@pytest.mark.parametrize("k", [1, 3])
def test_one_cluster_equal_vectors_and_as_many_clusters_as_vectors(k):
    vectors = np.eye(3, dtype="f4")[:k]
    found = balanced_centres(vectors, vectors)
    assert sorted(nearest_centres(vectors, found.centres, found.prices).tolist()) == list(range(k))
    equal = balanced_centres(np.ones((10, 2), "f4"), np.ones((2, 2)))
    assert np.isfinite(equal.centres).all() and np.isfinite(equal.prices).all()
