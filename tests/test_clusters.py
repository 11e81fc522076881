"""Cells of k-means: the same for the same rows, whatever their order, and near what they stand for."""

import numpy as np
import pytest

from curation.clusters import nearest_cells, spherical_kmeans, trained_cells, unit_rows


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    generator = np.random.default_rng(5)
    centres = unit_rows(generator.normal(size=(8, 32)))
    return unit_rows(centres[np.arange(400) % 8] + 0.05 * generator.normal(size=(400, 32))).astype("<f2")


def test_each_planted_group_is_a_cell(vectors):
    centroids = spherical_kmeans(vectors, 8, seed=3, iterations=50)
    _, cells = nearest_cells(unit_rows(vectors), centroids, 2)
    assert np.allclose(np.linalg.norm(centroids, axis=1), 1, atol=1e-6)
    # k-means may join two groups and halve a third; most are found
    assert sum(len(set(cells[group::8, 0])) == 1 for group in range(8)) >= 6


def test_order_and_partitions_change_nothing(spark, vectors):
    rows = [(f"{n:04}", bytes(v.tobytes())) for n, v in enumerate(vectors)]
    frame = spark.createDataFrame(rows, "image_id string, vector binary")
    shuffled = spark.createDataFrame(rows[::-1], "image_id string, vector binary").repartition(5)
    first = trained_cells(frame, 8, 3, per_cell=20)
    assert first.shape == (8, 32)
    assert np.array_equal(first, trained_cells(shuffled, 8, 3, per_cell=20))
    assert not np.array_equal(first, trained_cells(frame, 8, 4, per_cell=20))


def test_nearest_cells_are_those_of_a_row_alone(vectors):
    """Centroids that differ by less than float32 tells: each row's order is the same whatever stands beside it."""
    generator = np.random.default_rng(6)
    centroids = np.repeat(unit_rows(generator.normal(size=(20, 32))), 3, axis=0)
    centroids += 3e-8 * generator.normal(size=centroids.shape).astype(np.float32)
    unit = unit_rows(vectors)
    together = nearest_cells(unit, centroids, 4)
    alone = [nearest_cells(unit[n : n + 1], centroids, 4) for n in range(100)]
    others = np.concatenate([cells for _, cells in alone])
    assert np.array_equal(together[1][:100, 0], others[:, 0])
    assert np.array_equal(np.sort(together[1][:100]), np.sort(others))
    exact = unit.astype(np.float64) @ centroids.astype(np.float64).T
    assert np.abs(np.sort(exact)[:, ::-1][:, :4] - together[0]).max() < 1e-6
