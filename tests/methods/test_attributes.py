"""M4's weights: the worked example, a brute-force check of optimality, and what cannot be."""

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import RecipeError, SchemaError
from curation.methods import attribute_weights

GROUPS = {"s1y1": (1, 1), "s1y0": (1, 0), "s0y1": (0, 1), "s0y0": (0, 0)}


def test_worked_example(shared):
    case = json.loads((shared / "oracles" / "m4_balancing_small.json").read_text())["hand_case"]
    rows = [GROUPS[name] for name, count in case["counts"].items() for _ in range(count)]
    s, y = np.array(rows).T
    found = attribute_weights(s, y, case["pi"], case["eta"], case["eps_R"], case["eps_D"], case["Q"])
    exact = case["weights_by_group_exact"]
    wanted = [float(Fraction(exact[name])) for name, count in case["counts"].items() for _ in range(count)]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def problem(seed, rows, attributes, labels):
    generator = np.random.default_rng(seed)
    s = generator.random((rows, attributes)) < generator.uniform(0.3, 0.7, attributes)
    y = generator.random((rows, labels)) < generator.uniform(0.2, 0.8, labels)
    return s.astype(int), y.astype(int), generator.uniform(0.5, 1.5, rows)


def missed(q, s, y, pi, eta, eps_R, eps_D):
    apart = s - pi
    linked = (apart[:, :, None] * y[:, None, :]).reshape(len(s), -1)
    over = [abs(q.mean() - eta), (np.abs((q[:, None] * apart).mean(0)) - eps_R).max()]
    return max(*over, (np.abs((q[:, None] * linked).mean(0)) - eps_D).max(initial=-1))


@given(st.integers(0, 200))
def test_satisfies_the_constraints_and_no_feasible_neighbour_is_better(seed):
    s, y, utility = problem(seed, 60, 2, 3)
    pi, eta, eps_R, eps_D = np.array([0.5, 0.5]), 0.3, 0.02, 0.02
    q = attribute_weights(s, y, pi, eta, eps_R, eps_D, 1.0, utility=utility)
    assert q.min() >= 0 and q.max() <= 1
    assert missed(q, s, y, pi, eta, eps_R, eps_D) < 1e-7
    # The objective is convex: the optimum of any other objective over the same set is no better in this one.
    for other in range(3):
        away = attribute_weights(s, y, pi, eta, eps_R, eps_D, 1.0, utility=problem(seed + 1 + other, 60, 2, 3)[2])
        gradient = q - eta * utility
        assert gradient @ (away - q) >= -1e-6


@given(st.integers(0, 50))
def test_rows_counted_and_rows_listed_are_the_same(seed):
    s, y, _ = problem(seed, 40, 1, 2)
    groups, place, counts = np.unique(np.hstack([s, y]), axis=0, return_inverse=True, return_counts=True)
    listed = attribute_weights(s, y, 0.5, 0.2, 0.02, 0.05)
    counted = attribute_weights(groups[:, :1], groups[:, 1:], 0.5, 0.2, 0.02, 0.05, counts=counts)
    np.testing.assert_allclose(listed, counted[place.ravel()], atol=1e-7)


def test_without_constraints_that_bind_all_weigh_the_same():
    s, y, _ = problem(1, 50, 2, 2)
    np.testing.assert_allclose(attribute_weights(s, y, 0.5, 0.25, 1, 1), 0.25, atol=1e-9)


def test_more_than_the_rarer_half_twice_is_infeasible_unless_constraints_have_a_price():
    s = np.array([1] * 2 + [0] * 8)
    with pytest.raises(RecipeError, match="no weights satisfy"):
        attribute_weights(s, np.zeros((10, 0)), 0.5, 0.6)
    assert attribute_weights(s, np.zeros((10, 0)), 0.5, 0.4).round(6).tolist() == [1] * 2 + [0.25] * 8
    soft = attribute_weights(s, np.zeros((10, 0)), 0.5, 0.6, V=0.1)
    assert soft.mean() == pytest.approx(0.6) and soft[0] > soft[-1]


def test_no_rows_have_no_weights():
    assert attribute_weights([], [], 0.5, 0.5).shape == attribute_weights(np.zeros((0, 2)), [], 0.5, 0.5).shape == (0,)


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(SchemaError, match="wanted \\(n, k\\) of 0 and 1"):
        attribute_weights([0, 2], [0, 1], 0.5, 0.5)
    with pytest.raises(SchemaError, match="2 rows of s, 3 of y"):
        attribute_weights([0, 1], [0, 1, 1], 0.5, 0.5)
