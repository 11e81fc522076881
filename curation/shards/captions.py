"""Which of a sample's captions a visit shows: drawn by seed, epoch and uid alone."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from curation.methods.mixing import sample_caption
from curation.methods.uniforms import keyed_uniforms

Captions = bool | Mapping[str, float]  # True: each as likely; or weights by kind, "original" for the sample's own


def drawn_captions(table: pa.Table, visits: np.ndarray, seed: int, epoch: int, weights: Captions) -> list[str]:
    """One of the captions of each row; the draw is keyed by seed, epoch, uid and, from the second on, the visit."""
    uniforms = keyed_uniforms(seed, f"caption\0{epoch}", table["uid"])
    for visit in np.unique(visits[visits > 0]):
        rows = np.flatnonzero(visits == visit)
        uids = table["uid"].combine_chunks().take(pa.array(rows))
        uniforms[rows] = keyed_uniforms(seed, f"caption\0{epoch}\0{visit}", uids)
    found = zip(table["caption"].to_pylist(), table["captions"].to_pylist(), uniforms.tolist())
    return [_caption(text, others or [], uniform, weights) for text, others, uniform in found]


def _caption(text: str, others: list[dict[str, Any]], uniform: float, weights: Captions) -> str:
    """One of the original and the others that are not negative (arXiv:2305.20088); the original where none weighs."""
    able = [each for each in others if not each["negative"] and each["text"]]
    if not able:
        return text
    texts = [text, *(each["text"] for each in able)]
    if weights is True:
        return sample_caption(texts, uniform)
    shares = [weights.get("original", 0.0), *(weights.get(each["kind"], 0.0) for each in able)]
    return sample_caption(texts, uniform, shares) if sum(shares) > 0 else text
