"""MoDE's routing: the recorded runs; nearest centres by distance."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import SchemaError
from curation.methods import nearest_centres, route_experts
from curation.methods.routing import routing


def test_weights_of_the_reference(shared):
    oracle = json.loads((shared / "oracles" / "mode_routing_small.json").read_text())
    centres, groups = np.array(oracle["fine_centres"]), np.array(oracle["coarse_assignment"])
    for case in oracle["cases"]:
        task = np.array(case["task_embeddings"])
        found = routing(task, centres, groups)
        assert found.nearest.tolist() == case["nearest_fine"]
        np.testing.assert_allclose(found.distance, case["distance"], atol=1e-9)
        np.testing.assert_allclose(found.raw_weight, case["raw_weight"], atol=1e-9)
        np.testing.assert_allclose(route_experts(task, centres, groups), case["expert_weight"], atol=1e-9)


def test_sharpness_grows_with_the_classes():
    centres, groups = np.array([[0.0], [3.0]]), np.array([0, 1])
    for count, factor in ((9, 5.0), (10, 5.0), (210, 5.0), (250, 5 * np.log10(50))):
        start = np.exp(0.5 - np.sqrt(count)) if count < 10 else 0.0
        raw = routing(np.full((count, 1), 0.25), centres, groups).raw_weight
        np.testing.assert_allclose(raw, [count * np.exp((start - 0.25) * factor), 0])


def test_many_classes_do_not_overflow_and_bad_arrays_are_refused():
    weights = route_experts(np.zeros((100_000, 1)), np.array([[0.0], [1.0]]), np.array([0, 1]))
    assert weights.tolist() == [1.0, 0.0]
    for task, groups in ((np.zeros((0, 1)), [0, 1]), (np.zeros((1, 1)), [0]), (np.zeros((1, 1)), [0, -1])):
        with pytest.raises(SchemaError, match="route_experts"):
            route_experts(task, np.array([[0.0], [1.0]]), np.array(groups))


@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 20), st.integers(1, 8))
def test_the_nearest_is_the_one_at_least_distance(seed, n, k, d):
    random = np.random.default_rng(seed)
    vectors, centres = random.normal(size=(n, d)).astype("f4"), random.normal(size=(k, d)) * random.uniform(0.1, 9)
    wanted = ((vectors.astype("f8")[:, None] - centres[None]) ** 2).sum(2).argmin(1)
    assert nearest_centres(vectors, centres).tolist() == wanted.tolist()
