"""Mixing: shares of sources, and raw with generated captions."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Literal, get_args

import numpy as np

from curation.errors import RecipeError, SchemaError, unknown
from curation.methods.selecting import top_share

Strategy = Literal[
    "raw_top",
    "generated_top",
    "raw_top_generated_rest",
    "raw_top_generated_passing",
    "best_top",
    "generated_all",
]
NONE, RAW, GENERATED = "", "raw", "generated"


def source_counts(sizes: Mapping[str, int], weights: Mapping[str, float], budget: int) -> dict[str, int]:
    """How many pairs each source gives to a mixture of `budget` pairs: largest remainders of weight * budget.

    A source gives no more than it has (`sizes`); what it cannot give goes to the others by their weights. Of equal
    remainders the first name wins. Weights count as they are written (0.05 is a twentieth) and need not sum to 1.
    RecipeError for a weight of no known source, a negative one, or none above 0. "Quality Not Quantity"
    (arXiv:2208.05516): sources interpolate, so their shares are stated.

    >>> source_counts({"a": 10, "b": 10, "c": 1}, {"a": 0.5, "b": 0.3, "c": 0.2}, 7)
    {'a': 4, 'b': 2, 'c': 1}
    >>> source_counts({"a": 1, "b": 10}, {"a": 1, "b": 1}, 6)
    {'a': 1, 'b': 5}
    """
    strange = sorted(set(weights) - set(sizes))
    if strange:
        raise unknown("source", strange, sorted(sizes), "weights")
    if not all(0 <= w < np.inf for w in weights.values()) or not sum(weights.values()) > 0:
        raise RecipeError(f"weights {dict(weights)}: wanted numbers from 0 on, one of them above 0")
    given = dict.fromkeys(sorted(weights), 0)
    while True:
        left = budget - sum(given.values())
        shared = {name: as_written(weights[name]) for name in given if given[name] < sizes[name] and weights[name] > 0}
        if left <= 0 or not shared:
            return given
        for name, more in _largest_remainders(shared, left).items():
            given[name] = min(sizes[name], given[name] + more)


def as_written(weight: float) -> Fraction:
    """The number that is written so: sums and quotients of such are exact, so that no rounding decides a tie.

    >>> as_written(0.05), as_written(2)
    (Fraction(1, 20), Fraction(2, 1))
    """
    return Fraction(repr(float(weight)))


def _largest_remainders(weights: Mapping[str, Fraction], seats: int) -> dict[str, int]:
    total = sum(weights.values())
    exact = {name: weight / total * seats for name, weight in weights.items()}
    given = {name: int(value) for name, value in exact.items()}
    for name in sorted(exact, key=lambda n: (given[n] - exact[n], n))[: seats - sum(given.values())]:
        given[name] += 1
    return given


def mix_captions(
    raw: Sequence[float | None] | np.ndarray,
    generated: Sequence[float | None] | np.ndarray,
    x: float,
    strategy: Strategy = "raw_top_generated_passing",
) -> np.ndarray:
    """Which caption each image goes with, shape (n,), of "raw", "generated" and "" (the image is dropped).

    `raw` and `generated` are the scores of the image's two captions; null and NaN are never taken by score. With
    int(x * n) rows taken by score, n the rows that have it, ties by the order given:

    - raw_top: the best raw captions;
    - generated_top: the best generated captions;
    - raw_top_generated_rest: the best raw captions, and the generated one of every other image that has one;
    - raw_top_generated_passing: of those only the generated ones that score at least as the last raw one taken;
    - best_top: the better caption of each image (raw where equal), of these the best;
    - generated_all: the generated caption wherever there is one.

    "Improving Multimodal Datasets with Image Captioning" (arXiv:2307.10350), section 4. RecipeError for another
    strategy or x outside [0, 1]; SchemaError where the scores differ in number.

    >>> mix_captions([0.4, 0.1, 0.3], [0.2, 0.35, 0.1], 0.34).tolist()
    ['raw', '', '']
    >>> mix_captions([0.4, 0.1, 0.3], [0.2, 0.5, 0.1], 0.34).tolist()
    ['raw', 'generated', '']
    """
    if strategy not in get_args(Strategy):
        raise unknown("strategy", [strategy], get_args(Strategy), "mix_captions")
    raw, generated = _finite(raw), _finite(generated)
    if len(raw) != len(generated):
        raise SchemaError(f"mix_captions: {len(raw)} raw scores, {len(generated)} generated ones")
    there = ~np.isnan(generated)
    if strategy == "generated_all":
        return np.where(there, GENERATED, NONE)
    if strategy == "generated_top":
        return np.where(top_share(generated, x), GENERATED, NONE)
    if strategy == "best_top":
        better = there & ~(raw >= generated)
        taken = top_share(np.where(better, generated, raw), x)
        return np.where(taken, np.where(better, GENERATED, RAW), NONE)
    taken = top_share(raw, x)
    if strategy == "raw_top":
        return np.where(taken, RAW, NONE)
    if strategy == "raw_top_generated_passing":
        there = generated >= raw[taken].min(initial=np.inf)
    return np.where(taken, RAW, np.where(there, GENERATED, NONE))


def _finite(scores: Sequence[float | None] | np.ndarray) -> np.ndarray:
    scores = np.array(scores, np.float64)
    return np.where(np.isfinite(scores), scores, np.nan)


def sample_caption(captions: Sequence[str], uniform: float, weights: Sequence[float] | None = None) -> str:
    """One of an image's captions, the original first, by a uniform in [0, 1): each as likely unless weighted.

    A caption drawn that has fewer than 2 pieces between single blanks gives way to the original. LaCLIP
    (arXiv:2305.20088); its code (LijieFan/LaCLIP 7ddd516). SchemaError for no captions or weights that do not fit.

    >>> [sample_caption(["A red car", "Car.", "a red vehicle"], u) for u in (0.1, 0.5, 0.9)]
    ['A red car', 'A red car', 'a red vehicle']
    """
    share = np.ones(len(captions)) if weights is None else np.asarray(weights, np.float64)
    if not len(captions) or len(share) != len(captions) or not (share >= 0).all() or not share.sum() > 0:
        raise SchemaError(f"sample_caption: {len(captions)} captions, weights {share.tolist()}; wanted one from 0 each")
    ends = np.cumsum(share) / share.sum()  # not of the shares, whose sum at k / n may lie above it
    drawn = captions[min(int(np.searchsorted(ends, uniform, side="right")), int(np.flatnonzero(share)[-1]))]
    return drawn if len(drawn.split(" ")) > 1 else captions[0]
