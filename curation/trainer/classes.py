"""Zero-shot classification: a class is the mean of its name in several prompts; and what counts as right."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from curation.errors import RecipeError
from curation.trainer.intervals import Statistic, resampled

# The seven prompts that CLIP's authors found best on ImageNet (openai/CLIP, notebooks/Prompt_Engineering_for_ImageNet),
# which are drawings, photos and sizes alike, and the plain one.
TEMPLATES = (
    "a photo of a {c}.",
    "itap of a {c}.",
    "a bad photo of the {c}.",
    "a origami {c}.",
    "a photo of the large {c}.",
    "a {c} in a video game.",
    "art of the {c}.",
    "a photo of the small {c}.",
)
TOP = 5


def prompts(name: str, templates: Sequence[str]) -> list[str]:
    """The name in each template, in place of {c} or {}; RecipeError for a template with neither.

    >>> prompts("red fox", ["a photo of a {c}.", "art of the {}."])
    ['a photo of a red fox.', 'art of the red fox.']
    """
    wrong = [template for template in templates if "{c}" not in template and "{}" not in template]
    if wrong or not templates:
        raise RecipeError(f"templates {wrong or list(templates)}: wanted at least one, each with {{c}} or {{}} in it")
    return [template.replace("{c}", name).replace("{}", name) for template in templates]


def class_vectors(
    names: Sequence[str], templates: Sequence[str], embed: Callable[[list[str]], np.ndarray]
) -> np.ndarray:
    """A unit vector for each class, float32 (classes, dim): the mean of the unit vectors of its prompts."""
    texts = [text for name in names for text in prompts(name, templates)]
    means = embed(texts).reshape(len(names), len(templates), -1).mean(axis=1)
    return (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)


def accuracies(
    scores: np.ndarray, labels: np.ndarray, *, prefix: str = "", resamples: int = 0, seed: int = 0
) -> dict[str, Any]:
    """`metrics` and `intervals` of scores (n, classes) for labels int (n,), under CLIP_benchmark's names.

    acc1 and acc5: shares of pictures whose class is among the first 1 and 5; ties and NaN count against the model.
    mean_per_class_recall: acc1 of each class that has a picture, averaged. `hits`: acc1 of each picture, bool.
    """
    own = scores[np.arange(len(labels)), labels]
    ahead = (~(scores < own[:, None])).sum(axis=1) - 1  # NaN is not below anything
    first, among = ahead < 1, ahead < min(TOP, scores.shape[1])
    statistics: dict[str, Statistic] = {
        "acc1": lambda weights: float(np.average(first, weights=weights)),
        "acc5": lambda weights: float(np.average(among, weights=weights)),
        "mean_per_class_recall": lambda weights: _mean_recall(first, labels, weights),
    }
    found = {"metrics": {}, "intervals": {}, "hits": first}
    for name, value in statistics.items():
        found["metrics"][prefix + name] = value(np.ones(len(labels)))
        found["intervals"][prefix + name] = resampled(value, len(labels), resamples, seed)
    return found


def _mean_recall(hits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    counts = np.bincount(labels, weights=weights)
    right = np.bincount(labels, weights=weights * hits)
    return float((right[counts > 0] / counts[counts > 0]).mean())
