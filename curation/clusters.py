"""k-means over vectors with faiss, on a keyed sample of a frame: the same cells for the same rows."""

from typing import Any

import numpy as np

from curation.errors import RecipeError

SAMPLE_PER_CELL = 64  # assumption: enough for k-means cells of similar size; faiss itself warns below 39
LEAST_SAMPLE = 4096  # of few cells more costs nothing
ITERATIONS = 20  # assumption: cells of an index; clusters that are a result want more (SemDeDup: 100)
SPARE = 8  # assumption: fewer cells than this are as near as one another, to six digits
EXACT_PAIRS = 1 << 14  # summed at once: of 512 numbers 64 MB in float64
ROUNDING = 2.0**-24  # of a float32 product of d unit numbers the error is below 2 d of these


def trained_cells(
    frame: Any, cells: int, seed: int, key: str = "image_id", vector: str = "vector", per_cell: int = SAMPLE_PER_CELL
) -> np.ndarray:
    """Unit centroids, float32 (cells, d), of the frame's `vector` (binary, all of one size, none zero).

    Trained on cells * per_cell rows, at least LEAST_SAMPLE, drawn by a keyed hash of the unique `key`: order and
    partitions change nothing. The sample is all that comes to the driver. Fewer centroids where there are fewer rows.
    """
    from pyspark.sql import functions as F

    size = max(cells * per_cell, LEAST_SAMPLE)
    drawn = frame.select(key, vector).orderBy(F.xxhash64(F.lit(seed), key), key).limit(size)
    rows = [bytes(row[0]) for row in drawn.select(vector).collect()]
    matrix = np.frombuffer(b"".join(rows), "<f2").reshape(len(rows), -1).astype(np.float32)
    return spherical_kmeans(matrix, min(cells, len(rows)), seed)


def spherical_kmeans(vectors: np.ndarray, cells: int, seed: int, iterations: int = ITERATIONS) -> np.ndarray:
    """Unit centroids, float32 (cells, d), of the directions of `vectors` (n, d), n >= cells; depends on their order."""
    return unit_rows(kmeans(unit_rows(vectors), cells, seed, iterations, spherical=True))


def kmeans(
    vectors: np.ndarray,
    cells: int,
    seed: int,
    iterations: int = ITERATIONS,
    spherical: bool = False,
    per_cell: int | None = None,
) -> np.ndarray:
    """Centroids, float32 (cells, d), of `vectors` (n, d), n >= cells; depends on their order.

    Trained on all of them, or on `per_cell` times `cells` that faiss draws. Spherical: for unit vectors.
    """
    import faiss

    faiss.omp_set_num_threads(1)  # sums would differ with the number of cores, and with them the centroids
    vectors = np.ascontiguousarray(vectors, np.float32)
    if cells == len(vectors):
        return vectors
    most = per_cell or -(-len(vectors) // cells)
    found = faiss.Kmeans(
        vectors.shape[1],
        cells,
        niter=iterations,
        seed=seed,
        spherical=spherical,
        verbose=False,
        min_points_per_centroid=1,  # no warning for small samples
        max_points_per_centroid=most,
    )
    found.train(vectors)
    return found.centroids


def check_sizes(stage: str, files: dict[str, int], frame: Any, column: str) -> None:
    """RecipeError unless the vectors of the files (path -> numbers a vector) and some of the frame's are of one size.

    Those of the frame that are of another size are faults of their pairs.
    """
    from pyspark.sql import functions as F

    lengths = frame.select(F.length(F.col(f"`{column}`")).alias("bytes")).where("bytes is not null").distinct()
    found = sorted(row.bytes // 2 for row in lengths.collect())
    if len(set(files.values())) > 1 or (found and not set(files.values()) <= set(found)):
        sizes = files | {column: ", ".join(map(str, found))}
        told = "; ".join(f"{name} has vectors of {size} numbers" for name, size in sizes.items() if size != "")
        raise RecipeError(f"{stage}: wanted vectors by one model; {told}")


def nearest_cells(unit: np.ndarray, centroids: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(cosine float32, cell int64), each (n, count), of the `count` nearest cells of unit vectors, nearest first.

    Which is the nearest, and which the `count` nearest, is decided by float64 sums, row by row, where float32, whose
    sums depend on a vector's neighbours, cannot: SPARE further cells are looked at. Ties by number.
    """
    import faiss

    from curation.vectors import exact_cosine

    faiss.omp_set_num_threads(1)
    centroids, count = np.ascontiguousarray(centroids, np.float32), min(count, len(centroids))
    index = faiss.IndexFlatIP(centroids.shape[1])
    index.add(centroids)
    cosines, cells = index.search(np.ascontiguousarray(unit, np.float32), min(count + SPARE, len(centroids)))
    gaps = -np.diff(cosines, axis=1)[:, [0, min(count, cosines.shape[1] - 1) - 1] if len(centroids) > 1 else []]
    close = np.flatnonzero((gaps < 2 * unit.shape[1] * ROUNDING).any(axis=1))
    step = max(1, EXACT_PAIRS // cells.shape[1])
    for rows in (close[start : start + step] for start in range(0, len(close), step)):
        found = cells[rows]
        exact = exact_cosine(np.repeat(unit[rows], found.shape[1], axis=0), centroids[found.reshape(-1)])
        exact = exact.reshape(found.shape)
        order = np.lexsort((found, -exact), axis=1)
        cosines[rows] = np.take_along_axis(exact, order, axis=1)
        cells[rows] = np.take_along_axis(found, order, axis=1)
    return cosines[:, :count], cells[:, :count]


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1, float32; none may be zero."""
    rows = np.asarray(vectors, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
