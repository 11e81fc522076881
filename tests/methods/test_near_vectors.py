"""Pairs within cells: whatever the cells, with all of them listed no pair is missed, and none is told that is none."""

import numpy as np
import pytest

from curation.clusters import nearest_cells, spherical_kmeans, unit_rows
from curation.methods.near_vectors import all_near, cell_edges, visited_cells


def found_by_cells(vectors: np.ndarray, cells: int, listed: int, threshold: float) -> tuple[set, float]:
    """Pairs that meet, and the share of the listed visits that are made."""
    unit = unit_rows(vectors)
    centroids = spherical_kmeans(vectors, cells, 1, iterations=5)
    cosines, near = nearest_cells(unit, centroids, listed)
    angles = np.arccos(np.clip(cosines[:, 0], -1, 1))
    radii = np.tile([9.0, 0.0], (cells, 1))
    np.minimum.at(radii[:, 0], near[:, 0], angles)
    np.maximum.at(radii[:, 1], near[:, 0], angles)
    visits = visited_cells(cosines, near, centroids, radii, threshold)
    pairs: set[tuple[int, int]] = set()
    for cell in range(cells):
        rows = np.flatnonzero((near[:, 0] == cell) | (visits & (near == cell)).any(axis=1))
        for edges in cell_edges(vectors[rows], near[rows, 0] == cell, threshold):
            pairs |= set(zip(rows[edges.better].tolist(), rows[edges.worse].tolist()))
    return pairs, float(visits[:, 1:].mean()) if listed > 1 else 0.0


@pytest.mark.parametrize("loose", [0.05, 0.25, 2.0])
@pytest.mark.parametrize("threshold", [0.8, 0.95])
def test_no_pair_is_missed_where_all_cells_are_listed(loose, threshold):
    generator = np.random.default_rng(9)
    centres = unit_rows(generator.normal(size=(12, 10)))
    vectors = centres[generator.integers(0, 12, 300)] + loose / 10**0.5 * generator.normal(size=(300, 10))
    vectors[:40] = vectors[40:80] + 0.2 * generator.uniform(0, 1, (40, 1)) * unit_rows(generator.normal(size=(40, 10)))
    vectors = vectors.astype(np.float16).astype(np.float32)
    rows, others = all_near(vectors, vectors, threshold)
    wanted = {(a, b) for a, b in zip(rows.tolist(), others.tolist()) if a < b}
    pairs, made = found_by_cells(vectors, 12, 12, threshold)
    # of the better neighbours of a row 64 are told: here no cell is that large
    assert pairs == wanted and wanted
    if loose == 0.05:
        assert made < 0.5  # cells are left out at all
    single, _ = found_by_cells(vectors, 12, 1, threshold)
    assert single <= wanted


def test_of_a_dense_cluster_each_row_tells_its_best_neighbours():
    generator = np.random.default_rng(3)
    vectors = unit_rows(np.ones((1, 16)) + 0.01 * generator.normal(size=(900, 16)))
    edges = list(cell_edges(vectors, np.ones(900, bool), 0.95))
    better, worse = np.concatenate([e.better for e in edges]), np.concatenate([e.worse for e in edges])
    assert len(worse) == sum(min(n, 64) for n in range(900)) and (better < 64).all()
