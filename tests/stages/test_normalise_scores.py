"""negCLIPLoss: equal to the plain formula, whatever the order and the partitions."""

import numpy as np
import pytest

from curation.methods import negative_clip_loss
from curation.stages import STAGES
from curation.vectors import from_matrix, to_binary


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def plain(images, captions, batch, t):
    """The paper's formula, pair by pair; `batch` are places, to which the pair's own is added."""
    found = []
    for i in range(len(images)):
        members = sorted({*batch, i})
        rows = np.exp(images[i] @ captions[members].T / t).sum()
        columns = np.exp(images[members] @ captions[i] / t).sum()
        found.append(images[i] @ captions[i] - t / 2 * (np.log(rows) + np.log(columns)))
    return np.array(found)


@pytest.fixture(scope="module")
def vectors():
    draw = np.random.default_rng(3)
    images = unit(draw.normal(size=(300, 12)))
    return images, unit(images + draw.normal(size=(300, 12)))


@pytest.mark.parametrize("t", [0.01, 0.07, 1.0])
def test_it_is_the_formula(vectors, t):
    images, captions = vectors
    batch = np.arange(0, 300, 4)
    own = np.where(np.arange(300) % 4 == 0, np.arange(300) // 4, -1)
    found = negative_clip_loss(images, captions, images[batch], captions[batch], own, temperature=t)
    np.testing.assert_allclose(found, plain(images, captions, batch, t), atol=1e-7)
    assert (found <= 0).all()


def test_a_row_does_not_see_its_neighbours(vectors):
    images, captions = vectors
    batch = images[:77], captions[:77]
    whole = negative_clip_loss(images, captions, *batch)
    assert negative_clip_loss(images[5:6], captions[5:6], *batch)[0] == whole[5]
    order = np.random.default_rng(0).permutation(300)
    assert (negative_clip_loss(images[order], captions[order], *batch) == whole[order]).all()


@pytest.fixture(scope="module")
def pairs(spark, vectors):
    images, captions = (to_binary(from_matrix(each)).to_pylist() for each in vectors)
    uids = [f"{n:032x}" for n in range(300)]
    images[7], captions[8], images[9] = None, None, bytes(24)
    return list(zip(uids, images, captions))


def scored(spark, rows, partitions, **settings):
    frame = spark.createDataFrame(rows, "uid string, image_embedding binary, caption_embedding binary")
    table = STAGES["normalise_scores"](frame.repartition(partitions), **settings)
    return {row["uid"]: row["negative_clip_loss"] for row in table.collect()}


def test_one_batch_of_all_pairs(spark, vectors, pairs):
    found = scored(spark, pairs, 3)
    assert len(found) == 300 and [found[pairs[n][0]] for n in (7, 8, 9)] == [None] * 3
    images, captions = (unit(each.astype(np.float16).astype(np.float64)) for each in vectors)
    rest = [n for n in range(300) if n not in (7, 8, 9)]
    wanted = plain(images, captions, rest, 0.01)
    np.testing.assert_allclose([found[pairs[n][0]] for n in rest], wanted[rest], atol=1e-5)


def test_batches_are_drawn_by_hash(spark, pairs):
    settings = {"batch_size": 40, "batches": 3, "seed": 5}
    found = scored(spark, pairs, 2, **settings)
    assert scored(spark, pairs[::-1], 5, **settings) == found
    assert scored(spark, pairs, 2, **settings | {"seed": 6}) != found
