"""MoDE: two levels of balanced clusters of captions, and which expert a task asks how much."""

from typing import NamedTuple

import numpy as np

from curation.errors import SchemaError
from curation.methods.centroids import nearest_centroids

# Constants of the released ensemble (facebookresearch/MetaCLIP, apps/mode; arXiv:2404.16030).
SHARPNESS, SOFTNESS = 5.0, 8.0
MANY_CLASSES, FEW_CLASSES = 200, 10


class Routing(NamedTuple):
    """Per class of a task the nearest fine centre, int64, and the distance to it; per expert its raw weight."""

    nearest: np.ndarray
    distance: np.ndarray
    raw_weight: np.ndarray


def route_experts(task: np.ndarray, centres: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Weight of each expert for a task, float64, shape (experts,), sum 1; to be applied to the experts' logits.

    `task` (n, d): vectors of the task's class names; `centres` (m, d): fine centres; `groups` (m,): the expert of each,
    numbers from 0. An expert that no class is near to gets a weight too. SchemaError for no class or arrays that do not
    go together. MoDE (arXiv:2404.16030), section 3.3, with the constants of the released code.

    >>> route_experts(np.array([[0.0, 0.1]]), np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([0, 1])).round(3).tolist()
    [0.828, 0.172]
    """
    raw = routing(task, centres, groups).raw_weight / SOFTNESS
    weights = np.exp(raw - raw.max())
    return weights / weights.sum()


def routing(task: np.ndarray, centres: np.ndarray, groups: np.ndarray) -> Routing:
    """What `route_experts` is made of: for a class the nearest centre, for an expert the sum of how near they are."""
    task, centres = (np.atleast_2d(np.asarray(each, np.float64)) for each in (task, centres))
    groups = np.asarray(groups, np.int64)
    if not task.size or len(groups) != len(centres) or groups.min(initial=0) < 0:
        raise SchemaError(f"route_experts: task {task.shape}, centres {centres.shape}, {len(groups)} groups")
    distances = [np.sqrt(((centres - name) ** 2).sum(axis=1)) for name in task]
    nearest = np.array([each.argmin() for each in distances])
    distance = np.array([each.min() for each in distances])
    count = len(task)
    start = np.exp(0.5 - np.sqrt(count)) if count < FEW_CLASSES else 0.0
    factor = SHARPNESS * np.log10(max(10, count - MANY_CLASSES))
    raw = np.zeros(int(groups.max()) + 1)
    np.add.at(raw, groups[nearest], np.exp((start - distance) * factor))
    return Routing(nearest, distance, raw)


def nearest_centres(vectors: np.ndarray, centres: np.ndarray, prices: np.ndarray | None = None) -> np.ndarray:
    """Number of the row of `centres` (k, d) at the least Euclidean distance of each of `vectors`, int64, shape (n,).

    With `prices` (k,) the least squared distance plus price decides (see balanced_centres). Exact as nearest_centroids
    is, for float32 vectors; the first of equal ones. SchemaError where sizes differ.

    >>> nearest_centres(np.array([[1.0, 0.0]]), np.array([[5.0, 0.0], [0.9, 0.1]])).tolist()
    [1]
    """
    vectors, centres = np.asarray(vectors), np.asarray(centres, np.float64)
    # |x - c|^2 = |x|^2 - 2 (x c - |c|^2 / 2): the least distance is the largest product with a one put to x.
    own = (centres**2).sum(axis=1) + (0 if prices is None else prices)
    lifted = np.column_stack([centres, -own / 2])
    return nearest_centroids(np.column_stack([vectors, np.ones(len(vectors))]), lifted)
