"""How likely vectors are under a Gaussian fit to a reference set, and how like the others they are."""

from typing import NamedTuple

import numpy as np

from curation.errors import SchemaError

FLOOR = 1e-6  # of the largest eigenvalue; ours, where the paper's code overwrites correlated dimensions with noise


class Whitening(NamedTuple):
    """Mean (d,) and whitening matrix (d, d), both float64: (x - mean) @ matrix has unit covariance on the fit set."""

    mean: np.ndarray
    matrix: np.ndarray


def whiten_fit(x: np.ndarray) -> Whitening:
    """Mean and whitening matrix of the rows of `x` (n, d), raw vectors, not normalised; SchemaError for n < 2.

    Rows that are not finite do not count. The covariance is the unbiased one; eigenvalues below 1e-6 of the largest are
    raised to that, so that dimensions that depend on each other do not make everything unlikely. Whitened CLIP
    (arXiv:2505.06934), section 3.
    """
    x = _matrix(x, 0, "whiten_fit")
    x = _matrix(x[np.isfinite(x).all(axis=1)], 2, "whiten_fit")
    return whitening(x.mean(axis=0), np.atleast_2d(np.cov(x, rowvar=False)))


def whitening(mean: np.ndarray, covariance: np.ndarray) -> Whitening:
    """The whitening of a mean (d,) and a covariance (d, d), as `whiten_fit`; not finite where nothing varies."""
    values, vectors = np.linalg.eigh(covariance)
    with np.errstate(divide="ignore", invalid="ignore"):
        return Whitening(mean, vectors / np.sqrt(np.maximum(values, FLOOR * values.max())))


def whiten_loglik(x: np.ndarray, fit: Whitening) -> np.ndarray:
    """Log-likelihood of each row of `x` (n, d) under the fit, float64, shape (n,): -(d ln 2 pi + ||w||^2) / 2.

    The determinant is left out, as published, so values compare within one fit only. NaN for a row that is not finite.
    Whitened CLIP (arXiv:2505.06934), equation 5.

    >>> whiten_loglik(np.array([[0.0]]), whiten_fit(np.array([[0.0], [2.0]]))).round(3).tolist()
    [-1.169]
    """
    x = _matrix(x, 0, "whiten_loglik")
    whitened = (x - fit.mean) @ fit.matrix
    return -0.5 * (x.shape[1] * np.log(2 * np.pi) + (whitened**2).sum(axis=1))


def conformity(x: np.ndarray) -> np.ndarray:
    """Mean cosine of each row of `x` (n, d) to all other rows, float64, shape (n,), -1 to 1: how common it looks.

    By the identity mean cosine = ||m|| cos(u, m), m being the mean of the unit vectors, so nothing is quadratic.
    SchemaError for n < 2; a row that is zero or not finite is NaN and does not count. "The Double-Ellipsoid Geometry of
    CLIP" (arXiv:2411.14517), section 4.

    >>> conformity(np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 0.0]])).round(6).tolist()
    [0.5, 0.0, 0.5]
    """
    x = _matrix(x, 2, "conformity")
    with np.errstate(invalid="ignore"):
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    counted = ~np.isnan(unit).any(axis=1)
    return conformity_to(unit, unit[counted].sum(axis=0), counted.sum(), np.ones(len(unit)))


def conformity_to(unit: np.ndarray, total: np.ndarray, n: int, own: np.ndarray) -> np.ndarray:
    """`conformity` of rows of unit length (m, d) to `n` others, of which `total` (d,) is the sum.

    `own` (m,): 1 where the row is one of the n itself, which then does not count, else 0.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return ((unit * total).sum(axis=1) - own) / (n - own)


def _matrix(x: np.ndarray, least: int, where: str) -> np.ndarray:
    x = np.asarray(x, np.float64)
    if x.ndim != 2 or len(x) < least:
        raise SchemaError(f"{where}: array of shape {x.shape}, wanted at least {least} rows of numbers")
    return x
