"""Clusters of equal size: k-means whose clusters have a price each, which those that are too full raise."""

from typing import NamedTuple

import numpy as np

ROUNDS, MOVE_EVERY = 60, 3  # of prices, and centres move after every third: 20 moves, as faiss's k-means makes
SETTLE = 200  # assumption: further rounds at most in which only prices move; some 20 do on vectors of one kind
ENOUGH = 0.01  # of the size aimed at: half of what the published code lets a cluster be out by
DAMPING = 0.6  # assumption: of what is too much is shed in a round; all of it at once swings
BLOCK = 4096  # rows of distances at once: 16 MB with 1,024 clusters


class Balanced(NamedTuple):
    """Centres (k, d) and prices (k,), float64; a vector belongs to the least squared distance plus price."""

    centres: np.ndarray
    prices: np.ndarray


def balanced_centres(vectors: np.ndarray, start: np.ndarray) -> Balanced:
    """Clusters of about equal size of `vectors` (n, d), from the centres `start` (k, d), k at most n.

    Each vector goes to the cluster where squared distance plus price is least; a cluster that is too full raises its
    price as far as makes the surplus leave, one that is too empty lowers it. On vectors of one kind sizes end within 1
    in 100 of each other, or one vector; where they lie in tight groups whose sizes do not divide so, less close. After
    MoDE (arXiv:2404.16030), whose balanced k-means is online and not published in detail.
    """
    vectors = np.ascontiguousarray(vectors, np.float32)
    centres, prices = np.array(start, np.float64), np.zeros(len(start))
    target, best = len(vectors) / max(1, len(start)), (np.inf, prices)
    for number in range(ROUNDS + SETTLE):
        nearest, gap = _two_best(vectors, centres, prices)
        sizes = np.bincount(nearest, minlength=len(centres))
        if number >= ROUNDS:
            off = np.abs(sizes - target).max(initial=0)
            best = min(best, (off, prices), key=lambda each: each[0])
            if off <= max(1, ENOUGH * target):
                break
        elif number % MOVE_EVERY == MOVE_EVERY - 1:
            centres = _means(vectors, nearest, sizes, centres)
        prices = _repriced(prices, nearest, gap, sizes, target)
    return Balanced(centres, best[1])


def _two_best(vectors: np.ndarray, centres: np.ndarray, prices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cluster of each vector, and by how much the next one is dearer."""
    if len(centres) == 1:
        return np.zeros(len(vectors), np.int64), np.zeros(len(vectors), np.float32)
    nearest, gap = np.empty(len(vectors), np.int64), np.empty(len(vectors), np.float32)
    own = ((centres**2).sum(axis=1) + prices).astype(np.float32)
    turned = np.ascontiguousarray(-2 * centres.T, np.float32)
    for begin in range(0, len(vectors), BLOCK):
        rows = slice(begin, begin + BLOCK)
        costs = vectors[rows] @ turned + own
        nearest[rows] = costs.argmin(axis=1)
        two = np.partition(costs, 1, axis=1)
        gap[rows] = two[:, 1] - two[:, 0]
    return nearest, gap


def _means(vectors: np.ndarray, nearest: np.ndarray, sizes: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The mean of each cluster; where it is empty its centre stays."""
    order = np.argsort(nearest, kind="stable")
    present = np.flatnonzero(sizes)
    starts = (np.cumsum(sizes) - sizes)[present]
    after = before.copy()
    after[present] = np.add.reduceat(vectors[order].astype(np.float64), starts, axis=0) / sizes[present, None]
    return after


def _repriced(prices: np.ndarray, nearest: np.ndarray, gap: np.ndarray, sizes: np.ndarray, target: float) -> np.ndarray:
    after = prices - np.median(gap) * np.maximum(0, 1 - sizes / target) * DAMPING
    order = np.lexsort((gap, nearest))
    first = np.cumsum(sizes) - sizes
    for each in np.flatnonzero(sizes > target):
        surplus = int(np.ceil((sizes[each] - target) * DAMPING))
        after[each] += gap[order[first[each] + surplus - 1]] * (1 + 1e-6)  # a little more, so that it leaves
    return after - after.mean()
