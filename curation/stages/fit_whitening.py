"""Whitened likelihoods and conformity: fitted on the pairs themselves, and a score of each under the fit."""

from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curation.methods.exact_sums import MAX_ROWS, Sums, added, exponent, mean_and_covariance, sums, unit_rows
from curation.methods.whitening import Whitening, conformity_to, whiten_loglik, whitening
from curation.schema import Column
from curation.stage import cached, stage, to_workers
from curation.vectors import as_matrix, vector_faults

SCORES = (
    Column("whitened_image_loglik", pa.float32(), "log-likelihood of the picture's vector within the fit", True),
    Column("whitened_caption_loglik", pa.float32(), "the same of the caption's", True),
    Column("image_conformity", pa.float32(), "mean cosine to the other pictures of the fit, -1 to 1", True),
    Column("caption_conformity", pa.float32(), "mean cosine to the other captions of the fit, -1 to 1", True),
)
FIT = (
    Column("dimension", pa.int32(), "place in the vector, from 0"),
    Column("mean", pa.float64(), "of the vectors of the fit"),
    Column("whitening", pa.list_(pa.float64()), "row of the matrix: (vector - mean) @ matrix has unit covariance"),
    Column("direction", pa.float64(), "sum of the unit vectors"),
    Column("count", pa.int64(), "vectors of the fit"),
)
SCHEMA = "uid string, " + ", ".join(f"{c.name} float" for c in SCORES)
ADDERS = 16  # tasks that add up what each partition summed, so that few matrices come to the driver
BLOCK = 64  # rows of every product of matrices, padded: a row does not depend on its neighbours


class Fit(NamedTuple):
    """What one kind of vectors was fitted to: bytes of a vector, whitening, sum of unit vectors and how many.

    `share`: vectors whose key draws less were chosen for it.
    """

    size: int
    whitening: Whitening
    total: np.ndarray
    count: int
    share: float


def _columns(settings: dict[str, Any]) -> list[str]:
    return ["image_id", "caption", settings["image"], settings["caption"]]


@stage(output=SCORES, tables={"image_fit": FIT, "caption_fit": FIT}, version=2, pairs=_columns)
def fit_whitening(
    pairs: Any,
    *,
    image: str = "image_features",
    caption: str = "caption_features",
    sample: Annotated[int, Field(ge=2, le=MAX_ROWS)] = 1_000_000,
    seed: int = 0,
) -> Any:
    """Log-likelihood of each picture and caption under Gaussians fitted to them, and how like the others it is.

    Whitened CLIP (arXiv:2505.06934), on vectors that are not normalised, as published; mean and covariance of pictures
    and captions apart, each image and each different caption once, SAMPLE of them by keyed hash where there are more.
    Eigenvalues below 1e-6 of the largest are raised to that, where the paper's code puts noise in place of correlated
    dimensions. Conformity: "The Double-Ellipsoid Geometry of CLIP" (arXiv:2411.14517). IMAGE and CAPTION name columns
    of vectors. Null where there is no such vector, or fewer than two, or all are equal. Sums are of whole numbers, so
    that neither order nor partitions change the fit, which the side tables hold. Drops nothing.
    """
    pairs = cached(pairs)
    fits, sides = [], {}
    for name, key, column in (("image", "image_id", image), ("caption", "caption", caption)):
        fits.append(_fitted(pairs, key, column, sample, seed))
        sides[f"{name}_fit"] = pairs.sparkSession.createDataFrame(_table(fits[-1]))
    columns = [("image_id", image), ("caption", caption)]
    return pairs.mapInArrow(_scoring(to_workers(pairs, fits), columns, seed), SCHEMA), sides


def _fitted(pairs: Any, key: str, column: str, sample: int, seed: int) -> Fit | None:
    """The fit to the vectors in `column`, one for each different `key`; None where there is nothing to fit to."""
    from pyspark.sql import functions as F

    vector = F.col(f"`{column}`")
    vectors = cached(pairs.where(vector.isNotNull()).groupBy(key).agg(F.min(vector).alias("vector")))
    sized = vectors.mapInArrow(_sizing, "size int, count long, largest double")
    sizes = sized.groupBy("size").agg(F.sum("count").alias("n"), F.max("largest").alias("largest")).collect()
    if not sizes:
        return None
    most = max(sizes, key=lambda row: (row.n, row.size))
    scale = exponent(most.largest)
    share = min(1.0, sample / most.n)
    schema = "count long, total binary, products binary, directions binary"
    summed = vectors.mapInArrow(_summing(most.size, scale, share, seed), schema)
    few = summed.repartition(ADDERS).mapInArrow(_adding, schema).toArrow()
    found = _total(few.to_batches())
    if found is None or found.count < 2:
        return None
    white = whitening(*mean_and_covariance(found, scale))
    if not np.isfinite(white.matrix).all():
        return None
    return Fit(most.size, white, found.directions * 2.0**-30, found.count, share)


def _table(fit: Fit | None) -> pa.Table:
    schema = pa.schema([(c.name, c.type) for c in FIT])
    if fit is None:
        return schema.empty_table()
    rows = zip(fit.whitening.mean.tolist(), fit.whitening.matrix.tolist(), fit.total.tolist())
    named = [dict(zip(schema.names, [number, *row, fit.count])) for number, row in enumerate(rows)]
    return pa.Table.from_pylist(named, schema)


def _sizing(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Bytes of the vectors, how many have them, and the largest number in them."""
    for batch in batches:
        vectors = batch.column("vector").filter(vector_faults(batch.column("vector")).is_null())
        rows = []
        for size in pc.unique(pc.binary_length(vectors)).to_pylist():
            matrix, valid = as_matrix(vectors, size // 2)
            rows.append({"size": size, "count": int(valid.sum()), "largest": float(np.abs(matrix).max())})
        schema = pa.schema([("size", pa.int32()), ("count", pa.int64()), ("largest", pa.float64())])
        yield pa.RecordBatch.from_pylist(rows, schema)


def _summing(size: int, scale: int, share: float, seed: int) -> Any:
    def add(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        found = None
        for batch in batches:
            matrix, valid = as_matrix(batch.column("vector"), size // 2)
            chosen = valid & _chosen(batch.column(0), share, seed)
            found = added(found, sums(matrix[chosen], scale))
        yield from _batches(found)

    return add


def _chosen(keys: pa.Array, share: float, seed: int) -> np.ndarray:
    from curation.methods import keyed_uniforms

    return keyed_uniforms(seed, "fit_whitening", keys) < share if share < 1 else np.ones(len(keys), bool)


def _adding(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield from _batches(_total(batches))


def _total(batches: Any) -> Sums | None:
    found = None
    for batch in batches:
        for row in batch.to_pylist():
            total, products, directions = (np.frombuffer(row[n], "<i8") for n in Sums._fields[1:])
            found = added(found, Sums(row["count"], total, products.reshape(len(total), -1), directions))
    return found


def _batches(found: Sums | None) -> Iterator[pa.RecordBatch]:
    if found is not None:
        arrays = [pa.array([found.count])]
        arrays += [pa.array([each.astype("<i8").tobytes()], pa.binary()) for each in found[1:]]
        yield pa.RecordBatch.from_arrays(arrays, names=Sums._fields)


def _scoring(fits: Any, columns: list[tuple[str, str]], seed: int) -> Any:
    """Of a fit for each (key, column of vectors)."""

    def score(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            scores = [
                _scores(batch.column(name), batch.column(key), fit, seed)
                for (key, name), fit in zip(columns, fits.value)
            ]
            arrays = [batch.column("uid"), *(pair[0] for pair in scores), *(pair[1] for pair in scores)]
            yield pa.RecordBatch.from_arrays(arrays, names=["uid", *(c.name for c in SCORES)])

    return score


def _scores(vectors: pa.Array, keys: pa.Array, fit: Fit | None, seed: int) -> tuple[pa.Array, pa.Array]:
    """Log-likelihood and conformity, float32; null for what is no vector of the fit's size."""
    if fit is None:
        return (pa.nulls(len(vectors), pa.float32()),) * 2
    matrix, valid = as_matrix(vectors, fit.size // 2)
    matrix = matrix.astype(np.float64)
    likely = np.empty(len(matrix))
    for start in range(0, len(matrix), BLOCK):
        rows = matrix[start : start + BLOCK]
        padded = np.zeros((BLOCK, matrix.shape[1]))
        padded[: len(rows)] = rows
        likely[start : start + len(rows)] = whiten_loglik(padded, fit.whitening)[: len(rows)]
    own = _chosen(keys.fill_null(""), fit.share, seed).astype(float)  # a pair without a key has no vector
    alike = conformity_to(unit_rows(matrix), fit.total, fit.count, own)
    return tuple(pa.array(each.astype(np.float32), mask=~valid) for each in (likely, alike))
