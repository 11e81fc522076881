"""Near-duplicate pictures by embedding: found inside k-means cells with faiss, one representative kept."""

from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from curation.schema import VERDICT, Column
from curation.stage import cached, stage, verdict

CELL_IMAGES = 2000  # aim per cell: a cell is one small matrix product, its cost grows with the square
SAMPLE_PER_CELL = 64  # assumption: enough for k-means cells of similar size; faiss itself warns below 39
MARGIN = 1e-5  # faiss's score depends on its batch, by some 1e-7; what is this close is rescored pair by pair
QUERIES = 256  # searched at once: in a cell of 20,000 equal pictures they find 5 million neighbours
NEIGHBOURS = 64  # assumption: of so many better neighbours one stays; bounds the edges of a cluster, else n^2 / 2
GROUPS = (
    Column("image_id", pa.string(), "the duplicate that was dropped"),
    Column("representative", pa.string(), "the image that stays for it"),
    Column("similarity", pa.float64(), "cosine of the two embeddings"),
)
READS = ["uid", "image_id", "image_embedding", "image_embedding__error", "image_width_px", "image_height_px"]
EDGE_DDL = "better string, worse string, similarity double"


@stage(output=VERDICT.columns, tables={"duplicates": GROUPS}, version=2, pairs=READS)
def dedup_embeddings(
    pairs: Any,
    *,
    threshold: Annotated[float, Field(gt=-1, le=1)] = 0.95,
    assignments: Annotated[int, Field(ge=1)] = 4,
    seed: int = 0,
) -> Any:
    """Drop pictures whose embedding has cosine >= THRESHOLD with that of a kept one (`duplicate_image`).

    The one with more pixels stays, then the smaller image_id; every dropped picture has a kept representative
    (drop_value; side table `duplicates`). All captions of a picture share its fate. Each vector is compared within its
    ASSIGNMENTS nearest k-means cells, so a pair in no common cell is missed: cells are trained on a keyed sample and
    the result depends on neither order nor partitions. After SemDeDup (arXiv:2303.09540) §3, but with representatives.
    A picture without an embedding is dropped with that reason, as is one whose embedding is zero, not finite, or of
    another size than most.
    """
    from pyspark.sql import functions as F

    embedded = pairs.where("image_embedding is not null")
    pixels = F.max(F.coalesce(F.col("image_width_px").cast("long") * F.col("image_height_px"), F.lit(0)))
    images = embedded.groupBy("image_id").agg(F.min("image_embedding").alias("vector"), pixels.alias("pixels"))
    images = cached(images.mapInArrow(_marking, "image_id string, vector binary, pixels long, fault string"))
    best = F.min_by("image_id", F.struct(-F.col("pixels"), "image_id")).alias("image_id")
    distinct = images.where("fault is null").groupBy("vector").agg(best, F.max("pixels").alias("pixels"))
    distinct = cached(distinct.withColumn("size", F.length("vector")))
    counts = {r.size: r["count"] for r in distinct.groupBy("size").count().collect()}
    size = max(counts, key=lambda size: (counts[size], size), default=0)
    other_size = F.format_string(f"has %d bytes, wanted {size}", F.length("vector"))
    images = images.withColumn("fault", F.coalesce("fault", F.when(F.length("vector") != size, other_size)))
    distinct = distinct.where(F.col("size") == size).drop("size")
    edges = _edges(distinct, counts.get(size, 0), threshold, assignments, seed)
    duplicates = cached(_with_equals(_equal(images.where("fault is null"), distinct), _greedy(edges)))
    none = F.lit(None).cast("string")
    gone = duplicates.select("image_id", "representative", none.alias("fault")).unionByName(
        images.where("fault is not null").select("image_id", none.alias("representative"), "fault")
    )
    marked = pairs.join(gone, "image_id", "left")
    reason = F.when(F.col("image_embedding").isNull(), F.lit("image_embedding is null"))
    reason = reason.when(F.col("fault").isNotNull(), F.concat(F.lit("image_embedding "), "fault"))
    reason = reason.when(F.col("representative").isNotNull(), F.lit("duplicate_image"))
    return verdict(marked, reason, F.coalesce("representative", "image_embedding__error")), {"duplicates": duplicates}


def _marking(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Why a picture's vector is none, null where it is one; whether its size is that of the others shows later."""
    from curation.vectors import vector_faults

    for batch in batches:
        fault = vector_faults(batch.column("vector"))
        yield pa.RecordBatch.from_arrays([*batch.columns, fault], names=[*batch.schema.names, "fault"])


def _equal(images: Any, distinct: Any) -> Any:
    """Pictures whose vector is that of another one, which stands for it."""
    from pyspark.sql import functions as F

    same = images.join(distinct.select("vector", F.col("image_id").alias("representative")), "vector")
    one = F.lit(1.0).alias("similarity")
    return same.where("image_id != representative").select("image_id", "representative", one)


def _with_equals(equal: Any, near: Any) -> Any:
    """Pictures equal to one that a near-duplicate replaces get that one's representative."""
    from pyspark.sql import functions as F

    further = near.select(F.col("image_id").alias("representative"), F.col("representative").alias("_of"), "similarity")
    moved = equal.drop("similarity").join(further, "representative", "left")
    kept = F.coalesce("_of", "representative").alias("representative")
    return near.unionByName(moved.select("image_id", kept, F.coalesce("similarity", F.lit(1.0)).alias("similarity")))


def _edges(images: Any, count: int, threshold: float, assignments: int, seed: int) -> Any:
    """(better, worse, similarity) of pairs at or above the threshold that share a cell, each once."""
    from pyspark.sql import functions as F

    cells = max(1, -(-count // CELL_IMAGES)) if count > 2 * CELL_IMAGES else 1
    if cells == 1:
        celled = images.withColumn("cell", F.lit(0))
    else:
        sample = images.orderBy(F.xxhash64(F.lit(seed), "image_id"), "image_id").limit(cells * SAMPLE_PER_CELL)
        centroids = _train([bytes(r.vector) for r in sample.select("vector").collect()], cells, seed)
        shared = images.sparkSession.sparkContext.broadcast(centroids)
        ddl = "vector binary, image_id string, pixels long, cell int"
        celled = images.mapInArrow(_assigning(shared, min(assignments, cells)), ddl)
    laid = celled.repartitionById(cells, "cell").sortWithinPartitions("cell", F.desc("pixels"), "image_id")
    return laid.mapInArrow(_searching(threshold), EDGE_DDL).distinct()


def _train(vectors: list[bytes], cells: int, seed: int) -> np.ndarray:
    import faiss

    faiss.omp_set_num_threads(1)  # sums would differ with the number of cores, and with them the cells
    matrix = np.frombuffer(b"".join(vectors), "<f2").reshape(len(vectors), -1).astype(np.float32)
    kmeans = faiss.Kmeans(matrix.shape[1], cells, niter=20, seed=seed, spherical=True, verbose=False)
    kmeans.train(matrix)
    return kmeans.centroids


def _assigning(centroids: Any, assignments: int) -> Any:
    def assign(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import faiss

        from curation.vectors import as_matrix

        faiss.omp_set_num_threads(1)
        index = faiss.IndexFlatIP(centroids.value.shape[1])
        index.add(centroids.value)
        for batch in batches:
            matrix, _ = as_matrix(batch.column("vector"))
            _, near = index.search(matrix, assignments)
            rows = pa.array(np.repeat(np.arange(batch.num_rows), assignments))
            repeated = batch.select(["vector", "image_id", "pixels"]).take(rows)
            columns = [*repeated.columns, pa.array(near.reshape(-1).astype(np.int32))]
            yield pa.RecordBatch.from_arrays(columns, names=["vector", "image_id", "pixels", "cell"])

    return assign


def _searching(threshold: float) -> Any:
    def search(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from curation.tables import grouped

        for _, run in grouped(batches, "cell"):
            yield from _cell_edges(pa.Table.from_batches(list(run)), threshold)

    return search


def _cell_edges(cell: pa.Table, threshold: float) -> Iterator[pa.RecordBatch]:
    """Edges inside one cell, whose rows come best first; cosines recomputed pairwise where a batch could decide.

    Of the better neighbours of a picture the best NEIGHBOURS are given.
    """
    import faiss

    from curation.vectors import as_matrix, exact_cosine

    faiss.omp_set_num_threads(1)
    vectors, _ = as_matrix(cell["vector"].combine_chunks())
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    index = faiss.IndexFlatIP(unit.shape[1])
    index.add(unit)
    names = cell["image_id"].combine_chunks()
    for start in range(0, len(unit), QUERIES):
        limits, scores, found = index.range_search(unit[start : start + QUERIES], threshold - MARGIN)
        worse = start + np.repeat(np.arange(len(limits) - 1), np.diff(limits).astype(np.int64))
        order = np.lexsort((found, worse))
        order = order[found[order] < worse[order]]
        better, worse, near = found[order], worse[order], scores[order] >= threshold + MARGIN
        close = np.flatnonzero(~near)
        near[close] = exact_cosine(vectors[better[close]], vectors[worse[close]]) >= threshold
        better, worse = better[near], worse[near]
        best = np.arange(len(worse)) - np.searchsorted(worse, worse) < NEIGHBOURS
        better, worse = better[best], worse[best]
        columns = [names.take(pa.array(better)), names.take(pa.array(worse))]
        columns.append(pa.array(exact_cosine(vectors[better], vectors[worse])))
        yield pa.RecordBatch.from_arrays(columns, names=["better", "worse", "similarity"])


def _greedy(edges: Any) -> Any:
    """image_id, representative, similarity of the pictures that go, taking pictures best first.

    A picture goes if a better one that stays is near. Each round decides all whose better neighbours are decided, so
    the rounds are as many as the longest such chain: few.
    """
    from pyspark.sql import functions as F

    active = edges.localCheckpoint()
    names = [F.col("worse").alias("image_id"), F.col("better").alias("representative"), "similarity"]
    dropped = active.limit(0).select(*names)
    while not active.isEmpty():
        worse = active.select("worse").distinct()
        kept = active.select("better").distinct().join(worse, F.col("better") == F.col("worse"), "left_anti")
        hits = active.join(kept, "better")
        nearest = F.max_by("better", F.struct("similarity", "better")).alias("representative")
        gone = hits.groupBy(F.col("worse").alias("image_id")).agg(nearest, F.max("similarity").alias("similarity"))
        gone = gone.localCheckpoint()
        dropped = dropped.unionByName(gone)
        out = gone.select("image_id")
        active = active.join(out, F.col("worse") == F.col("image_id"), "left_anti")
        active = active.join(out, F.col("better") == F.col("image_id"), "left_anti").localCheckpoint()
    return dropped
