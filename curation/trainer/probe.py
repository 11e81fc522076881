"""A linear probe: logistic regression on a model's picture vectors; the same input gives the same classifier."""

from typing import NamedTuple

import numpy as np
import torch

from curation.errors import RecipeError
from curation.trainer.data import uniform

HELD = 0.2  # share of the training pictures that the strength of regularisation is chosen on
STRENGTHS = tuple(10.0**power for power in range(-6, 2))  # L2, of the mean loss, on standardised vectors
STEPS = 200  # of L-BFGS at most
TOLERANCE = 1e-7


class Probe(NamedTuple):
    """Scores of the test pictures (n, classes), and the strength of regularisation that was chosen, and how good
    each was: acc1 on the held-out part of the training pictures.
    """

    scores: np.ndarray
    strength: float
    tried: dict[str, float]


def linear_probe(
    train: np.ndarray, labels: np.ndarray, keys: list[str], test: np.ndarray, classes: int, seed: int = 0
) -> Probe:
    """Fit on vectors (n, dim) with labels int (n,), score those of the test, (m, dim).

    The strength is that of STRENGTHS with the best acc1 on HELD of the training pictures, chosen by a hash of their
    keys, the strongest of equals; the fit is then on all of them. Full-batch L-BFGS from zero, in float64, so nothing
    is drawn. RecipeError where all or none would be held out.
    """
    held = np.array([uniform("probe", seed, key) < HELD for key in keys])
    if held.all() or not held.any():
        told = f"{len(held)} training pictures, {int(held.sum())} of them held out"
        raise RecipeError(f"linear probe: {told}: wanted more pictures, or no --probe")
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    scaled, asked = ((each - mean) / np.where(deviation > 0, deviation, 1.0) for each in (train, test))
    tried = {}
    for strength in STRENGTHS:
        scores = _fitted(scaled[~held], labels[~held], classes, strength)(scaled[held])
        tried[f"{strength:g}"] = float((scores.argmax(axis=1) == labels[held]).mean())
    best = max(STRENGTHS, key=lambda strength: (tried[f"{strength:g}"], strength))
    return Probe(_fitted(scaled, labels, classes, best)(asked), best, tried)


def _fitted(vectors: np.ndarray, labels: np.ndarray, classes: int, strength: float):  # -> vectors -> scores
    rows, wanted = torch.from_numpy(vectors.astype(np.float64)), torch.from_numpy(labels.astype(np.int64))
    weight = torch.zeros(vectors.shape[1], classes, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    fit = torch.optim.LBFGS(
        [weight, bias], max_iter=STEPS, tolerance_grad=TOLERANCE, history_size=10, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        fit.zero_grad()
        value = torch.nn.functional.cross_entropy(rows @ weight + bias, wanted) + strength / 2 * (weight**2).sum()
        value.backward()
        return value

    fit.step(loss)
    with torch.no_grad():
        return lambda asked: (torch.from_numpy(asked.astype(np.float64)) @ weight + bias).detach().numpy()
