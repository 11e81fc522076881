"""The losses against open_clip's, and shares of a batch against the whole."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from curation.trainer.losses import STARTS, clip_loss, guessing, loss_of, siglip_loss


def features(count: int = 12, dim: int = 8) -> list[torch.Tensor]:
    torch.manual_seed(3)
    rows = [normalize(torch.randn(count, dim), dim=1).requires_grad_() for _ in range(2)]
    return [*rows, torch.tensor(9.0, requires_grad=True), torch.tensor(-7.0, requires_grad=True)]


def test_they_are_open_clips():
    from open_clip.loss import ClipLoss, SigLipLoss

    images, texts, scale, bias = features()
    every = slice(0, len(images))
    assert torch.allclose(clip_loss(images, texts, scale, every), ClipLoss()(images, texts, scale), atol=1e-6)
    wanted = SigLipLoss()(images, texts, scale, logit_bias=bias)
    assert torch.allclose(siglip_loss(images, texts, scale, bias, every), wanted, atol=1e-6)


@pytest.mark.parametrize("count", [3, 4])
def test_the_mean_of_the_ranks_is_the_loss_of_the_batch_and_so_are_its_gradients(count):
    inputs = features()[:count]
    whole = loss_of(inputs, slice(0, 12))
    shares = [loss_of(inputs, slice(n, n + 4)) for n in (0, 4, 8)]
    assert torch.allclose(sum(shares) / 3, whole, atol=1e-6)
    wanted = torch.autograd.grad(whole, inputs, retain_graph=True)
    found = torch.autograd.grad(sum(shares) / 3, inputs)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(found, wanted))


def test_guessing_is_what_knowing_nothing_costs():
    same = normalize(torch.ones(16, 4), dim=1)
    assert float(clip_loss(same, same, torch.tensor(1.0), slice(0, 16))) == pytest.approx(guessing("clip", 16))
    bias = torch.tensor(-math.log(15.0))  # probability 1 / 16
    found = siglip_loss(same, same, torch.tensor(0.0), bias, slice(0, 16))
    assert float(found) == pytest.approx(guessing("siglip", 16), rel=1e-6)
    assert guessing("siglip", 1) == 0


def test_learned_numbers_begin_as_published():
    assert STARTS["clip"].init_logit_scale == pytest.approx(math.log(1 / 0.07))
    assert (STARTS["siglip"].init_logit_scale, STARTS["siglip"].init_logit_bias) == (math.log(10), -10)
