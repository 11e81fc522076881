"""Two levels of clusters of pairs by their vectors: fine ones of about equal size, and groups of these, also equal."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import AfterValidator, Field

from curation.clusters import check_sizes, kmeans
from curation.errors import RecipeError
from curation.methods import Balanced, balanced_centres, nearest_centres
from curation.models.centroids import load, vector_file
from curation.models.cluster_labels import label_file, read_labels
from curation.schema import Column
from curation.stage import cached, collected, stage, to_workers
from curation.vectors import as_matrix

SAMPLE_PER_CLUSTER = 64  # assumption: as dedup_embeddings; balanced within 1 in 100 that is less than one vector
START_ITERATIONS = 10  # of k-means before prices move: it gives the centres to start from
BLOCK = 1024  # vectors assigned at once
COLUMNS = (
    Column("cluster", pa.int32(), "number of the fine cluster, from 0; null without a vector", True),
    Column("cluster_group", pa.int32(), "number of the group of fine clusters that it lies in, from 0", True),
    Column("cluster_distance", pa.float32(), "Euclidean distance of the unit vector to the centre, 0 to 2", True),
    Column("cluster_label", pa.string(), "of the fine cluster, from the file of labels", True),
)
CENTROIDS = (
    Column("cluster", pa.int32(), "number of the fine cluster"),
    Column("cluster_group", pa.int32(), "number of its group"),
    Column("pairs", pa.int64(), "pairs that lie there"),
    Column("nearest_uid", pa.string(), "the pair nearest to the centre, to look at", True),
    Column("label", pa.string(), "from the file of labels", True),
    Column("price", pa.float64(), "added to the squared distance when pairs are assigned; 0 by distance alone"),
    Column("centre", pa.list_(pa.float64()), "mean of the unit vectors that it was made of"),
)
GROUPS = (
    Column("cluster_group", pa.int32(), "number of the group"),
    Column("clusters", pa.int64(), "fine clusters in it"),
    Column("pairs", pa.int64(), "pairs that lie there"),
)
DDL = "uid string, cluster int, cluster_group int, cluster_distance float, cluster_label string"
CentroidFile = Annotated[str | None, AfterValidator(lambda path: path and vector_file(path))]
LabelFile = Annotated[str | None, AfterValidator(lambda path: path and label_file(path))]


def _columns(settings: dict[str, Any]) -> list[str]:
    if settings["labels"] and not settings["centroids"]:
        raise RecipeError("stage cluster_pairs: labels belong to centroids; give the file of these, too")
    return [settings["vectors"]]


@stage(output=COLUMNS, tables={"centroids": CENTROIDS, "groups": GROUPS}, ledger="groups", pairs=_columns)
def cluster_pairs(
    pairs: Any,
    *,
    vectors: str = "caption_embedding",
    clusters: Annotated[int, Field(ge=1)] = 1024,
    groups: Annotated[int, Field(ge=1)] = 4,
    assign: Literal["balanced", "nearest"] = "balanced",
    centroids: CentroidFile = None,
    labels: LabelFile = None,
    seed: int = 0,
) -> Any:
    """Add the cluster of each pair by the column VECTORS, and the group of clusters it lies in; drops nothing.

    MoDE (arXiv:2404.16030), section 3.1: CLUSTERS fine ones of about equal size by balanced k-means over a keyed
    sample, their centres clustered again into GROUPS. `assign` "balanced" keeps what makes the sizes equal in force
    for all pairs, "nearest" is the paper's: the nearest centre, whatever the sizes. With CENTROIDS, a .npy of
    `curate vectors --centroids`, these are the fine clusters, by distance alone, and LABELS may name them: a text file,
    NUMBER<TAB>LABEL a line, as BIOMEDICA's taxonomy (arXiv:2501.07171); numbers mean something with their centroids
    alone, so labels need them. Fewer clusters where there are fewer vectors. `write_shards` with by = "cluster_group"
    gives each group shards of its own; `curation.methods.route_experts` looks up groups for a task in the side table
    `centroids`. Neither order nor partitions change anything.
    """
    from pyspark.sql import functions as F

    embedded = pairs.where(F.col(f"`{vectors}`").isNotNull()).select("uid", F.col(f"`{vectors}`").alias("vector"))
    fine = _given(centroids, pairs, vectors) if centroids else _trained(embedded, clusters, seed)
    if assign == "nearest":
        fine = fine._replace(prices=np.zeros(len(fine.centres)))
    coarse = _grouped(fine.centres, groups, seed)
    named = read_labels(labels, len(fine.centres)) if labels else {}
    shared = to_workers(pairs, (fine, coarse, named))
    found = cached(pairs.select("uid").join(embedded.mapInArrow(_assigning(shared), DDL), "uid", "left"))
    counts = found.where("cluster is not null").groupBy("cluster")
    nearest = F.min_by("uid", F.struct("cluster_distance", "uid")).alias("uid")
    counts = collected(counts.agg(F.count("*").alias("pairs"), nearest)).set_index("cluster")
    table = _table(fine, coarse, named, counts["pairs"].to_dict(), counts["uid"].to_dict())
    spark = pairs.sparkSession
    return found, {"centroids": spark.createDataFrame(table), "groups": spark.createDataFrame(_groups(table))}


def _given(centroids: str, pairs: Any, vectors: str) -> Balanced:
    centres = np.asarray(load(centroids), np.float64)
    check_sizes("cluster_pairs", {centroids: centres.shape[1]}, pairs, vectors)
    return Balanced(centres, np.zeros(len(centres)))


def _trained(embedded: Any, clusters: int, seed: int) -> Balanced:
    """Balanced clusters of a keyed sample; none where there is no vector."""
    from pyspark.sql import functions as F

    sample = embedded.orderBy(F.xxhash64(F.lit(seed), "uid"), "uid").limit(clusters * SAMPLE_PER_CLUSTER)
    matrix = _units(sample.select("vector").toArrow()["vector"].combine_chunks())[0]
    count = min(clusters, len(np.unique(matrix, axis=0)))
    return (
        balanced_centres(matrix, kmeans(matrix, count, seed, START_ITERATIONS))
        if count
        else Balanced(matrix, np.zeros(0))
    )


def _grouped(centres: np.ndarray, groups: int, seed: int) -> np.ndarray:
    """The group of each fine centre, of which groups have about as many."""
    count = min(groups, len(np.unique(centres, axis=0)))
    if count < 2:
        return np.zeros(len(centres), np.int64)
    matrix = centres.astype(np.float32)
    found = balanced_centres(matrix, kmeans(matrix, count, seed, START_ITERATIONS))
    return nearest_centres(matrix, found.centres, found.prices)


def _units(vectors: pa.Array, size: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors, float32, of those that are vectors, and which are."""
    matrix, valid = as_matrix(vectors, size)
    matrix = matrix[valid]
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True), valid


def _assigning(shared: Any) -> Any:
    def assign(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        fine, coarse, named = shared.value
        for batch in batches:
            for start in range(0, batch.num_rows if len(fine.centres) else 0, BLOCK):
                rows = batch.slice(start, BLOCK)
                matrix, valid = _units(rows.column("vector"), fine.centres.shape[1])
                cluster = nearest_centres(matrix, fine.centres, fine.prices)
                distance = np.sqrt(((matrix - fine.centres[cluster]) ** 2).sum(axis=1)).astype(np.float32)
                told = pa.array([named.get(each) for each in cluster.tolist()], pa.string())
                columns = [rows.column("uid").filter(pa.array(valid)), pa.array(cluster.astype(np.int32))]
                columns += [pa.array(coarse[cluster].astype(np.int32)), pa.array(distance), told]
                yield pa.RecordBatch.from_arrays(columns, names=["uid", *(c.name for c in COLUMNS)])

    return assign


def _table(
    fine: Balanced, coarse: np.ndarray, named: dict[int, str], pairs: dict[int, int], nearest: dict[int, str]
) -> pa.Table:
    rows = []
    for number, (centre, price) in enumerate(zip(fine.centres.tolist(), fine.prices.tolist())):
        row = {"cluster": number, "cluster_group": int(coarse[number]), "pairs": int(pairs.get(number, 0))}
        row |= {"nearest_uid": nearest.get(number), "label": named.get(number), "price": price, "centre": centre}
        rows.append(row)
    return pa.Table.from_pylist(rows, pa.schema([(c.name, c.type) for c in CENTROIDS]))


def _groups(table: pa.Table) -> pa.Table:
    found = table.group_by("cluster_group", use_threads=False).aggregate([("cluster", "count"), ("pairs", "sum")])
    found = found.select(["cluster_group", "cluster_count", "pairs_sum"]).sort_by("cluster_group")
    return found.rename_columns([c.name for c in GROUPS]).cast(pa.schema([(c.name, c.type) for c in GROUPS]))
