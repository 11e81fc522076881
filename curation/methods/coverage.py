"""ClipCov: a subset whose pairs represent their class, picked greedily with what is already covered taken off."""

from typing import NamedTuple

import numpy as np

from curation.errors import SchemaError

EASINESS, LABEL = 2.0, 0.5  # weights of the released notebook (arXiv:2403.12267)
BLOCK = 1024  # rows of a product at once: a class of 10,000 takes 80 MB, never its square


class Terms(NamedTuple):
    """Per pair of one class, float64 (n,): `cross` and `label` as in the paper, `score` before anything is picked."""

    cross: np.ndarray
    label: np.ndarray
    score: np.ndarray


def coverage_order(
    images: np.ndarray, texts: np.ndarray, classes: np.ndarray, prompts: np.ndarray, period: int
) -> np.ndarray:
    """Row numbers in the order in which ClipCov picks them, int64, shape (n,): a budget is a prefix.

    Unit vectors of pictures and captions (n, d), `classes` (n,) the number of each pair's row in `prompts` (k, d).
    Greedy by score, ties by row; when a class has `period` - 1 picks, and after every `period` further ones, its scores
    are taken down by what the picks cover. SchemaError for arrays that do not go together. ClipCov (arXiv:2403.12267),
    section 4 and the released notebook, whose period is 200.

    >>> unit = np.eye(2)
    >>> coverage_order(unit[[0, 0, 1]], unit[[1, 0, 1]], np.array([0, 0, 1]), unit, 200).tolist()
    [1, 2, 0]
    """
    images, texts, prompts = (np.asarray(each, np.float64) for each in (images, texts, prompts))
    classes = np.asarray(classes)
    if images.ndim != 2 or images.shape != texts.shape or len(classes) != len(images) or period < 1:
        raise SchemaError(
            f"coverage_order: images {images.shape}, texts {texts.shape}, {len(classes)} classes, period {period}"
        )
    if not len(images):
        return np.zeros(0, np.int64)
    rows, led, positions = [], [], []
    present = np.unique(classes)
    centres = {c: (images[classes == c].mean(0), texts[classes == c].mean(0)) for c in present}
    for c in present:
        own = np.flatnonzero(classes == c)
        others = [centres[other] for other in present if other != c] or [(0 * prompts[c], 0 * prompts[c])]
        label = (images[own] @ prompts[c] + texts[own] @ prompts[c]) / 2
        between = (np.mean([each[0] for each in others], 0), np.mean([each[1] for each in others], 0))
        order, scores = class_order(
            images[own], texts[own], class_terms(images[own], texts[own], label, *between), period
        )
        rows.append(own[order])
        led.append(leaders(scores, own[order]))
        positions.append(np.arange(len(own)))
    leader = np.concatenate([own[place] for own, (place, _) in zip(rows, led)])
    score = np.concatenate([scores for _, scores in led])
    return np.concatenate(rows)[np.lexsort((np.concatenate(positions), leader, -score))]


def class_terms(
    images: np.ndarray, texts: np.ndarray, label: np.ndarray, other_images: np.ndarray, other_texts: np.ndarray
) -> Terms:
    """The terms of the pairs of one class from its unit vectors (n, d), `label` (n,) the mean cosine to its prompt, and
    the mean of the other classes' centres of pictures and of captions (d,).

    Memory is that of the vectors and BLOCK rows of products; time grows with the square of n.
    """
    cross = np.zeros(len(images))
    for start in range(0, len(images), BLOCK):
        rows = slice(start, start + BLOCK)
        products = np.maximum(images[rows] @ texts.T, 0)
        cross[rows] += products.sum(axis=1)
        cross += products.sum(axis=0)
    cross /= max(1, len(images))
    inter = images @ other_texts + texts @ other_images
    return Terms(cross, label, cross + EASINESS * (images * texts).sum(axis=1) + LABEL * label - inter)


def class_order(
    images: np.ndarray, texts: np.ndarray, terms: Terms, period: int, limit: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(rows, scores) of the first `limit` picks of one class: int64 and the float64 score at which each was picked.

    What is picked in a class depends on that class alone: only how the classes take turns depends on the others, and
    that the scores tell (see `leaders`).
    """
    scores = terms.score.astype(np.float64)
    left = np.argsort(-scores, kind="stable")
    wanted = len(scores) if limit is None else min(limit, len(scores))
    rows: list[np.ndarray] = []
    picked = []
    count = 0
    while count < wanted:
        take = min(period - (count + 1) % period, wanted - count)
        new, left = left[:take], np.sort(left[take:])
        rows.append(new)
        picked.append(scores[new])
        count += take
        if count < wanted and (count + 1) % period == 0:
            all_picks = np.concatenate(rows)
            shift = terms.cross[all_picks].sum() + LABEL * terms.label[new].sum()
            covered = np.concatenate([_covered(images, texts, left[at : at + BLOCK], new) for at in _starts(left)])
            scores[left] -= (covered + shift) / len(scores)
        left = left[np.argsort(-scores[left], kind="stable")]
    none = [np.zeros(0, np.int64)]
    return np.concatenate(rows or none), np.concatenate(picked or [np.zeros(0)])


def _starts(rows: np.ndarray) -> range:
    return range(0, max(1, len(rows)), BLOCK)


def _covered(images: np.ndarray, texts: np.ndarray, rows: np.ndarray, picks: np.ndarray) -> np.ndarray:
    return np.maximum(images[rows] @ texts[picks].T, 0).sum(axis=1)


def leaders(scores: np.ndarray, names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(place, score) of the pick of a class with which each of its picks comes, int64 and float64.

    Greedy over all classes takes whatever class's next pick is best, ties by name. So a pick that is better than one
    before it in its class comes right after that one, which leads it: sorting all picks of all classes by the leader's
    score (descending), the leader's name and the place within the class gives the order in which greedy takes them.

    >>> leaders(np.array([3.0, 1.0, 2.0]), np.array([5, 9, 7]))
    (array([0, 1, 1]), array([3., 1., 1.]))
    """
    place = np.zeros(len(scores), np.int64)
    for i in range(1, len(scores)):
        last = place[i - 1]
        later = scores[i] < scores[last] or (scores[i] == scores[last] and names[i] > names[last])
        place[i] = i if later else last
    return place, scores[place]
