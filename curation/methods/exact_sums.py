"""Sums over vectors that no order of the rows and no cut into parts changes: of whole numbers, which stay exact."""

from typing import NamedTuple

import numpy as np

BITS = 17  # of a number beside its sign: of float16's 11 significant ones all are there down to 2^-6 of the largest
ROWS = 1 << 18  # products of 2 * 17 bits, so many of them, stay below 2^53: exact in float64 in any order
MAX_ROWS = 1 << 28  # and so many below 2^62: exact in int64
UNIT_BITS = 30  # of a number of a vector of unit length; 2^33 of them fit int64


class Sums(NamedTuple):
    """`count` rows; their sum (d,) and the sum of their outer products (d, d), int64, in units of 2^(exponent - 17) and
    its square; the sum of their unit vectors (d,), int64, in units of 2^-30.
    """

    count: int
    total: np.ndarray
    products: np.ndarray
    directions: np.ndarray


def exponent(largest: float) -> int:
    """The least power of two that no number of a set exceeds in size."""
    return int(np.ceil(np.log2(largest)))


def sums(x: np.ndarray, exponent: int) -> Sums:
    """Sums over the rows of `x` (n, d), finite and not zero, none of whose numbers exceeds 2^exponent in size."""
    x = np.asarray(x, np.float64)
    units = np.rint(x * 2.0 ** (BITS - exponent))
    products = np.zeros((x.shape[1],) * 2, np.int64)
    for start in range(0, len(x), ROWS):
        block = units[start : start + ROWS]
        products += (block.T @ block).astype(np.int64)
    directions = np.rint(unit_rows(x) * 2.0**UNIT_BITS).astype(np.int64).sum(axis=0)
    return Sums(len(x), units.astype(np.int64).sum(axis=0), products, directions)


def added(one: Sums | None, other: Sums) -> Sums:
    """The sums over the rows of both."""
    return other if one is None else Sums(*(a + b for a, b in zip(one, other)))


def unit_rows(x: np.ndarray) -> np.ndarray:
    """The rows of `x` (n, d) at unit length, float64; NaN for a row of zeros."""
    x = np.asarray(x, np.float64)
    with np.errstate(invalid="ignore"):
        return x / np.sqrt((x * x).sum(axis=1, keepdims=True))


def mean_and_covariance(found: Sums, exponent: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean (d,) and unbiased covariance (d, d) of the rows that were summed, float64; there must be at least two."""
    unit = 2.0 ** (exponent - BITS)
    total = found.total.astype(np.float64)
    spread = found.products - np.outer(total, total) / found.count
    return total / found.count * unit, spread / (found.count - 1) * unit * unit
