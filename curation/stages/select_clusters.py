"""DataComp's image-based filter: pictures that lie in a cluster of a picture one wants to be like."""

from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator

from curation.clusters import check_sizes
from curation.methods.centroids import nearest_centroids
from curation.models.centroids import load, vector_file
from curation.schema import VERDICT, Column
from curation.stage import cached, stage, verdict
from curation.vectors import as_matrix, vector_faults

TASK_TARGETS = 1 << 14  # of them, with 100,000 centroids, some 2.5 * 10^12 operations: a minute of a core
BLOCK = 1024  # vectors at once
CLUSTER = Column("cluster", pa.int32(), "number of the centroid of largest inner product; null without a vector", True)
TARGETS = (
    Column("cluster", pa.int32(), "number of the centroid"),
    Column("targets", pa.int64(), "target pictures that lie there"),
)
VectorFile = Annotated[str, AfterValidator(vector_file)]


@stage(
    output=(*VERDICT.columns, CLUSTER),
    tables={"target_clusters": TARGETS},
    pairs=["image_embedding", "image_embedding__error"],
)
def select_clusters(pairs: Any, *, centroids: VectorFile = ..., targets: VectorFile = ...) -> Any:
    """Keep the pairs whose picture lies in the cluster of any target picture (`not_target_cluster`).

    DataComp's image-based filter (arXiv:2304.14108, section 4 and appendix). CENTROIDS, TARGETS: .npy files of vectors
    by the model of image_embedding: k-means' centroids over the pool (100,000 in the paper), and the pictures to be
    like (ImageNet-1k's). Every vector lies in the cluster of the centroid with the largest inner product, ties to the
    first; the distance does not count. drop_value is the cluster; side table `target_clusters`.
    """
    from pyspark.sql import functions as F

    from curation.files import absolute

    sizes = {path: load(path).shape[1] for path in (centroids, targets)}
    check_sizes("select_clusters", sizes, pairs, "image_embedding")
    centroids, targets = absolute(centroids), absolute(targets)  # tasks run in other folders
    count = len(load(targets))
    numbers = pairs.sparkSession.range(0, count, 1, -(-count // TASK_TARGETS))
    wanted = numbers.mapInArrow(_assigning_targets(centroids, targets), "cluster int")
    wanted = cached(wanted.groupBy("cluster").agg(F.count("*").alias("targets")))
    assigned = pairs.mapInArrow(_assigning(centroids), "uid string, cluster int, fault string, error string")
    marked = assigned.join(F.broadcast(wanted), "cluster", "left")
    elsewhere = F.when(F.col("targets").isNull(), F.lit("not_target_cluster"))
    shown = F.coalesce(F.col("cluster").cast("string"), "error")
    return verdict(marked, F.coalesce("fault", elsewhere), shown), {"target_clusters": wanted}


def _assigning_targets(centroids: str, targets: str) -> Any:
    def assign(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for start in range(0, batch.num_rows, BLOCK):
                rows = batch.column(0).slice(start, BLOCK).to_numpy()
                clusters = nearest_centroids(load(targets)[rows], load(centroids))
                yield pa.RecordBatch.from_pydict({"cluster": clusters.astype(np.int32)})

    return assign


def _assigning(centroids: str) -> Any:
    """uid, number of the centroid (null for what is no vector), what is wrong with the vector, and why it is null."""

    def assign(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for start in range(0, batch.num_rows, BLOCK):
                rows = batch.slice(start, BLOCK)
                vectors, valid = as_matrix(rows.column("image_embedding"), load(centroids).shape[1])
                clusters = pa.array(nearest_centroids(vectors, load(centroids)).astype(np.int32), mask=~valid)
                fault = pc.fill_null(vector_faults(rows.column("image_embedding")), "is null")
                fault = pc.if_else(clusters.is_null(), pc.binary_join_element_wise("image_embedding", fault, " "), None)
                columns = [rows.column("uid"), clusters, fault, rows.column("image_embedding__error")]
                yield pa.RecordBatch.from_arrays(columns, names=["uid", "cluster", "fault", "error"])

    return assign
