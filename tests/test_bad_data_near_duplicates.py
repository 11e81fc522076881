"""Near duplicates planted just above and below the threshold, in chains and in clusters, against all pairs."""

import sys

import numpy as np
import pyarrow as pa
import pytest

from curation.schema import hex_id
from curation.stages import STAGES

THRESHOLD = 0.95
DIM = 64
EQUAL = 10_000
CLOSE = 600  # more than are searched at once, and more neighbours than are listed


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def apart(generator: np.random.Generator, count: int, cosines: list[float]) -> list[np.ndarray]:
    """`count` directions, and each turned so far, always the same way, that it has these cosines with itself."""
    first, second = unit(generator.normal(size=(2, count, DIM)))
    second = unit(second - (second * first).sum(axis=1, keepdims=True) * first)
    return [c * first + np.sqrt(1 - c * c) * second for c in cosines]


@pytest.fixture(scope="module")
def images() -> dict[str, np.ndarray]:
    """Vectors by what they are: 300 pairs above and below, 60 chains, 10,000 equal ones, 600 close ones, others."""
    generator = np.random.default_rng(3)
    angle = np.arccos(THRESHOLD + 0.01)  # two steps of it are too far
    centre = unit(generator.normal(size=DIM))
    made = {
        "above": np.concatenate(apart(generator, 300, [1.0, THRESHOLD + 1e-4])),
        "below": np.concatenate(apart(generator, 300, [1.0, THRESHOLD - 1e-4])),
        "chains": np.concatenate(apart(generator, 60, [1.0, np.cos(angle), np.cos(2 * angle)])),
        "equal": np.repeat(unit(generator.normal(size=(1, DIM))), EQUAL, axis=0),
        "close": unit(centre + 0.01 * generator.normal(size=(CLOSE, DIM))),
        "others": generator.normal(size=(400, DIM)),
    }
    # Lengths differ: cosine is of directions, whatever a model yields.
    return {k: (v * generator.uniform(0.5, 2, (len(v), 1))).astype("<f2") for k, v in made.items() if k != "equal"} | {
        "equal": made["equal"].astype("<f2")
    }


@pytest.fixture(scope="module")
def table(images) -> pa.Table:
    names = [hex_id(kind, str(n)) for kind, rows in images.items() for n in range(len(rows))]
    vectors = [row.tobytes() for rows in images.values() for row in rows]
    pixels = np.random.default_rng(4).integers(1, 5, len(names))
    columns = {
        "uid": names,
        "image_id": names,
        "image_embedding": pa.array(vectors, pa.binary()),
        "image_embedding__error": pa.nulls(len(names), pa.string()),
        "image_width_px": pa.array(pixels, pa.int32()),
        "image_height_px": pa.array(np.ones(len(names)), pa.int32()),
    }
    return pa.table(columns)


def run(spark, table: pa.Table, partitions: int) -> tuple[dict[str, str], set[str]]:
    """The representative of each dropped picture, and the kept ones."""
    result, sides = STAGES["dedup_embeddings"](
        spark.createDataFrame(table).repartition(partitions), threshold=THRESHOLD
    )
    kept = {r.uid for r in result.where("keep").select("uid").collect()}
    return {r.image_id: r.group for r in sides["duplicates"].collect()}, kept


@pytest.fixture(scope="module")
def found(spark, table) -> tuple[dict[str, str], set[str]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["curation.stages.dedup_embeddings"], "CELL_IMAGES", 300)  # several cells
        return run(spark, table, 3)


@pytest.fixture(scope="module")
def exact(table) -> dict[str, set[str]]:
    """Each picture that goes, best first, by comparing all with all: the kept ones in reach of it."""
    names, pixels = table["image_id"].to_pylist(), table["image_width_px"].to_pylist()
    vectors = np.frombuffer(b"".join(table["image_embedding"].to_pylist()), "<f2").reshape(-1, DIM).astype(np.float64)
    vectors = unit(vectors)
    kept, gone = [], {}
    for i in sorted(range(len(names)), key=lambda i: (-pixels[i], names[i])):
        near = np.flatnonzero(vectors[kept] @ vectors[i] >= THRESHOLD) if kept else []
        if len(near):
            gone[names[i]] = {names[kept[k]] for k in near}
        else:
            kept.append(i)
    return gone


def test_recall_and_precision_against_all_pairs(found, exact):
    duplicates, _ = found
    assert len(exact) > EQUAL + CLOSE + 300
    assert len(exact.keys() & duplicates.keys()) >= 0.999 * len(exact)
    wrong = {image for image, representative in duplicates.items() if representative not in exact.get(image, ())}
    assert not wrong


def test_one_of_each_cluster_stays(found, images):
    duplicates, kept = found
    assert len(kept) + len(duplicates) == sum(map(len, images.values()))
    for kind, groups, size in (("equal", 1, EQUAL), ("close", 1, CLOSE), ("above", 300, 2)):
        left = [n for n in range(groups * size) if hex_id(kind, str(n)) in kept]
        assert len({n % groups for n in left}) == len(left) == groups, kind
    assert all(hex_id("below", str(n)) in kept for n in range(600))
    assert all(hex_id("others", str(n)) in kept for n in range(400))


def test_of_a_chain_the_ends_or_the_middle_stay(found, table):
    """a ~ b ~ c, but not a ~ c: where b is the best it stands for both, else a and c stay, or the better one and c."""
    _, kept = found
    left = [tuple(hex_id("chains", str(60 * k + n)) in kept for k in range(3)) for n in range(60)]
    assert set(left) <= {(False, True, False), (True, False, True)}
    assert len(set(left)) == 2


@pytest.mark.parametrize("partitions", [1, 7])
def test_parallelism_and_order_change_nothing(spark, table, found, partitions, monkeypatch):
    monkeypatch.setattr(sys.modules["curation.stages.dedup_embeddings"], "CELL_IMAGES", 300)
    shuffled = table.take(np.random.default_rng(partitions).permutation(len(table)))
    assert run(spark, shuffled, partitions) == found
