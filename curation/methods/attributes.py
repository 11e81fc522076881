"""Balancing of sensitive attributes (M4, "CLIP the Bias", arXiv:2403.04547): the weights that satisfy the constraints.

The published algorithm is stochastic dual ascent over rows. Rows of equal attributes, labels and utility have equal
weights (the objective is strictly convex), so the same optimum is found here from counts of groups, by Newton's method
on the dual: exact, and without learning rate or row order.
"""

from collections.abc import Sequence

import numpy as np

from curation.errors import RecipeError, SchemaError

STEPS = 500  # of Newton's method; some ten suffice where the constraints can be met
TOLERANCE = 1e-8  # by which a constraint may be missed, in shares of the rows
SMALLEST_STEP = 1e-12
RIDGE = 1e-12  # keeps the Hessian regular where constraints repeat each other


def attribute_weights(
    s: Sequence | np.ndarray,
    y: Sequence | np.ndarray,
    pi: Sequence[float] | float,
    eta: float,
    eps_R: float = 0.0,
    eps_D: float = 0.0,
    Q: float = 1.0,
    *,
    utility: Sequence[float] | np.ndarray | None = None,
    V: float = np.inf,
    counts: Sequence[int] | np.ndarray | None = None,
) -> np.ndarray:
    """Weight of each row, float64, shape (n,), in [0, Q], mean `eta`: sample the row with this probability.

    `s` (n, m) holds the sensitive attributes and `y` (n, c) the labels, 0 or 1, NaN in `s` where an attribute does not
    apply, so that it asks nothing of the row; `pi` the target share of each attribute, or one for all; `utility` (n,)
    what a row is worth (default 1), `counts` (n,) how many rows each one stands for. The weights q minimise
    E[(q - eta u)^2] / 2 subject to |E[q (s_k - pi_k)]| <= eps_R for each attribute and
    |E[q (s_k - pi_k) y_r]| <= eps_D for each attribute and label. V is the price at which a constraint is given up;
    infinite: never. M4: "CLIP the Bias", arXiv:2403.04547, section 5. Raises SchemaError for arrays that do not fit,
    RecipeError where no weights satisfy the constraints.

    >>> groups = np.array([[1, 1], [1, 0], [0, 1], [0, 0]])
    >>> attribute_weights(groups[:, :1], groups[:, 1:], 0.5, 0.75, counts=[4, 3, 2, 3]).round(6).tolist()
    [0.5, 0.833333, 1.0, 0.833333]
    """
    s, y = _matrix(s, "s", (0, 1, np.nan)), _matrix(y, "y", (0, 1))
    pi = np.broadcast_to(np.asarray(pi, np.float64), s.shape[1])
    worth = np.ones(len(s)) if utility is None else np.asarray(utility, np.float64)
    share = np.ones(len(s)) if counts is None else np.asarray(counts, np.float64)
    if not len(s) == len(y) == len(worth) == len(share):
        raise SchemaError(f"attribute_weights: {len(s)} rows of s, {len(y)} of y, {len(worth)} utilities")
    if not len(s):
        return np.zeros(0)
    apart = np.where(np.isnan(s), 0.0, s - pi)
    linked = (apart[:, :, None] * y[:, None, :]).reshape(len(s), -1)
    signed = np.hstack([apart, -apart, linked, -linked])
    slack = np.repeat([eps_R, eps_D], [2 * apart.shape[1], 2 * linked.shape[1]])
    terms = np.hstack([np.ones((len(s), 1)), signed])
    return _Dual(terms, np.append(eta, slack), share / share.sum(), eta * worth, Q, V).weights()


def _matrix(values: Sequence | np.ndarray, name: str, allowed: tuple[float, ...]) -> np.ndarray:
    matrix = np.asarray(values, np.float64)
    matrix = matrix[:, None] if matrix.ndim == 1 else matrix
    known = np.isin(matrix, allowed) | (np.isnan(matrix) & (len(allowed) > 2))
    if matrix.ndim != 2 or not known.all():
        raise SchemaError(f"attribute_weights: {name} has shape {matrix.shape}; wanted (n, k) of 0 and 1")
    return matrix


class _Dual:
    """Prices of the constraints; the first, of the mean weight, has either sign, the others are in [0, V]."""

    def __init__(
        self, terms: np.ndarray, limits: np.ndarray, share: np.ndarray, wanted: np.ndarray, Q: float, V: float
    ) -> None:
        self.terms, self.limits, self.share, self.wanted, self.Q = terms, limits, share, wanted, Q
        self.low = np.append(-np.inf, np.zeros(len(limits) - 1))
        self.high = np.append(np.inf, np.full(len(limits) - 1, V))

    def primal(self, prices: np.ndarray) -> np.ndarray:
        return np.clip(self.wanted - self.terms @ prices, 0, self.Q)

    def value(self, prices: np.ndarray) -> float:
        """Minus the dual function, which is to be made small."""
        q = self.primal(prices)
        missed = self.terms.T @ (self.share * q) - self.limits
        return -(0.5 * self.share @ (q - self.wanted) ** 2 + prices @ missed)

    def weights(self) -> np.ndarray:
        """The weights at the best prices, by Newton's method; prices at a limit are held there (Bertsekas 1982)."""
        prices = np.zeros(len(self.limits))
        for _ in range(STEPS):
            q = self.primal(prices)
            slope = self.limits - self.terms.T @ (self.share * q)
            held = ((prices <= self.low) & (slope > 0)) | ((prices >= self.high) & (slope < 0))
            if np.abs(slope[~held]).max(initial=0) < TOLERANCE:
                return q
            prices = self._step(prices, slope, ~held, q)
        worst = np.abs(np.where(held, 0, slope)).max()
        raise RecipeError(
            f"no weights satisfy the constraints (missed by {worst:.2g}): wanted a smaller eta, a larger eps, a larger "
            "Q or a finite V. With one attribute of share x and pi = 1/2, eta is at most 2 Q min(x, 1 - x)"
        )

    def _step(self, prices: np.ndarray, slope: np.ndarray, free: np.ndarray, q: np.ndarray) -> np.ndarray:
        inner = self.share * ((q > 0) & (q < self.Q))
        hessian = self.terms[:, free].T @ (inner[:, None] * self.terms[:, free])
        ridge = RIDGE + 1e-8 * np.abs(slope[free]).max()
        direction = np.zeros(len(prices))
        direction[free] = -np.linalg.solve(hessian + ridge * np.eye(free.sum()), slope[free])
        length, start = 1.0, self.value(prices)
        while length > SMALLEST_STEP:
            moved = np.clip(prices + length * direction, self.low, self.high)
            if self.value(moved) <= start + 1e-4 * slope @ (moved - prices):  # Armijo's rule, its usual constant
                return moved
            length /= 2
        return moved
