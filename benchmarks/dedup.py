"""Near-duplicates among 100,000 vectors: our cells beside exact all-pairs and SemDeDup's single clusters.

    python benchmarks/dedup.py [--vectors N] [--rounds N] [--share S]

Vectors of 512 numbers in float16 as the store holds them: directions around centres of very different sizes, and 8 %
planted near-duplicates with a cosine of 0.95 to 1 to another vector. All sides run in this process, in turn, on one
thread, and give all pairs with cosine >= 0.95, decided in float64. `peer`: each vector with every one before it, half
of the matrix, in blocks (a matrix product and a threshold: the least that all-pairs can cost). As it grows with the
square and its blocks are alike, a seeded SHARE of its blocks is timed and the rest inferred. `semdedup`: k-means and
all pairs inside each cluster (arXiv:2303.09540), with as many clusters as ours has. `exact`: ours with every cell
visited that the geometry does not exclude, timed once. Training of k-means counts on all sides.

`recall` is the share found of the true pairs of 4,000 vectors, half of them planted, by all-pairs; `equal` is whether
ours gives no pair that is none and, in exact mode, all of them. The last line on stdout is one JSON object.
"""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from paired import in_turn, machine, say, thread_seconds

from curation.clusters import SAMPLE_PER_CELL, nearest_cells, spherical_kmeans, unit_rows
from curation.methods.near_vectors import QUERIES, all_near, cell_edges, visited_cells
from curation.stages.dedup_embeddings import CELL_IMAGES, EXACT_CELLS

VECTORS, NUMBERS, THRESHOLD = 100_000, 512, 0.95
PLANTED = 0.08  # share, as in the trial that the aim comes from
ASSIGNMENTS = 4  # the stage's default
ASKED = 4_000  # vectors whose true pairs are sought
SEED = 7
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # read as numpy is imported
TARGETS = {"recall": 0.999, "ratio": 4.5, "ratio_goal": 8}


def made_vectors(count: int) -> np.ndarray:
    """float32 (count, 512) that float16 holds; the first 8 % are near-duplicates of others."""
    generator = np.random.default_rng(SEED)
    centres = unit_rows(generator.normal(size=(max(2, count // 100), NUMBERS)))
    sizes = 1 / np.arange(1, len(centres) + 1) ** 0.7  # assumption: few topics have many pictures, as words do
    which = generator.choice(len(centres), count, p=sizes / sizes.sum())
    vectors = unit_rows(centres[which] + 0.9 / NUMBERS**0.5 * generator.normal(size=(count, NUMBERS)))
    planted = int(PLANTED * count)
    near = vectors[generator.integers(planted, count, planted)]
    aside = generator.normal(size=near.shape)
    aside = unit_rows(aside - (aside * near).sum(axis=1, keepdims=True) * near)
    cosine = generator.uniform(THRESHOLD, 1, (planted, 1))
    vectors[:planted] = cosine * near + np.sqrt(1 - cosine**2) * aside
    return vectors.astype(np.float16).astype(np.float32)


def by_cells(vectors: np.ndarray, cells: int, assignments: int) -> np.ndarray:
    """Pairs (row, later row), (2, n), of vectors that meet in a cell: what the stage does, without Spark."""
    unit = unit_rows(vectors)
    drawn = np.random.default_rng(SEED).permutation(len(unit))[: cells * SAMPLE_PER_CELL]
    centroids = spherical_kmeans(unit[drawn], cells, SEED)
    cosines, near = nearest_cells(unit, centroids, assignments)
    angles = np.arccos(np.clip(cosines[:, 0], -1, 1))
    radii = np.tile([np.pi, 0.0], (cells, 1))
    np.minimum.at(radii[:, 0], near[:, 0], angles)
    np.maximum.at(radii[:, 1], near[:, 0], angles)
    visits = visited_cells(cosines, near, centroids, radii, THRESHOLD)
    if assignments == cells:
        visits &= near > near[:, :1]
    rows = np.concatenate([np.arange(len(unit)), np.nonzero(visits)[0]])
    places = np.concatenate([near[:, 0], near[visits]])
    home = np.arange(len(rows)) < len(unit)
    order = np.lexsort((rows, places))
    ends = np.searchsorted(places[order], np.arange(cells + 1))
    found = []
    for start, end in pairwise(ends):
        here = rows[order[start:end]]
        edges = cell_edges(vectors[here], home[order[start:end]], THRESHOLD)
        found += [np.stack([here[e.better], here[e.worse]]) for e in edges]
    return np.unique(np.concatenate(found, axis=1), axis=1)


def all_pairs(vectors: np.ndarray, share: float) -> Callable[[], None]:
    """A share of the blocks of the half matrix, drawn by seed."""
    starts = np.arange(0, len(vectors), QUERIES)
    chosen = np.random.default_rng(SEED).permutation(starts)[: max(1, round(share * len(starts)))]
    work = sum(start + QUERIES for start in chosen.tolist()) / sum(start + QUERIES for start in starts.tolist())
    unit = unit_rows(vectors)

    def search() -> None:
        for start in chosen.tolist():
            products = unit[start : start + QUERIES] @ unit[: start + QUERIES].T
            np.nonzero(products >= THRESHOLD)

    search.share = work
    return search


def true_pairs(vectors: np.ndarray) -> set[tuple[int, int]]:
    """All pairs of the asked vectors, by comparing them with all."""
    planted = int(PLANTED * len(vectors))
    generator = np.random.default_rng(SEED + 1)
    half = min(ASKED // 2, planted)
    asked = np.concatenate([generator.choice(planted, half, False), generator.choice(len(vectors), half, False)])
    asked = np.unique(asked)
    rows, others = all_near(vectors[asked], vectors, THRESHOLD)
    return {(min(a, b), max(a, b)) for a, b in zip(asked[rows].tolist(), others.tolist()) if a != b}


def benchmark(count: int, rounds: int, share: float) -> dict:
    """The whole measurement: make vectors, prove that pairs are pairs, time the sides in turn."""
    vectors = made_vectors(count)
    cells = max(2, -(-count // CELL_IMAGES))
    say(f"true pairs of {ASKED} of {count} vectors")
    true = true_pairs(vectors)
    peer = all_pairs(vectors, share)
    few = max(2, cells // EXACT_CELLS)
    sides = {
        "ours": lambda: by_cells(vectors, cells, ASSIGNMENTS),
        "semdedup": lambda: by_cells(vectors, cells, 1),
        "exact": lambda: by_cells(vectors, few, few),
    }
    found, seconds = all_found(sides)
    recall = {name: len(true & pairs) / len(true) for name, pairs in found.items()} | {"peer": 1.0}
    say(f"{rounds} rounds")
    timed = {name: side for name, side in sides.items() if name != "exact"} | {"peer": peer}
    seconds |= in_turn(timed, rounds, thread_seconds)
    seconds["peer"] = [each / peer.share for each in seconds["peer"]]
    ratios = [theirs / ours for theirs, ours in zip(seconds["peer"], seconds["ours"])]
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "name": "dedup",
        "ratio": round(middle["peer"] / middle["ours"], 2),
        "ours": round(middle["ours"], 2),
        "peer": round(middle["peer"], 2),
        "unit": "thread CPU seconds",
        "input": f"{count} vectors of {NUMBERS} numbers, {PLANTED:.0%} planted; cosine {THRESHOLD}; {cells} cells",
        "rounds": rounds,
        "equal": all_are_near(vectors, set.union(*found.values())) and recall["exact"] == 1,
        "machine": machine("faiss-cpu", "numpy"),
        "ratio_range": [round(min(ratios), 2), round(max(ratios), 2)],
        "table": {name: told(middle, name, count) | {"recall": round(recall[name], 5)} for name in middle},
        "true_pairs": len(true),
        "peer_share_timed": round(peer.share, 3),
        "targets": TARGETS,
    }


def all_found(sides: dict[str, Callable]) -> tuple[dict[str, set], dict[str, list[float]]]:
    """The pairs of each side, and how long it took."""
    found, seconds = {}, {}
    for name, side in sides.items():
        say(f"pairs by {name}")
        rows: list[np.ndarray] = []
        seconds[name] = [thread_seconds(lambda side=side, rows=rows: rows.extend(side()))]
        found[name] = set(zip(*(each.tolist() for each in rows)))
    return found, seconds


def all_are_near(vectors: np.ndarray, pairs: set[tuple[int, int]]) -> bool:
    """Whether each pair that any side found is one: in float64."""
    told = np.array(sorted(pairs))
    left, right = (vectors[told[:, n]].astype(np.float64) for n in (0, 1))
    cosine = (left * right).sum(axis=1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)
    return bool((cosine >= THRESHOLD - 1e-9).all())


def told(seconds: dict[str, float], name: str, count: int) -> dict:
    """A side's row of the table."""
    times = round(seconds["peer"] / seconds[name], 2)
    return {
        "seconds": round(seconds[name], 2),
        "times_all_pairs": times,
        "vectors_per_second": round(count / seconds[name]),
    }


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=VECTORS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.1, help="of the blocks of all-pairs that are timed")
    args = parser.parse_args()
    if ONE_THREAD.items() - os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ONE_THREAD)
    print(json.dumps(benchmark(args.vectors, args.rounds, args.share)))


if __name__ == "__main__":
    main()
