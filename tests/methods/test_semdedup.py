"""SemDeDup and CLIPPINGS' linking against the oracle and plain loops."""

import json

import numpy as np
import pytest

from curation.errors import SchemaError
from curation.methods import link_pooled, semdedup


@pytest.fixture(scope="module")
def oracle(shared):
    return json.loads((shared / "oracles" / "semdedup_small.json").read_text())


@pytest.mark.parametrize("keep", ["hard", "easy"])
def test_oracle(oracle, keep):
    arrays = [np.array(oracle[name]) for name in ("embeddings", "assignment", "centroids")]
    tried = 0
    for eps in oracle["clusters"][0][f"kept_{keep}"]:
        wanted = sorted(row for cluster in oracle["clusters"] for row in cluster[f"kept_{keep}"][eps])
        assert semdedup(*arrays, float(eps), keep, "transitive").tolist() == wanted
        tried += len(wanted) < len(arrays[0])
    assert tried >= 3
    for eps in oracle["clusters"][0]["kept_greedy_hard(not the reference)"] if keep == "hard" else ():
        listed = [row for cluster in oracle["clusters"] for row in cluster["kept_greedy_hard(not the reference)"][eps]]
        assert semdedup(*arrays, float(eps), "hard", "representative").tolist() == sorted(listed)


def test_without_reach_only_equal_vectors_go():
    vectors = np.array([[0.6, 0.8], [0.6, 0.8], [0.8, 0.6], [0.6, 0.8]])
    assert semdedup(vectors, np.array([0, 0, 0, 1]), vectors[[0, 1]], 0.0).tolist() == [0, 2, 3]
    with pytest.raises(SchemaError):
        semdedup(vectors, np.zeros(3, int), vectors[:1], 0.1)


def test_linking_is_connected_components():
    generator = np.random.default_rng(4)
    images, texts = generator.normal(size=(2, 80, 3))
    images, texts = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (images, texts))
    mixed = 0.4 * images + 0.6 * texts
    mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    near = mixed @ mixed.T >= 1 - 0.02
    reach = np.linalg.matrix_power(near.astype(float) + np.eye(80), 80) > 0
    labels = link_pooled(images, texts, 0.4, 0.02)
    assert 5 < len(set(labels)) < 75
    assert np.array_equal(labels[:, None] == labels, reach)
