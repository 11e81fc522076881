"""Vectors of a pool's pictures as .npy, and k-means' centroids of them: what select_clusters reads."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from curation.clusters import kmeans
from curation.errors import RecipeError, StaleOutputError
from curation.files import absolute, committing, exists
from curation.graph import Graph
from curation.rows import Rows, SideTable

ITERATIONS = 20  # DataComp (arXiv:2304.14108, appendix), as is the k-means of faiss itself
PER_CENTROID = 256  # pictures trained on at most: the default of faiss
ROWS = 1 << 14  # written at once

Kind = Literal["image_embedding", "image_features"]


def vectors(
    pool: str,
    file: str,
    *,
    signal: Kind = "image_embedding",
    clip: str = "sample-clip",
    centroids: int | None = None,
    sample: int | None = None,
    seed: int = 0,
    store: str | None = None,
) -> dict[str, Any]:
    """Write the vector of each different picture of POOL to FILE, a .npy of float16 (n, d), in the order of image_id.

    POOL is a pool, or the folder of a stage table, whose kept pairs are meant. SIGNAL by the model CLIP, computed where
    the store has none. SAMPLE of them by keyed hash, where there are more. With CENTROIDS, so many centroids of k-means
    over them instead, float32 (k, d): faiss, 20 iterations, which itself trains on 256 pictures per centroid at most.
    For DataComp's image-based filter (recipe datacomp_image): targets from a pool of ImageNet's pictures, 100,000
    centroids from the pairs of the pool that the caption filter keeps, a stage table.
    """
    from curation.session import spark_session

    if min(centroids or 1, sample or 1) < 1:
        raise RecipeError(f"vectors: centroids {centroids}, sample {sample}; wanted numbers of at least 1")
    if exists(file):
        raise StaleOutputError(f"{file} exists: name another file")
    rows = _rows(pool, clip, store)
    pictures = _pictures(rows.select(spark_session(rows.count), ["image_id", signal]), signal, sample, seed)
    count = pictures.count()
    if count < (centroids or 1):
        raise RecipeError(f"{pool}: {count} pictures with {signal}, wanted at least {centroids or 1}")
    size = len(pictures.first().vector) // 2
    if not centroids:
        _write(file, "<f2", (count, size), _chunks(pictures))
        return {"file": file, "vectors": count, "dimensions": size}
    matrix = np.frombuffer(b"".join(_chunks(pictures)), "<f2").reshape(count, size)
    found = kmeans(matrix, centroids, seed, ITERATIONS, per_cell=PER_CENTROID)
    _write(file, "<f4", (centroids, size), [found.astype("<f4").tobytes()])
    return {"file": file, "vectors": centroids, "dimensions": size, "trained_on": count}


def _rows(pool: str, clip: str, store: str | None) -> Rows:
    from curation.single import open_table

    rows = open_table(pool)
    if isinstance(rows, SideTable):
        raise RecipeError(f"{pool} is a side table; wanted a pool or a stage table")
    return Rows(rows.pool, absolute(store) if store else rows.store, Graph({"clip": clip}), rows.chain)


def _pictures(frame: Any, signal: str, sample: int | None, seed: int) -> Any:
    """image_id and `vector` of each different picture that has one, by image_id."""
    from pyspark.sql import functions as F

    pictures = frame.where(F.col(signal).isNotNull()).groupBy("image_id").agg(F.min(signal).alias("vector"))
    if sample is not None:
        pictures = pictures.orderBy(F.xxhash64(F.lit(seed), "image_id"), "image_id").limit(sample)
    return pictures.orderBy("image_id").cache()


def _chunks(pictures: Any) -> Iterator[bytes]:
    chunk: list[bytes] = []
    for row in pictures.select("vector").toLocalIterator(prefetchPartitions=True):
        chunk.append(bytes(row.vector))
        if len(chunk) == ROWS:
            yield b"".join(chunk)
            chunk.clear()
    yield b"".join(chunk)


def _write(file: str, kind: str, shape: tuple[int, int], chunks: Any) -> None:
    with committing(absolute(file)) as opened:
        header = {"descr": kind, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(opened, header)
        for chunk in chunks:
            opened.write(chunk)
