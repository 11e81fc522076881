"""Selecting the top share of rows by a score."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import pyarrow as pa

from curation.errors import RecipeError, unknown

Rule = Literal["exact", "datacomp"]


def top_share(scores: Sequence[float | None] | np.ndarray | pa.Array, f: float, rule: Rule = "exact") -> np.ndarray:
    """Which rows are in the top share `f` by score, bool, shape (n,). What is null, NaN or infinite is never in and
    does not count.

    With n scores left, "exact" keeps int(n * f) rows, ties by the order given. "datacomp" keeps every row not below the
    score at index int(n * f) of the descending order, so one row more, or further on ties (arXiv:2304.14108,
    appendix; mlfoundations/datacomp 4a8df19); it has no such index at f = 1. RecipeError then, and for f outside
    [0, 1] or another rule.

    >>> top_share([0.4, 0.1, None, 0.3, 0.2], 0.5).tolist()
    [True, False, False, True, False]
    >>> top_share([0.4, 0.1, None, 0.3, 0.2], 0.5, "datacomp").tolist()
    [True, False, False, True, True]
    """
    if rule not in get_args(Rule):
        raise unknown("rule", [rule], get_args(Rule), "top_share")
    if not 0 <= f <= 1:
        raise RecipeError(f"top_share: f is {f}, wanted a share in [0, 1]")
    scores = np.array(scores, np.float64)  # None and null become NaN
    scores[np.isinf(scores)] = np.nan
    order = np.argsort(-scores, kind="stable")[: np.count_nonzero(~np.isnan(scores))]  # NaN sorts last
    count = int(len(order) * f)
    if rule == "exact":
        keep = np.zeros(len(scores), bool)
        keep[order[:count]] = True
        return keep
    if count >= len(order) > 0:
        raise RecipeError(f"top_share: rule 'datacomp' has no threshold at f = {f} of {len(order)} rows; use 'exact'")
    return scores >= scores[order[count]] if len(order) else np.zeros(len(scores), bool)
