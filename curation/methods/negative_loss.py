"""negCLIPLoss: the CLIP score less how well picture and caption agree with those of others."""

import numpy as np

TEMPERATURE = 0.01  # CLIP's learned one at its bound (arXiv:2103.00020, section 2.5), and the paper's
ROWS, REFERENCES = 256, 4096  # of one product: of one shape throughout, so that a row does not depend on its neighbours


def negative_clip_loss(
    images: np.ndarray,
    captions: np.ndarray,
    reference_images: np.ndarray,
    reference_captions: np.ndarray,
    own: np.ndarray | None = None,
    *,
    temperature: float = TEMPERATURE,
) -> np.ndarray:
    """Minus the CLIP loss of each pair of unit vectors (n, d) in a batch of others (m, d), float64, shape (n,).

    That is v·l - t/2 [log sum exp(v·l_j / t) + log sum exp(v_j·l / t)], j over the reference batch and the pair itself;
    times the temperature, as published, so at most 0. High is good: the pair fits, and neither half fits everything.
    `own`: the place of each pair in the reference, -1 (the default) where it is not there. "CLIPLoss and Norm-Based
    Data Selection Methods" (arXiv:2405.19547), section 3.1; where it draws K batches for a pair, take the mean over K
    references.

    >>> east, north = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    >>> float(negative_clip_loss(east, east, north, north, temperature=1.0).round(6)[0])
    -0.313262
    """
    own = np.full(len(images), -1) if own is None else own
    scores = (np.asarray(images, np.float64) * captions).sum(axis=1)
    sums = [
        _sums(images, reference_captions, own, scores, temperature),
        _sums(captions, reference_images, own, scores, temperature),
    ]
    # Sums are kept relative to exp(1 / t), the largest there can be.
    return scores - temperature / 2 * sum(np.log(each) + 1 / temperature for each in sums)


def _sums(vectors: np.ndarray, others: np.ndarray, own: np.ndarray, scores: np.ndarray, t: float) -> np.ndarray:
    """Sum of exp((cosine - 1) / t) of each row over the others and itself, float64, shape (n,)."""
    found = np.where(own < 0, np.exp((scores - 1) / t), 0.0)
    for start in range(0, len(vectors), ROWS):
        rows = np.zeros((ROWS, vectors.shape[1]), np.float32)
        count = len(rows[: len(vectors) - start])
        rows[:count] = vectors[start : start + count]
        for first in range(0, len(others), REFERENCES):
            products = rows @ np.asarray(others[first : first + REFERENCES], np.float32).T
            found[start : start + count] += np.exp((products[:count].astype(np.float64) - 1) / t).sum(axis=1)
    return found
