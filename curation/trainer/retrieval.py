"""Recall of captions by pictures and of pictures by captions, where a picture may have several captions."""

from typing import Any

import numpy as np

from curation.trainer.intervals import Statistic, ratio, resampled

CUTOFFS = (1, 5, 10)  # Radford et al. 2021 (arXiv:2103.00020) table 13 reports recall at these
WAYS = ("image_to_text", "text_to_image")
ROWS = 1024  # of the score matrix at a time: 40 MB at 10,000 pairs


def retrieval(
    image_features: np.ndarray,
    text_features: np.ndarray,
    owners: np.ndarray | None = None,
    *,
    resamples: int = 0,
    seed: int = 0,
) -> dict[str, Any]:
    """Recall at 1, 5 and 10, shares in [0, 1], of a caption for each picture and the picture for each caption.

    Float (n, dim) and (m, dim), unit length; caption j is of picture `owners[j]`, int (m,), by default of picture j. A
    picture has found a caption where one of its own is among the first k, as CLIP_benchmark counts. Ties count against
    the model, so that equal vectors for everything find nothing. `mean` is that of both ways, `chance` the recall of
    guessing a picture. With `resamples` also bootstrap `intervals`, over pictures with all of their captions.
    ValueError where shapes do not go together, there is no row, or a picture has no caption.
    """
    owners = np.arange(len(text_features)) if owners is None else np.asarray(owners)
    _check(image_features, text_features, owners)
    return recalls(*ways(image_features, text_features, owners), owners, resamples=resamples, seed=seed)


def ways(image_features: np.ndarray, text_features: np.ndarray, owners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`places` of the captions for each picture, (n,), and of the pictures for each caption, (m,)."""
    numbers = np.arange(len(image_features))
    by_image = places(image_features, text_features, numbers, owners)
    return by_image, places(text_features, image_features, owners, numbers)


def recalls(
    by_image: np.ndarray, by_text: np.ndarray, owners: np.ndarray, *, resamples: int = 0, seed: int = 0
) -> dict[str, Any]:
    """What `retrieval` gives, of the places that were found."""
    images, texts = len(by_image), np.bincount(owners, minlength=len(by_image))
    found: dict[str, Any] = {name: {} for name in (*WAYS, "mean")}
    spread: dict[str, Any] = {name: {} for name in (*WAYS, "mean")}
    for k in CUTOFFS:
        hits = np.bincount(owners, weights=by_text < k, minlength=images)
        both = {WAYS[0]: ratio((by_image < k).astype(float), np.ones(images)), WAYS[1]: ratio(hits, texts)}
        for name, value in {**both, "mean": _mean(*both.values())}.items():
            found[name][f"r{k}"] = value(np.ones(images))
            spread[name][f"r{k}"] = resampled(value, images, resamples, seed)
    found |= {"pairs": len(owners), "chance": {f"r{k}": min(k / images, 1.0) for k in CUTOFFS}}
    return found | ({"pictures": images, "intervals": spread} if resamples else {})


def _mean(first: Statistic, second: Statistic) -> Statistic:
    return lambda weights: (first(weights) + second(weights)) / 2


def places(queries: np.ndarray, answers: np.ndarray, wanted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """For each query the number of wrong answers that score at least as high as its best right one, int64 (n,).

    The answers whose label is `wanted` of a query are its right ones. NaN counts as a wrong answer ahead.
    """
    ahead = []
    for start in range(0, len(queries), ROWS):
        scores = queries[start : start + ROWS].astype(np.float32) @ answers.astype(np.float32).T
        right = labels[None, :] == wanted[start : start + ROWS, None]
        best = np.where(right, scores, -np.inf).max(axis=1)
        ahead.append((~(scores < best[:, None]) & ~right).sum(axis=1))
    return np.concatenate(ahead)


def _check(image_features: np.ndarray, text_features: np.ndarray, owners: np.ndarray) -> None:
    shapes = f"features of shapes {image_features.shape} and {text_features.shape}"
    same = image_features.ndim == text_features.ndim == 2 and image_features.shape[1] == text_features.shape[1]
    if not same or len(owners) != len(text_features):
        raise ValueError(f"{shapes}, {len(owners)} owners: wanted equal widths, an owner for each caption")
    if len(image_features) == 0:
        raise ValueError(f"{shapes}: wanted equal widths, not empty")
    if not np.array_equal(np.unique(owners), np.arange(len(image_features))):
        raise ValueError(f"{shapes}: wanted equal numbers of pictures and owners, each with a caption")
