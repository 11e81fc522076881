"""Bootstrap intervals of shares: what another draw of as many pictures from the same source would have given."""

from collections.abc import Callable

import numpy as np

LEVEL = 0.95
Statistic = Callable[[np.ndarray], float]  # of how many times each item is there


def resampled(values: Statistic, items: int, resamples: int, seed: int) -> list[float] | None:
    """The percentile interval [low, high] at LEVEL of a statistic, None for no resamples.

    `values(weights)` is the statistic where item i is there weights[i] times; it is asked once for each resample of
    `items` items, drawn with replacement by a generator of `seed` (Efron 1979). A resample whose statistic is NaN does
    not count.

    >>> resampled(lambda weights: float(np.average([0, 1, 1, 0], weights=weights)), 4, 200, 0)
    [0.0, 1.0]
    """
    if resamples < 1:
        return None
    draw = np.random.default_rng(seed)
    found = np.array([values(np.bincount(draw.integers(0, items, items), minlength=items)) for _ in range(resamples)])
    tail = (1 - LEVEL) / 2 * 100
    low, high = np.nanpercentile(found, [tail, 100 - tail])
    return [float(low), float(high)]


def ratio(sums: np.ndarray, counts: np.ndarray) -> Statistic:
    """The statistic sum / count over groups of which one is drawn as a whole: a picture with all of its captions.

    >>> ratio(np.array([1, 0]), np.array([1, 3]))(np.array([2, 1]))
    0.4
    """

    def value(weights: np.ndarray) -> float:
        total = float(weights @ counts)
        return float(weights @ sums) / total if total else float("nan")

    return value
