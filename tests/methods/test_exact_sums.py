"""Sums of vectors: the same bits for any order and any parts, and the mean and covariance that numpy finds."""

import functools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from curation.methods.exact_sums import added, exponent, mean_and_covariance, sums


def test_powers_of_two():
    assert [exponent(x) for x in (0.5, 0.50001, 1.0, 65504.0, 2.0**-24)] == [-1, 0, 0, 16, -24]


@given(st.integers(0, 1000), st.integers(2, 60), st.integers(1, 8), st.floats(1e-3, 1e3))
def test_order_and_parts_change_nothing(seed, n, d, size):
    random = np.random.default_rng(seed)
    x = (random.normal(size=(n, d)) * size).astype("f2").astype("f8") + 2.0**-14
    scale = exponent(np.abs(x).max())
    whole = sums(x, scale)
    parts = np.array_split(random.permutation(x), min(n, 4))
    again = functools.reduce(added, [sums(part, scale) for part in parts], None)
    assert all(np.array_equal(a, b) for a, b in zip(whole, again))
    mean, covariance = mean_and_covariance(whole, scale)
    np.testing.assert_allclose(mean, x.mean(axis=0), atol=2.0 ** (scale - 17))
    np.testing.assert_allclose(covariance, np.atleast_2d(np.cov(x, rowvar=False)), atol=4.0**scale * 2**-14)
    unit = (x / np.linalg.norm(x, axis=1, keepdims=True)).sum(axis=0)
    np.testing.assert_allclose(whole.directions * 2.0**-30, unit, atol=1e-7)


def test_numbers_of_few_bits_are_exact():
    x = np.random.default_rng(0).integers(-1000, 1000, (500, 5)) / 1024.0
    found = sums(x, 0)
    assert np.array_equal(found.products * 2.0**-34, x.T @ x)
