"""Pairs of vectors at or above a cosine, found within cells: what one cell does, and which cells must be visited."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from curation.vectors import exact_cosine

ROUNDING = 2.0**-24  # of a float32 product of d unit numbers the error is below 2 d of these
SLACK = 1e-4  # of a bound on an angle or a distance: 100 times what float32 makes of unit vectors
QUERIES = 512  # rows compared at once: with 20,000 equal rows they find 10 million neighbours
NEIGHBOURS = 64  # assumption: of so many better neighbours one stays; bounds the edges of a cluster, else n^2 / 2


class Edges(NamedTuple):
    """Pairs of rows: the better is the smaller number. int64, int64, and cosine float64, each (n,)."""

    better: np.ndarray
    worse: np.ndarray
    cosine: np.ndarray


def cell_edges(vectors: np.ndarray, home: np.ndarray, threshold: float) -> Iterator[Edges]:
    """Pairs of rows with cosine >= threshold, rows in order of preference, of which at least one is at `home` (bool).

    A range search, not limited to so many nearest: but of the better neighbours of a row only the best NEIGHBOURS are
    told. What a float32 product cannot decide is summed in float64, pair by pair, so that no pair depends on another.
    Work: every home row once with every better row, every visitor with every better home row.
    """
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    at_home = np.flatnonzero(home)
    homes = np.ascontiguousarray(unit[at_home])
    for start in range(0, len(unit), QUERIES):
        rows = np.arange(start, min(start + QUERIES, len(unit)))
        found = [_above(unit, rows[home[rows]], unit[: rows[-1] + 1], None, threshold)]
        before = np.searchsorted(at_home, rows[-1], "right")
        found.append(_above(unit, rows[~home[rows]], homes[:before], at_home, threshold))
        better, worse = (np.concatenate(each) for each in zip(*found))
        yield _exact(vectors, better, worse, threshold)


def _above(
    unit: np.ndarray, rows: np.ndarray, others: np.ndarray, names: np.ndarray | None, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """(better, worse) of the rows with the others whose product may be at the threshold; `names` of the others."""
    if not len(rows) or not len(others):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    products = inner_products(unit[rows], others)
    flat = np.flatnonzero(products >= threshold - _margin(unit))
    worse, better = rows[flat // len(others)], flat % len(others)
    better = better if names is None else names[better]
    earlier = better < worse
    return better[earlier], worse[earlier]


def inner_products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """left @ right.T in float32; on the GPU where this faiss was built for one and sees one."""
    import faiss

    if faiss.get_num_gpus():
        resources = faiss.StandardGpuResources()
        return faiss.pairwise_distance_gpu(resources, left, right, metric=faiss.METRIC_INNER_PRODUCT)
    return left @ right.T


def _margin(unit: np.ndarray) -> float:
    return 2 * unit.shape[1] * ROUNDING


def _exact(vectors: np.ndarray, better: np.ndarray, worse: np.ndarray, threshold: float) -> Edges:
    """Those of the candidates that are at the threshold, the best NEIGHBOURS of each worse one."""
    order = np.lexsort((better, worse))
    better, worse = better[order], worse[order]
    cosine = np.empty(len(better))
    for start in range(0, len(better), 1 << 14):  # 16,384 pairs of 512 numbers: 128 MB in float64
        part = slice(start, start + (1 << 14))
        cosine[part] = exact_cosine(vectors[better[part]], vectors[worse[part]])
    near = cosine >= threshold
    better, worse, cosine = better[near], worse[near], cosine[near]
    few = np.arange(len(worse)) - np.searchsorted(worse, worse) < NEIGHBOURS
    return Edges(better[few], worse[few], cosine[few])


def visited_cells(
    cosines: np.ndarray, cells: np.ndarray, centroids: np.ndarray, radii: np.ndarray, threshold: float
) -> np.ndarray:
    """Which of its listed cells a unit vector must visit, bool (n, m); the first of each row, its home, is false.

    `cosines`, `cells` (n, m): the vector's nearest cells, nearest first; `radii` (k, 2): the least and greatest angle
    between a centroid and a vector at home there. A cell c is left out only where no vector at home there can be within
    the angle arccos(threshold) = w of x: where angle(x, c) > greatest + w or < least - w (triangle inequality on the
    sphere), or where x lies farther than |x - y| = sqrt(2 - 2 threshold) from the plane between its own centroid a and
    c, on whose other side y lies: x (a - c) / |a - c|. So if all cells are listed, no pair is missed.
    """
    reach = np.arccos(np.clip(threshold, -1, 1)) + SLACK
    angles = np.arccos(np.clip(cosines, -1, 1))
    inside = (angles <= radii[cells, 1] + reach) & (angles >= radii[cells, 0] - reach)
    between = np.sqrt(np.maximum(2 - 2 * _between(centroids, cells), 0))
    over = cosines[:, :1] - cosines <= (np.sqrt(max(2 - 2 * threshold, 0)) + SLACK) * between + SLACK
    must = inside & over
    must[:, 0] = False
    return must


def _between(centroids: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Cosine (n, m) of each row's first centroid with its others; of all with all only where all are listed."""
    if cells.shape[1] == len(centroids):
        return (centroids @ centroids.T)[cells[:, :1], cells]
    homes = centroids[cells[:, 0]]
    return np.stack([(homes * centroids[column]).sum(axis=1) for column in cells.T], axis=1)


def all_near(left: np.ndarray, right: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """(row of left, row of right), int64, of all pairs with cosine >= threshold, decided in float64: the exact answer.

    >>> [rows.tolist() for rows in all_near(np.eye(2), np.array([[0.0, 2.0], [1.0, 1.0]]), 0.7)]
    [[0, 1, 1], [1, 0, 1]]
    """
    one, other = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (left, right))
    rows, columns = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for start in range(0, len(one), QUERIES):
        products = inner_products(np.asarray(one[start : start + QUERIES], np.float32), np.asarray(other, np.float32))
        row, column = np.nonzero(products >= threshold - _margin(one))
        sure = exact_cosine(left[start + row], right[column]) >= threshold
        rows.append(start + row[sure])
        columns.append(column[sure])
    return np.concatenate(rows), np.concatenate(columns)
