"""Pairs of near vectors in a frame of any size: cells, who visits which, the search in each, and its recall."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from curation.clusters import trained_cells
from curation.duplicates import EARLIER, EDGE_DDL
from curation.schema import Column
from curation.stage import cached, to_workers

RECALL = (
    Column("sampled", pa.int64(), "vectors compared with all others"),
    Column("pairs", pa.int64(), "pairs at the threshold that they are in"),
    Column("found", pa.int64(), "of these, pairs that meet in a cell"),
    Column("recall", pa.float64(), "found / pairs; 1 where there is only one cell, null without pairs", True),
    Column("cells", pa.int64(), "cells of k-means"),
)
PLACED_DDL = "item string, vector binary, rank array<double>, home int, visits array<int>, distance double"


def placed(distinct: Any, cells: int, seed: int, assignments: int, threshold: float, order: str) -> Any:
    """(item, vector, rank, home, visits) of distinct vectors (item, vector, rank): the nearest cell, and others to be
    searched; the rank begins with the distance from the centroid where `order` is hard or easy.
    """
    from pyspark.sql import functions as F

    empty = F.array().cast("array<int>")
    if distinct.isEmpty() or (cells == 1 and order == "preferred"):
        return distinct.withColumns({"home": F.lit(0), "visits": empty}).select(*_names(PLACED_DDL)[:-1])
    centroids = to_workers(distinct, trained_cells(distinct, cells, seed, key="item"))
    nearest = distinct.mapInArrow(_homing(centroids), PLACED_DDL)
    angles = nearest.groupBy("home").agg(F.min("distance").alias("least"), F.max("distance").alias("most")).collect()
    radii = np.tile([np.pi, 0.0], (len(centroids.value), 1))
    for row in angles:
        radii[row.home] = np.arccos(np.clip(1 - row.least, -1, 1)), np.arccos(np.clip(1 - row.most, -1, 1))
    homed = distinct.mapInArrow(_visiting(centroids, radii, assignments, threshold), PLACED_DDL)
    if order != "preferred":
        apart = F.col("distance") if order == "easy" else -F.col("distance")
        first, rest = F.slice("rank", 1, 1), F.expr("slice(rank, 2, size(rank))")
        homed = homed.withColumn("rank", F.concat(first, F.array(apart), rest))
    return homed.drop("distance")


def _names(ddl: str) -> list[str]:
    return [field.split(" ")[0] for field in ddl.split(", ")]


def _homing(centroids: Any) -> Any:
    """The nearest cell alone, to know how wide each is."""
    return _visiting(centroids, None, 1, 1.0)


def _visiting(centroids: Any, radii: np.ndarray | None, assignments: int, threshold: float) -> Any:
    """Each vector's cell, its distance 1 - cosine from the centroid, and which other cells it visits.

    Where all cells are listed, a pair is looked for in the cell of the higher number alone.
    """

    def visit(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from curation.clusters import nearest_cells, unit_rows
        from curation.methods.near_vectors import visited_cells
        from curation.vectors import as_matrix, exact_cosine

        centres = centroids.value
        for batch in batches:
            matrix, _ = as_matrix(batch.column("vector"))
            cosines, cells = nearest_cells(unit_rows(matrix), centres, assignments)
            visits = np.zeros(cells.shape, bool)
            if radii is not None:
                visits = visited_cells(cosines, cells, centres, radii, threshold)
            if cells.shape[1] == len(centres):
                visits &= cells > cells[:, :1]
            limits = np.concatenate([[0], np.cumsum(visits.sum(axis=1))]).astype(np.int32)
            listed = pa.ListArray.from_arrays(pa.array(limits), pa.array(cells[visits].astype(np.int32)))
            distance = pa.array(1 - exact_cosine(matrix, centres[cells[:, 0]]))
            columns = [batch.column(name) for name in ("item", "vector", "rank")]
            columns += [pa.array(cells[:, 0].astype(np.int32)), listed, distance]
            yield pa.RecordBatch.from_arrays(columns, names=_names(PLACED_DDL))

    return visit


def near_edges(laid: Any, threshold: float) -> Any:
    """(better, worse, similarity) of pairs at or above the threshold that meet in a cell, each once."""
    from pyspark.sql import functions as F

    count = laid.select(F.max("home")).first()[0]
    cell = F.explode(F.concat(F.array("home"), "visits")).alias("cell")
    spread = laid.select("item", "vector", "rank", "home", cell)
    spread = spread.repartitionById((count or 0) + 1, "cell").sortWithinPartitions("cell", "rank", "item")
    edges = spread.mapInArrow(_searching(threshold), EDGE_DDL).distinct()
    return edges.where(~F.col("worse").startswith(EARLIER))


def _searching(threshold: float) -> Any:
    def search(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from curation.methods.near_vectors import cell_edges
        from curation.tables import grouped
        from curation.vectors import as_matrix

        for cell, run in grouped(batches, "cell"):
            rows = pa.Table.from_batches(list(run)).combine_chunks()
            names = rows["item"].combine_chunks()
            vectors, _ = as_matrix(rows["vector"].combine_chunks())
            for found in cell_edges(vectors, rows["home"].to_numpy() == cell, threshold):
                columns = [names.take(pa.array(found.better)), names.take(pa.array(found.worse))]
                yield pa.RecordBatch.from_arrays([*columns, pa.array(found.cosine)], names=_names(EDGE_DDL))

    return search


def recall(laid: Any, cells: int, threshold: float, size: int, seed: int) -> Any:
    """The row of RECALL: `size` vectors, drawn by keyed hash, compared with all; `size` products a vector."""
    from pyspark.sql import functions as F

    size = size if cells > 1 else 0
    drawn = laid.orderBy(F.xxhash64(F.lit(seed), F.lit("recall"), "item"), "item").limit(size)
    sample = to_workers(drawn, drawn.toArrow().combine_chunks() if size else None)
    counted = laid.mapInArrow(_counting(sample, threshold), "pairs long, found long, rows long")
    total = cached(counted.groupBy().agg(*(F.coalesce(F.sum(n), F.lit(0)).alias(n) for n in counted.columns)))
    share = F.lit(1.0) if cells == 1 else F.col("found") / F.when(F.col("pairs") > 0, F.col("pairs"))
    return total.select(
        F.least(F.lit(size), F.col("rows")).cast("long").alias("sampled"),
        "pairs",
        "found",
        share.alias("recall"),
        F.lit(cells).cast("long").alias("cells"),
    )


def _counting(sample: Any, threshold: float) -> Any:
    def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from curation.methods.near_vectors import all_near

        asked = sample.value
        for batch in batches:
            true, found = (0, 0) if asked is None else _met(asked, batch, all_near, threshold)
            row = {"pairs": [true], "found": [found], "rows": [batch.num_rows]}
            yield pa.RecordBatch.from_pydict(row)

    return count


def _met(asked: pa.Table, batch: pa.RecordBatch, all_near: Any, threshold: float) -> tuple[int, int]:
    """True pairs of a sampled vector and one of the batch, and how many of them meet in a cell."""
    from curation.vectors import as_matrix

    left, _ = as_matrix(asked["vector"].combine_chunks())
    right, _ = as_matrix(batch.column("vector"))
    here = [(n, set(v)) for n, v in zip(batch.column("home").to_pylist(), batch.column("visits").to_pylist())]
    there = [(n, set(v)) for n, v in zip(asked["home"].to_pylist(), asked["visits"].to_pylist())]
    names, others = asked["item"].to_pylist(), batch.column("item").to_pylist()
    pairs = [(i, j) for i, j in zip(*all_near(left, right, threshold)) if names[i] != others[j]]
    met = [(there[i], here[j]) for i, j in pairs]
    return len(pairs), sum(a[0] == b[0] or a[0] in b[1] or b[0] in a[1] for a, b in met)
