"""The two losses, each as the share that one rank computes: the mean over the ranks is the loss of the whole batch.

Rows of `images` and `texts` (N, dim), unit length, float32, belong together; `own` are the rows of this rank, n of
them. So a rank computes n x N logits, not N x N (open_clip's "local loss"), and no rank repeats another's work.
"""

import math
from typing import NamedTuple

import torch
from torch.nn.functional import cross_entropy, logsigmoid


class Start(NamedTuple):
    """Where the learned numbers begin, as open_clip's `model_cfg` has them, and what the scale is clamped to."""

    init_logit_scale: float
    init_logit_bias: float | None
    largest: float


STARTS = {
    "clip": Start(math.log(1 / 0.07), None, math.log(100)),  # Radford et al. 2021 (arXiv:2103.00020) section 2.5
    "siglip": Start(math.log(10), -10.0, math.inf),  # Zhai et al. 2023 (arXiv:2303.15343) section 3.2
}


def clip_loss(images: torch.Tensor, texts: torch.Tensor, scale: torch.Tensor, own: slice) -> torch.Tensor:
    """The symmetric loss of CLIP (arXiv:2103.00020 figure 3): each image is to pick its caption, each caption its
    image, out of the whole batch.
    """
    target = torch.arange(own.start, own.stop, device=images.device)
    to_texts = scale * images[own] @ texts.T  # (n, N)
    to_images = scale * texts[own] @ images.T
    return (cross_entropy(to_texts, target) + cross_entropy(to_images, target)) / 2


def siglip_loss(
    images: torch.Tensor, texts: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor, own: slice
) -> torch.Tensor:
    """The sigmoid loss (arXiv:2303.15343 algorithm 1): each of the N x N pairs is to be told right or wrong."""
    logits = scale * images[own] @ texts.T + bias  # (n, N)
    signs = torch.full_like(logits, -1)
    rows = torch.arange(len(logits), device=images.device)
    signs[rows, rows + own.start] = 1
    return -logsigmoid(signs * logits).sum() / len(logits)


def loss_of(features: list[torch.Tensor], own: slice) -> torch.Tensor:
    """The loss of what a model gives: images, texts, scale, and a bias where it is a SigLIP."""
    return siglip_loss(*features, own) if len(features) == 4 else clip_loss(*features, own)


def guessing(loss: str, batch: int) -> float:
    """What a model that knows nothing loses at best: CLIP by giving all N the same score, SigLIP by calling each pair
    right with probability 1 / N.

    >>> round(guessing("clip", 16), 3), round(guessing("siglip", 16), 3)
    (2.773, 3.741)
    """
    if loss == "clip":
        return math.log(batch)
    wrong = (batch - 1) * math.log(batch / (batch - 1)) if batch > 1 else 0.0
    return math.log(batch) + wrong
