"""Scores of other papers from vectors and answers: CLIPScore, the MLM filter."""

from collections.abc import Sequence

import numpy as np

WEIGHT = 2.5  # CLIPScore, section 3
PREFIX = "A photo depicts "  # of every text that is embedded for CLIPScore, section 3
MOST = 100  # MLM filter, section 3.2: scores from 0 to 100


def clip_score_report(
    images: np.ndarray, captions: np.ndarray, references: Sequence[np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """CLIPScore of each pair of vectors (n, d), float64 arrays of shape (n,): `clip_s`, at least 0.

    With `references`, a matrix (k, d) of reference captions for each pair, also `ref_max_cos`, the best cosine of
    caption and reference, and the harmonic means `refclip_s_paper`, which takes a negative cosine for 0, and
    `refclip_s_code`, which does not (jmhessel/clipscore 1036465) and is NaN where the two sum to 0; NaN without
    references and for vectors of zero. Texts are to be embedded with PREFIX. The plain cosine that data sets
    call CLIP score is `clip_score`. CLIPScore (arXiv:2104.08718), section 3.

    >>> east, north = np.array([[1.0, 0.0]]), np.array([[0.3, 0.91**0.5]])
    >>> clip_score_report(east, north)["clip_s"].round(6).tolist()
    [0.75]
    """
    clip_s = WEIGHT * np.maximum(_cosines(images, captions), 0)
    if references is None:
        return {"clip_s": clip_s}
    pairs = zip(references, np.asarray(captions), strict=True)
    best = np.array([_cosines(each, caption[None]).max() if len(each) else np.nan for each, caption in pairs], float)
    clipped = np.maximum(best, 0)
    paper = np.where(clip_s + clipped == 0, 0.0, _harmonic(clip_s, clipped))
    return {
        "clip_s": clip_s,
        "ref_max_cos": best,
        "refclip_s_paper": paper,
        "refclip_s_code": _harmonic(clip_s, best),
    }


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    with np.errstate(invalid="ignore"):
        return (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def _harmonic(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(a + b == 0, np.nan, 2 * a * b / (a + b))


def parse_mlm_score(text: str | None) -> int | None:
    """The score in a model's answer: its first line, a whole number from 0 to 100; null for anything else.

    MLM filter (arXiv:2403.02677), section 3.2; its code stops after two tokens, which makes a 10 of 100.

    >>> [parse_mlm_score(answer) for answer in ("85", " 7", "100\\nThe caption", "101", "about 60", "")]
    [85, 7, 100, None, None, None]
    """
    line = (text or "").split("\n", 1)[0].strip()
    if not (line.isascii() and line.isdigit()):
        return None
    score = int(line[:4])
    return score if score <= MOST and len(line) <= 3 else None
