"""Small networks on embeddings: aesthetic, safety and watermark heads, and Q16's prompt vectors."""

from collections.abc import Callable, Sequence

import numpy as np

ROWS = 64  # of every product, padded with zeros: a row's last bits depend on the shape of its batch, not on neighbours
Q16_SCALE = 100.0  # CLIP's logit scale at its cap, as Q16 multiplies cosines (ml-research/Q16)


def head_scores(
    vectors: np.ndarray,
    layers: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    activation: str = "none",
    output: str = "none",
    index: int = 0,
) -> np.ndarray:
    """Output `index` of a multi-layer perceptron for each row of `vectors` (n, d), float64, shape (n,).

    `layers` are (weight (out, in), bias (out,)); `activation` (none, relu, tanh) stands between them, `output` (none,
    sigmoid, softmax) after the last. In float64, so that the float32 of it does not depend on the machine.

    >>> head_scores(np.eye(2), [(np.array([[1.0, -1.0]]), np.array([0.5]))]).tolist()
    [1.5, -0.5]
    """
    scores = np.empty(len(vectors))
    for start in range(0, len(vectors), ROWS):
        rows = np.asarray(vectors[start : start + ROWS], np.float64)
        values = np.zeros((ROWS, rows.shape[1]))
        values[: len(rows)] = rows
        for number, (weight, bias) in enumerate(layers, 1):
            values = values @ np.asarray(weight, np.float64).T + np.asarray(bias, np.float64)
            values = values if number == len(layers) else ACTIVATIONS[activation](values)
        scores[start : start + len(rows)] = OUTPUTS[output](values)[: len(rows), index]
    return scores


def q16(images: np.ndarray, prompts: np.ndarray, scale: float = Q16_SCALE) -> np.ndarray:
    """Probability of the second of two prompts (inappropriate) for each picture, float64, shape (n,), in [0, 1].

    Softmax over `scale` times the cosines of the image vectors (n, d) with the tuned prompt vectors (2, d), positive
    first. NaN for a zero vector. Q16's published lists keep >= 0.9. arXiv:2202.06675, section 3.

    >>> q16(np.array([[1.0, 0.0], [1.0, 1.0]]), np.eye(2)).round(6).tolist()
    [0.0, 0.5]
    """
    with np.errstate(invalid="ignore"):
        images, prompts = (_unit(np.asarray(rows, np.float64)) for rows in (images, prompts))
        return head_scores(images, [(scale * prompts, np.zeros(len(prompts)))], output="softmax", index=1)


def q16_flags(images: np.ndarray, prompts: np.ndarray) -> np.ndarray:
    """Whether the second prompt has the larger raw dot product, bool, shape (n,): the rule of Q16's embedding script.

    Of vectors that are not of unit length this is another decision than q16 >= 0.5; kept to replay published flags.

    >>> q16_flags(np.array([[1.0, 0.6]]), np.array([[1.0, 0.0], [0.0, 2.0]])).tolist()
    [True]
    """
    return (np.asarray(images, np.float64) @ np.asarray(prompts, np.float64).T).argmax(axis=1) == 1


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.sqrt((rows * rows).sum(axis=1, keepdims=True))


def _sigmoid(values: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(values))
    return np.where(values >= 0, 1.0, small) / (1.0 + small)


def _softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _same(values: np.ndarray) -> np.ndarray:
    return values


ACTIVATIONS: dict[str, Callable] = {"none": _same, "relu": lambda values: np.maximum(values, 0), "tanh": np.tanh}
OUTPUTS: dict[str, Callable] = {"none": _same, "sigmoid": _sigmoid, "softmax": _softmax}
