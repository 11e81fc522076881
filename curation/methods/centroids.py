"""The centroid of each vector by inner product, decided exactly."""

import numpy as np

from curation.errors import SchemaError

BLOCK = 4096  # centroids at once: a product of 1,024 rows is 16 MB
# Of a float32 product of d numbers the error is below d 2^-24 |x||c|; what is closer to the best is computed exactly.
ROUNDING = 2.0**-24


def nearest_centroids(vectors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Number of the row of `centroids` (k, d) with the largest inner product with each of `vectors`, int64, shape (n,).

    Vectors and centroids as they are, not normalised; the first of equal ones. A vector's number depends on neither its
    neighbours nor the order of sums: what float32 cannot tell apart is summed in float64 in one order. SchemaError
    where sizes differ or there is no centroid. DataComp's image-based filter (arXiv:2304.14108, appendix) assigns by
    inner product, not by distance.

    >>> nearest_centroids(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.9, 0.0], [5.0, 0.1], [0.0, 1.0]])).tolist()
    [1, 2]
    """
    vectors = np.ascontiguousarray(vectors, np.float32)
    if not len(centroids) or centroids.shape[1] != vectors.shape[1]:
        raise SchemaError(f"centroids of shape {centroids.shape} for vectors of {vectors.shape[1]} numbers")
    best = np.full(len(vectors), -np.inf, np.float32)
    longest = 0.0
    reach = 4 * vectors.shape[1] * ROUNDING * np.linalg.norm(vectors, axis=1)
    rows, places = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for start in range(0, len(centroids), BLOCK):
        block = np.ascontiguousarray(centroids[start : start + BLOCK], np.float32)
        scores = vectors @ block.T
        longest = max(longest, np.sqrt((block * block).sum(axis=1).max()))
        best = np.maximum(best, scores.max(axis=1))
        row, place = np.nonzero(scores >= (best - reach * longest)[:, None])
        rows.append(row)
        places.append(place + start)
    return _decided(vectors, centroids, np.concatenate(rows), np.concatenate(places))


def _decided(vectors: np.ndarray, centroids: np.ndarray, rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The best of the candidates (row, place), places ascending for each row."""
    exact = np.empty(len(rows), np.float64)
    for start in range(0, len(rows), BLOCK):
        which = slice(start, start + BLOCK)
        chosen = np.asarray(centroids[places[which]], np.float64)
        exact[which] = (vectors[rows[which]].astype(np.float64) * chosen).sum(axis=1)
    order = np.lexsort((places, -exact, rows))
    first = np.unique(rows[order], return_index=True)[1]
    return places[order][first]
