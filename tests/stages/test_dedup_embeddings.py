"""dedup_embeddings: every dropped picture has a kept representative in reach, whatever the order or the partitions."""

import sys

import numpy as np
import pytest

from curation.schema import hex_id
from curation.stages import STAGES

DDL = (
    "uid string, image_id string, image_embedding binary, image_embedding__error string, image_width_px int, "
    "image_height_px int"
)
THRESHOLD = 0.95


@pytest.fixture(scope="module")
def rows():
    """400 vectors in 16 dimensions around 60 directions, some exact copies, one image with two captions, one broken."""
    generator = np.random.default_rng(1)
    centres = generator.normal(size=(60, 16))
    vectors = centres[generator.integers(0, 60, 400)] + 0.12 * generator.normal(size=(400, 16))
    vectors[390:] = vectors[:10]
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("<f2")
    listed = [
        (hex_id(str(i)), hex_id("image", str(i)), v.tobytes(), None, 10 + i % 5, 10) for i, v in enumerate(vectors)
    ]
    listed.append((hex_id("second"), *listed[0][1:]))
    return [*listed, (hex_id("broken"), hex_id("image", "broken"), None, "decode_error: cut", None, None)]


def _run(spark, rows, partitions=3):
    frame = spark.createDataFrame(rows, DDL).repartition(partitions)
    result, sides = STAGES["dedup_embeddings"](frame, threshold=THRESHOLD)
    duplicates = {r.image_id: r.group for r in sides["duplicates"].collect()}
    return {r.uid: (r.keep, r.drop_reason, r.drop_value) for r in result.collect()}, duplicates


def _vectors(rows):
    return {r[1]: np.frombuffer(r[2], "<f2").astype(np.float64) for r in rows if r[2] is not None}


@pytest.fixture(scope="module")
def outcome(spark, rows):
    return _run(spark, rows)


def test_greedy_by_preference_against_all_pairs(rows, outcome):
    images = {r[1]: r for r in rows if r[2] is not None}
    order = sorted(images, key=lambda i: (-images[i][4] * images[i][5], i))
    unit = {i: v / np.linalg.norm(v) for i, v in _vectors(rows).items()}
    kept: list[str] = []
    for image in order:
        if all(unit[image] @ unit[k] < THRESHOLD for k in kept):
            kept.append(image)
    verdicts, duplicates = outcome
    assert {r[1] for r in rows if verdicts[r[0]][0]} == set(kept)
    assert set(duplicates) == set(images) - set(kept) and len(duplicates) > 100


def test_every_dropped_picture_has_a_kept_representative_in_reach(rows, outcome):
    verdicts, duplicates = outcome
    kept = {r[1] for r in rows if verdicts[r[0]][0]}
    vectors = _vectors(rows)
    for image, representative in duplicates.items():
        assert representative in kept
        cosine = vectors[image] @ vectors[representative]
        assert cosine / np.linalg.norm(vectors[image]) / np.linalg.norm(vectors[representative]) > THRESHOLD - 2e-3


def test_captions_share_the_fate_of_their_picture_and_nulls_are_named(rows, outcome):
    verdicts, _ = outcome
    assert verdicts[hex_id("second")] == verdicts[hex_id("0")]
    assert verdicts[hex_id("broken")] == (False, "image_embedding is null", "decode_error: cut")


def test_order_partitions_and_cells_change_nothing(spark, rows, outcome, monkeypatch):
    assert _run(spark, rows[::-1], 7) == outcome
    module = sys.modules["curation.stages.dedup_embeddings"]  # the package holds the function of the same name
    monkeypatch.setattr(module, "CELL_IMAGES", 100)  # several cells instead of one
    first = _run(spark, rows)
    assert first == _run(spark, rows[::-1], 5)
    agree = sum(first[0][uid] == verdict for uid, verdict in outcome[0].items())
    assert agree >= 0.97 * len(outcome[0])  # a pair in no common cell may be missed


def test_one_picture_and_none(spark, rows):
    assert _run(spark, rows[:1])[0] == {rows[0][0]: (True, None, None)}
    assert _run(spark, [rows[-1]])[1] == {}
