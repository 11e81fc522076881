"""Near-duplicate pictures by embedding: found inside k-means cells with faiss, one representative kept."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import Field

from curation.duplicates import Mode, collapsed, decided, equal, with_equals
from curation.errors import RecipeError
from curation.near_pairs import RECALL, near_edges, placed, recall
from curation.representatives import (
    GROUPS,
    MERGED_CAPTIONS,
    EarlierRelease,
    preferred_columns,
    ranked,
    told,
    with_earlier,
)
from curation.schema import VERDICT
from curation.stage import cached, stage

CELL_IMAGES = 256  # aim per cell: measured fastest at 100,000 vectors of 512 numbers; more where there are many cells
EXACT_CELLS = 8  # times fewer cells in exact mode: fewer rows to shuffle, larger products
UNITS = {"image": "image_id", "pair": "uid"}
MOST_CELLS = 1 << 15  # training costs their square: some four hours of one core (docs/duplicates.md)


def _columns(settings: dict[str, Any]) -> list[str]:
    vectors = settings["vectors"]
    captions = ["caption", "caption_kind", "captions"] if settings["keep_captions"] else []
    return ["uid", "image_id", vectors, f"{vectors}__error", *preferred_columns(settings["prefer"]), *captions]


@stage(
    output=VERDICT.columns,
    tables={"duplicates": GROUPS, "recall": RECALL},
    ledger="recall",
    optional={"keep_captions": MERGED_CAPTIONS},
    version=5,
    pairs=_columns,
)
def dedup_embeddings(
    pairs: Any,
    *,
    threshold: Annotated[float, Field(gt=-1, le=1)] = 0.95,
    assignments: Annotated[int, Field(ge=1)] = 4,
    exact: bool = False,
    mode: Mode = "representative",
    order: Literal["preferred", "hard", "easy"] = "preferred",
    prefer: list[str] = ("pixels",),
    vectors: str = "image_embedding",
    unit: Literal["image", "pair"] = "image",
    against: list[EarlierRelease] = (),
    keep_captions: bool = False,
    recall_sample: Annotated[int, Field(ge=0)] = 256,
    seed: int = 0,
) -> Any:
    """Drop pictures whose embedding has cosine >= THRESHOLD with that of a kept one (`duplicate_image`).

    The best by each of PREFER stays (`pixels`, or columns of numbers such as clip_score, higher first), then the
    smaller image_id; ORDER `hard` or `easy` first prefers what lies far from, or near, its centroid (SemDeDup,
    arXiv:2303.09540, section 3). MODE: `representative`, every dropped picture has a kept one within THRESHOLD;
    `transitive`, one goes if any better one is near, as in SemDeDup; `components`, one stays of all that chains of near
    ones join. Side table `duplicates`: who stands for whom. All captions of a picture share its fate; KEEP_CAPTIONS
    gives those of a group to the survivor, in `captions`. AGAINST: earlier releases whose manifest has the column
    VECTORS; none of their pictures comes again (`duplicate_of_earlier`). VECTORS: any column of vectors, as
    from a second model under [signals]. Where it is one of pairs (caption_embedding, or pooled_embedding, by which
    CLIPPINGS links, arXiv:2304.03464), UNIT `pair` compares pairs, whatever their pictures (`duplicate_pair`).

    A vector is compared with those of its own k-means cell and of its ASSIGNMENTS - 1 next ones, a range search. A pair
    that meets in none is missed: the side table `recall` tells the share found of the true pairs of RECALL_SAMPLE
    vectors. EXACT compares with every cell that the geometry does not exclude, and misses none. Cells are trained on a
    keyed sample: neither order nor partitions change the result. A picture without an embedding is dropped with that
    reason, as is one whose embedding is zero, not finite, or of another size than most.
    """
    from pyspark.sql import functions as F

    embedded = pairs.where(F.col(vectors).isNotNull()).withColumnRenamed(vectors, "vector")
    name = UNITS[unit]
    images = ranked(embedded, "vector", list(prefer), name)
    images = with_earlier(images, "vector", list(against), vectors, name)
    images = cached(images.mapInArrow(_marking, "item string, vector binary, rank array<double>, fault string"))
    distinct = cached(collapsed(images.where("fault is null"), "vector").withColumn("size", F.length("vector")))
    counts = {r.size: r["count"] for r in distinct.groupBy("size").count().collect()}
    size = max(counts, key=lambda size: (counts[size], size), default=0)
    _check_earlier(distinct, size, vectors)
    other_size = F.format_string(f"has %d bytes, wanted {size}", F.length("vector"))
    images = images.withColumn("fault", F.coalesce("fault", F.when(F.length("vector") != size, other_size)))
    distinct = distinct.where(F.col("size") == size).drop("size")
    count = counts.get(size, 0)
    cells = _cells(count, exact)
    laid = cached(placed(distinct, cells, seed, cells if exact else assignments, threshold, order))
    near = decided(near_edges(laid, threshold), laid, mode)
    duplicates = cached(with_equals(equal(images.where("fault is null"), laid, "vector"), near))
    faults = images.where("fault is not null").select("item", "fault")
    result, shown = told(pairs, vectors, faults, duplicates, keep_captions, name)
    return result, {"duplicates": shown, "recall": recall(laid, cells, threshold, recall_sample, seed)}


def _cells(count: int, exact: bool) -> int:
    """One for few vectors; then so many that a cell has CELL_IMAGES, up to twice the root of all, where cells grow
    instead: a vector is compared with all centroids and a few cells. Fewer where most cells are visited.
    """
    if exact:
        return max(1, _cells(count, False) // EXACT_CELLS)
    if count <= 2 * CELL_IMAGES:
        return 1
    return min(-(-count // CELL_IMAGES), max(2, int(2 * count**0.5)), MOST_CELLS)


def _marking(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Why a picture's vector is none, null where it is one; whether its size is that of the others shows later."""
    from curation.vectors import vector_faults

    for batch in batches:
        fault = vector_faults(batch.column("vector"))
        yield pa.RecordBatch.from_arrays([*batch.columns, fault], names=[*batch.schema.names, "fault"])


def _check_earlier(distinct: Any, size: int, vectors: str) -> None:
    from pyspark.sql import functions as F

    other = distinct.where((F.col("rank")[0] == 0) & (F.col("size") != size)).first()
    if other is not None:
        raise RecipeError(
            f"dedup_embeddings: against: {vectors} of {other.size // 2} numbers in the earlier release, "
            f"{size // 2} here; wanted vectors by one model"
        )
