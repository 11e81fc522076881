"""Spherical k-means over a frame of vectors, with faiss on a keyed sample: the same cells for the same rows."""

from typing import Any

import numpy as np

SAMPLE_PER_CELL = 64  # assumption: enough for k-means cells of similar size; faiss itself warns below 39
ITERATIONS = 20  # assumption: cells of an index; clusters that are a result want more (SemDeDup: 100)


def trained_cells(
    frame: Any, cells: int, seed: int, key: str = "image_id", vector: str = "vector", per_cell: int = SAMPLE_PER_CELL
) -> np.ndarray:
    """Unit centroids, float32 (cells, d), of the frame's `vector` (binary, all of one size, none zero).

    Trained on cells * per_cell rows drawn by a keyed hash of the unique `key`, so order and partitions change nothing;
    the sample is all that comes to the driver. Fewer centroids where the frame has fewer rows.
    """
    from pyspark.sql import functions as F

    drawn = frame.select(key, vector).orderBy(F.xxhash64(F.lit(seed), key), key).limit(cells * per_cell)
    rows = [bytes(row[0]) for row in drawn.select(vector).collect()]
    matrix = np.frombuffer(b"".join(rows), "<f2").reshape(len(rows), -1).astype(np.float32)
    return spherical_kmeans(matrix, min(cells, len(rows)), seed)


def spherical_kmeans(
    vectors: np.ndarray, cells: int, seed: int, iterations: int = ITERATIONS, per_cell: int | None = None
) -> np.ndarray:
    """Unit centroids, float32 (cells, d), of the directions of `vectors` (n, d), n >= cells; depends on their order.

    `per_cell`: faiss trains on so many of them a cell at most, by default on all.
    """
    import faiss

    faiss.omp_set_num_threads(1)  # sums would differ with the number of cores, and with them the cells
    unit = unit_rows(vectors)
    most = per_cell or max(1, -(-len(unit) // cells))
    kmeans = faiss.Kmeans(
        unit.shape[1], cells, niter=iterations, seed=seed, spherical=True, verbose=False, max_points_per_centroid=most
    )
    kmeans.cp.min_points_per_centroid = 1  # no warning for small samples
    kmeans.train(unit)
    return unit_rows(kmeans.centroids)


def nearest_cells(unit: np.ndarray, centroids: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(cosine float32, cell int64), each (n, count), of the `count` nearest cells of unit vectors, nearest first."""
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(centroids.shape[1])
    index.add(np.ascontiguousarray(centroids, np.float32))
    return index.search(np.ascontiguousarray(unit, np.float32), min(count, len(centroids)))


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1, float32; none may be zero."""
    rows = np.asarray(vectors, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
