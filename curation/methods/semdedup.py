"""SemDeDup: near-duplicates inside clusters, by arithmetic on arrays."""

from typing import Literal

import numpy as np

from curation.errors import SchemaError


def semdedup(
    vectors: np.ndarray,
    assignment: np.ndarray,
    centroids: np.ndarray,
    eps: float,
    keep: Literal["hard", "easy"] = "hard",
    mode: Literal["transitive", "representative"] = "transitive",
) -> np.ndarray:
    """Numbers of the rows that stay, int64, ascending, of unit vectors (n, d) that lie in cluster `assignment` (n,).

    In each cluster rows are taken by distance 1 - x c from the centroid, the farthest first (`hard`) or the nearest
    (`easy`), ties by row. One goes where its greatest cosine with an earlier row is above 1 - eps: whether or not that
    row stays (`transitive`, as published), or with one that stays (`representative`, so that each that goes has one).
    At eps = 0 only equal vectors go. SchemaError where sizes differ. SemDeDup (arXiv:2303.09540), section 3 and
    appendix A; published clusters are 50,000 for 440 million pictures.

    >>> chain = np.array([[np.cos(a), np.sin(a)] for a in (0.0, 0.245, 0.49)])   # cosines .97, .97, .88
    >>> ends = [semdedup(chain, np.zeros(3, int), chain[:1], 0.05, "easy", m) for m in ("transitive", "representative")]
    >>> [rows.tolist() for rows in ends]
    [[0], [0, 2]]
    """
    vectors, centroids = np.asarray(vectors, np.float64), np.asarray(centroids, np.float64)
    assignment = np.asarray(assignment, np.int64)
    if len(vectors) != len(assignment) or vectors.shape[1:] != centroids.shape[1:]:
        raise SchemaError(f"vectors {vectors.shape}, assignment {assignment.shape}, centroids {centroids.shape}")
    if keep not in ("hard", "easy") or mode not in ("transitive", "representative"):
        raise ValueError(f"keep {keep!r}, mode {mode!r}; wanted hard or easy, transitive or representative")
    stays = np.ones(len(vectors), bool)
    for cluster in np.unique(assignment):
        rows = np.flatnonzero(assignment == cluster)
        distance = 1 - (vectors[rows] * centroids[cluster]).sum(axis=1)
        rows = rows[np.argsort(-distance if keep == "hard" else distance, kind="stable")]
        stays[rows] = _stay(vectors[rows], eps, mode)
    return np.flatnonzero(stays)


def _stay(rows: np.ndarray, eps: float, mode: str) -> np.ndarray:
    """Which rows of a cluster, in order, stay; a row at a time, so that memory is flat."""
    stays = np.ones(len(rows), bool)
    for number in range(1, len(rows)):
        earlier = rows[:number] if mode == "transitive" else rows[:number][stays[:number]]
        equal = (earlier == rows[number]).all(axis=1)
        stays[number] = not (equal if eps == 0 else (earlier * rows[number]).sum(axis=1) > 1 - eps).any()
    return stays
