"""The CLIP score of each pair less how well its picture and caption agree with those of other pairs of the pool."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from curation.methods.negative_loss import TEMPERATURE
from curation.schema import Column
from curation.stage import cached, stage
from curation.stages.sample_budget import among_best, uniforms

SCORE = Column(
    "negative_clip_loss", pa.float32(), "minus the CLIP loss times the temperature, at most 0; high is good", True
)
VECTORS = ["image_embedding", "caption_embedding"]


@stage(output=(SCORE,), pairs=["uid", *VECTORS])
def normalise_scores(
    pairs: Any,
    *,
    batch_size: Annotated[int, Field(ge=1)] = 32_768,
    batches: Annotated[int, Field(ge=1)] = 1,
    temperature: Annotated[float, Field(gt=0)] = TEMPERATURE,
    seed: int = 0,
) -> Any:
    """Add `negative_clip_loss`: the pair's CLIP score less a term for how well each half fits other pairs.

    The others are BATCHES of BATCH_SIZE pairs, drawn once by hashes of (SEED, uid) and the same for every pair, so a
    value depends on neither order nor partitions; with fewer pairs than that in all, they make one batch. Null where a
    vector is. A reference of 32,768 costs a millisecond a pair and core, and 67 MB with 512 numbers a vector, per
    batch. negCLIPLoss of "CLIPLoss and Norm-Based Data Selection Methods" (arXiv:2405.19547), section 3.1, which draws
    10 batches afresh for each pair (its published figures: batches of 32,768, temperature 0.01).
    """
    from pyspark.sql import functions as F

    embedded = pairs.where(" and ".join(f"{name} is not null" for name in VECTORS))
    drawn = cached(uniforms(embedded, "normalise_scores", seed))
    wanted = batch_size * batches
    chosen = drawn.where(among_best(drawn, lambda n: wanted)).orderBy(F.desc("score"), "uid").limit(wanted)
    reference = chosen.join(embedded, "uid").orderBy(F.desc("score"), "uid").select("uid", *VECTORS).toArrow()
    each = max(1, min(batches, len(reference) // batch_size))
    parts = [reference.slice(n * batch_size, batch_size).combine_chunks() for n in range(each)]
    scored = embedded.select("uid", *VECTORS).mapInArrow(
        _scoring(parts, temperature), f"uid string, {SCORE.name} float"
    )
    return pairs.select("uid").join(scored, "uid", "left")


def _scoring(parts: list[pa.Table], temperature: float) -> Callable[[Iterator[pa.RecordBatch]], Iterator]:
    sound = [part.filter(pa.array(_sound(part))).combine_chunks() for part in parts]
    places = [{uid: n for n, uid in enumerate(part["uid"].to_pylist())} for part in sound]

    def score(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from curation.methods.negative_loss import negative_clip_loss

        for batch in batches:
            pair = [_unit(batch.column(name)) for name in VECTORS]
            total = np.zeros(batch.num_rows)
            for part, place in zip(sound, places):
                own = np.array([place.get(uid, -1) for uid in batch.column("uid").to_pylist()], np.int64)
                # Float32 only now: as stored the references of many batches fit in memory.
                reference = [_unit(part[name].combine_chunks()) for name in VECTORS]
                total += negative_clip_loss(*pair, *reference, own, temperature=temperature)
            found = pa.array((total / len(sound)).astype(np.float32), from_pandas=True)
            yield pa.RecordBatch.from_arrays([batch.column("uid"), found], names=["uid", SCORE.name])

    return score


def _sound(part: pa.Table) -> np.ndarray:
    return np.all([np.isfinite(_unit(part[name].combine_chunks())).all(axis=1) for name in VECTORS], axis=0)


def _unit(vectors: pa.Array) -> np.ndarray:
    """Unit vectors, float32; rows of NaN for what is no vector."""
    from curation.vectors import as_matrix

    matrix, valid = as_matrix(vectors)
    with np.errstate(invalid="ignore"):
        matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    matrix[~valid] = np.nan
    return matrix
