"""ClipCov: the pairs that represent their latent classes best, greedily, within a budget."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import AfterValidator, Field

from curation.bounds import nth_best
from curation.methods.coverage import class_order, class_terms, leaders
from curation.methods.exact_sums import UNIT_BITS, unit_rows
from curation.models.prompts import prompt_file, prompt_lines
from curation.schema import VERDICT, Column
from curation.stage import cached, collected, stage, to_workers, verdict
from curation.stages.sample_budget import Share, Size, check_budget
from curation.vectors import as_matrix

PERIOD = 200  # picks of a class between two looks at what they cover: the released notebook's
CLASS_PAIRS = 10_000  # in float64 with 512 numbers 82 MB and some 5 s of a core; both grow with it, per pair linearly
PARTS = 1024  # tasks at most that the classes are shared out to
ADDERS = 16  # tasks that add up what each partition summed
SCORE = Column("coverage_score", pa.float64(), "ClipCov's score before anything is picked; null without vectors", True)
CLASSES = (
    Column("prompt_class", pa.int32(), "number of the prompt, from 0"),
    Column("prompt", pa.string(), "its text"),
    Column("pairs", pa.int64(), "pairs whose picture is nearest to it"),
    Column("parts", pa.int32(), "parts that the class was split into"),
    Column("kept", pa.int64(), "pairs kept"),
)
VECTORS = ["image_embedding", "caption_embedding"]
READS = ["uid", "prompt_class", "prompt_similarity", "prompt_similarity__error", *VECTORS]
ORDER_DDL = "uid string, coverage_score double, leader string, leader_score double, place int"
PromptFile = Annotated[str, AfterValidator(prompt_file)]


def _columns(settings: dict[str, Any]) -> list[str]:
    check_budget("select_coverage", settings)
    return READS


@stage(output=(*VERDICT.columns, SCORE), tables={"classes": CLASSES}, version=2, pairs=_columns)
def select_coverage(
    pairs: Any,
    *,
    prompts: PromptFile = ...,
    size: Size = None,
    share: Share = None,
    class_pairs: Annotated[int, Field(ge=1)] = CLASS_PAIRS,
    oversize: Literal["split", "cap"] = "split",
    period: Annotated[int, Field(ge=1)] = PERIOD,
    seed: int = 0,
) -> Any:
    """Keep SIZE pairs, or int(n * SHARE), that cover their latent classes best (others are `over_budget`).

    ClipCov (arXiv:2403.12267): the class of a pair is the nearest of PROMPTS, a text file, a prompt a line; pairs that
    agree with their class and with themselves, and not with other classes, come first, and after every PERIOD picks of
    a class what is like them comes later. Cost and memory grow with the square and the size of a class, so one of more
    than CLASS_PAIRS is split by keyed hash into parts of about that many, each a class of its own but for its centre,
    or capped at about so many (`class_capped`). The order is that of one greedy pass over all classes, ties by uid, and
    depends on neither order nor partitions. A pair without a vector does not count in n and is dropped
    (`prompt_similarity is null`). drop_value is the score; side table `classes`.
    """
    from pyspark.sql import functions as F

    scored = pairs.where("prompt_similarity is not null")
    counts = {row.prompt_class: row["count"] for row in scored.groupBy("prompt_class").count().collect()}
    wanted = size if share is None else int(sum(counts.values()) * share)
    parted = cached(_parted(scored, counts, class_pairs, oversize, seed).select("part", *READS[:3], *VECTORS))
    others = to_workers(pairs, _others(parted))
    laid = parted.repartition(min(PARTS, max(1, len(counts))), "part").sortWithinPartitions("part", "uid")
    picked = cached(laid.mapInArrow(_ordering(others, period, wanted), ORDER_DDL))
    marked = pairs.select("uid", "prompt_class", "prompt_similarity", "prompt_similarity__error")
    marked = cached(marked.join(picked.withColumn("kept", _first(picked, wanted)), "uid", "left"))
    reason = F.when(F.col("prompt_similarity").isNull(), F.lit("prompt_similarity is null"))
    reason = reason.when(F.col("coverage_score").isNull(), F.lit("class_capped"))
    reason = reason.when(~F.col("kept"), F.lit("over_budget"))
    shown = F.coalesce(F.col("coverage_score").cast("string"), "prompt_similarity__error")
    kept = collected(marked.where("kept").groupBy("prompt_class").count()).set_index("prompt_class")["count"]
    table = _classes(counts, class_pairs if oversize == "split" else None, prompts, kept.to_dict())
    return verdict(marked, reason, shown), {"classes": pairs.sparkSession.createDataFrame(table)}


def _parts(count: int, class_pairs: int | None) -> int:
    return 1 if class_pairs is None else -(-count // class_pairs)


def _parted(scored: Any, counts: dict[int, int], class_pairs: int, oversize: str, seed: int) -> Any:
    """`part` of each pair, numbered through all classes, without what a cap leaves out."""
    from pyspark.sql import functions as F

    rows = [(c, n, _parts(n, class_pairs if oversize == "split" else None)) for c, n in sorted(counts.items())]
    ends = np.cumsum([parts for *_, parts in rows], dtype=np.int64)
    rows = [(*row, int(end) - row[2]) for row, end in zip(rows, ends)]
    table = scored.sparkSession.createDataFrame(rows, "prompt_class int, _count long, _parts int, _first int")
    draw = F.shiftrightunsigned(F.xxhash64(F.lit(seed), F.lit("select_coverage"), "uid"), 11) / F.lit(float(2**53))
    found = scored.join(F.broadcast(table), "prompt_class").withColumn("_draw", draw)
    if oversize == "cap":
        found = found.where(F.col("_draw") < F.lit(float(class_pairs)) / F.col("_count"))
    return found.withColumn("part", (F.col("_first") + F.floor(F.col("_draw") * F.col("_parts"))).cast("int"))


def _others(parted: Any) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """For each class the mean of the other classes' centres, of pictures and of captions, float64 (d,).

    Sums are of whole numbers, so that no order changes them.
    """
    schema = "prompt_class int, count long, images binary, texts binary"
    summed = parted.mapInArrow(_summing, schema).repartition(ADDERS, "prompt_class").mapInArrow(_adding, schema)
    rows = sorted(summed.toArrow().to_pylist(), key=lambda row: row["prompt_class"])
    centres = {}
    for row in rows:
        unit = 2.0**-UNIT_BITS / row["count"]
        centres[row["prompt_class"]] = np.stack([np.frombuffer(row[n], "<i8") * unit for n in ("images", "texts")])
    total = np.sum(list(centres.values()), axis=0)
    return {number: tuple((total - own) / max(1, len(centres) - 1)) for number, own in centres.items()}


def _summing(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    found: dict[int, list] = {}
    for batch in batches:
        units = [np.rint(_unit(batch.column(name)) * 2.0**UNIT_BITS).astype(np.int64) for name in VECTORS]
        classes = np.asarray(batch.column("prompt_class"))
        for number in np.unique(classes).tolist():
            rows = classes == number
            _add(found, number, [int(rows.sum()), *(each[rows].sum(axis=0) for each in units)])
    yield _sums_batch(found)


def _adding(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    found: dict[int, list] = {}
    for batch in batches:
        for row in batch.to_pylist():
            sums = [np.frombuffer(row[name], "<i8") for name in ("images", "texts")]
            _add(found, row["prompt_class"], [row["count"], *sums])
    yield _sums_batch(found)


def _add(found: dict[int, list], number: int, sums: list) -> None:
    found[number] = [a + b for a, b in zip(found[number], sums)] if number in found else sums


def _sums_batch(found: dict[int, list]) -> pa.RecordBatch:
    rows = [(number, count, images.tobytes(), texts.tobytes()) for number, (count, images, texts) in found.items()]
    kinds = {"prompt_class": pa.int32(), "count": pa.int64(), "images": pa.binary(), "texts": pa.binary()}
    schema = pa.schema(kinds)
    return pa.RecordBatch.from_pylist([dict(zip(schema.names, row)) for row in rows], schema)


def _unit(vectors: pa.Array) -> np.ndarray:
    return unit_rows(as_matrix(vectors)[0])


def _ordering(others: Any, period: int, wanted: int) -> Any:
    """Greedy within each part: its picks with the pick of the part that leads each, and how far behind it comes."""

    def order(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from curation.tables import grouped

        for _, run in grouped(batches, "part"):
            part = pa.Table.from_batches(list(run)).combine_chunks()
            images, texts = (_unit(part[name].combine_chunks()) for name in VECTORS)
            label = np.asarray(part["prompt_similarity"], np.float64)
            terms = class_terms(images, texts, label, *others.value[part["prompt_class"][0].as_py()])
            rows, scores = class_order(images, texts, terms, period, wanted)
            led, led_score = leaders(scores, rows)  # rows lie by uid: among equals the smaller one is the smaller uid
            names = part["uid"].combine_chunks()
            found = {"rows": rows, "leader": names.take(pa.array(rows[led])), "leader_score": led_score}
            yield _with_rest(names, terms.score, pa.table(found | {"place": np.arange(len(rows)) - led}))

    return order


def _with_rest(names: pa.Array, scores: np.ndarray, found: pa.Table) -> pa.RecordBatch:
    """All rows of the part, `leader` null where the budget cannot reach."""
    places = np.full(len(names), -1)
    places[np.asarray(found["rows"])] = np.arange(len(found))
    taken = found.select(["leader", "leader_score", "place"]).take(pa.array(places, mask=places < 0)).combine_chunks()
    columns = [names, pa.array(scores), *(taken[name].combine_chunks() for name in taken.column_names)]
    columns[-1] = columns[-1].cast(pa.int32())
    return pa.RecordBatch.from_arrays(columns, names=["uid", "coverage_score", "leader", "leader_score", "place"])


def _first(picked: Any, wanted: int) -> Any:
    """The condition to be among the first `wanted` of the greedy order: by leader, then by place behind it."""
    from pyspark.sql import functions as F

    reached = picked.where("leader is not null").select(
        F.col("leader_score").alias("score"), F.col("leader").alias("uid")
    )
    last = nth_best(cached(reached), lambda n: min(n, wanted) - 1)
    if last is None:
        return F.lit(False)
    score, leader = F.lit(last[0]), F.lit(last[1])
    before = (F.col("leader_score") > score) | ((F.col("leader_score") == score) & (F.col("leader") < leader))
    left = wanted - picked.where(before).count()
    return F.coalesce(before | ((F.col("leader") == leader) & (F.col("place") < left)), F.lit(False))


def _classes(counts: dict[int, int], class_pairs: int | None, prompts: str, kept: dict[int, int]) -> pa.Table:
    rows = []
    for number, count in sorted(counts.items()):
        row = {"prompt_class": number, "prompt": prompt_lines(prompts)[number], "pairs": count}
        rows.append(row | {"parts": _parts(count, class_pairs), "kept": int(kept.get(number, 0))})
    return pa.Table.from_pylist(rows, pa.schema([(c.name, c.type) for c in CLASSES]))
