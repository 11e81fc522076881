"""Evaluation pictures and captions in a pool: the nearest one, the score of the same one, shared runs of words."""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from curation.errors import SchemaError
from curation.methods.centroids import nearest_centroids
from curation.methods.exact_sums import unit_rows
from curation.vectors import exact_cosine

NGRAM = 8  # words: assumption, the least of what overlap reports of language models take (8 to 13)
_WORD = re.compile(r"\w+")


def nearest_evaluation(images: np.ndarray, evaluation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(row of `evaluation` of largest cosine with each of `images`, that cosine): int64 and float64, shape (n,).

    Vectors (n, d) and (m, d) of one descriptor, none zero, m at least 1; the first row of equal ones. A value does not
    depend on its neighbours. SchemaError where sizes differ. DataComp (arXiv:2304.14108, appendix) keeps what has at
    most 0.604169, by a copy-detection descriptor of its own: no other descriptor has that threshold.

    >>> nearest_evaluation(np.array([[0.0, 2.0]]), np.array([[1.0, 0.0], [3.0, 4.0]]))
    (array([1]), array([0.8]))
    """
    images, evaluation = np.asarray(images), np.asarray(evaluation)
    rows = nearest_centroids(unit_rows(images), unit_rows(evaluation))
    return rows, exact_cosine(images, evaluation[rows])


def leak_threshold(scores: np.ndarray, same: np.ndarray, precision: float) -> tuple[float, float, float]:
    """(threshold, precision, recall): the least threshold so that of what scores above it `precision` is the same.

    `scores` (n,) and `same` (n,), bool: whether picture and nearest evaluation picture are one; recall is the share of
    those that are which score above. SchemaError where no threshold has that precision, or nothing is the same.
    """
    scores, same = np.asarray(scores, np.float64), np.asarray(same, bool)
    order = np.argsort(-scores, kind="stable")
    scores, right = scores[order], np.cumsum(same[order])
    share = right / np.arange(1, len(scores) + 1)
    below = np.append(scores[1:], -1.0) if len(scores) else scores
    allowed = np.flatnonzero((share >= precision) & (below < scores))
    if not len(allowed) or not same.any():
        raise SchemaError(f"leak_threshold: of {len(scores)} scores none has precision {precision} above it")
    last = allowed[-1]
    return float(below[last]), float(share[last]), float(right[last] / same.sum())


def caption_ngrams(caption: str) -> set[str]:
    """The runs of 8 words of a caption, lower case and without what is no letter or digit; a shorter one as a whole.

    >>> sorted(caption_ngrams("A dog!")), len(caption_ngrams("one two three four five six seven eight nine"))
    (['a dog'], 2)
    """
    words = _WORD.findall(caption.lower())
    if not words:
        return set()
    return {" ".join(words[at : at + NGRAM]) for at in range(max(1, len(words) - NGRAM + 1))}


def shared_ngrams(captions: Sequence[str | None], known: Iterable[str]) -> np.ndarray:
    """How many runs of 8 words (see caption_ngrams) of each caption are in `known`, int32, shape (n,); 0 for None."""
    known = known if isinstance(known, set | frozenset) else set(known)
    return np.array([len(caption_ngrams(text or "") & known) for text in captions], np.int32)
