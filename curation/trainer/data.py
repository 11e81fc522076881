"""Batches for the trainer: which samples are held out, and encoded samples -> pixels and tokens."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xxhash
from PIL import Image
from torch.utils.data import DataLoader

from curation.decode import decode_small
from curation.shards.dataset import ManifestDataset
from curation.shards.manifest import Release

AREA = (0.9, 1.0)  # of the crop, as a share: open_clip's default augmentation
RATIO = (3 / 4, 4 / 3)  # width over height of the crop: torchvision's RandomResizedCrop, which open_clip uses


def uniform(*names: object) -> float:
    """A number in [0, 1) that depends on the names alone: the top 53 bits of xxh64 over them, joined by NUL."""
    return (xxhash.xxh64_intdigest("\0".join(map(str, names)).encode()) >> 11) / (1 << 53)


def split(release: Release, holdout: float) -> tuple[list[str] | None, list[str]]:
    """(uids to train on, uids held out), in the release's order; the first is None, for all, where nothing is held out.

    The rule is a hash of the image_id: an image with several captions is never on both sides, and an image falls on
    the same side in every release.
    """
    if holdout == 0:
        return None, []
    sides: tuple[list[str], list[str]] = ([], [])
    for row in release.samples(["uid", "image_id"]).to_pylist():
        sides[uniform("holdout", row["image_id"]) < holdout].append(row["uid"])
    return sides


@dataclass(frozen=True)
class Collate:
    """Samples -> {uid, pixels, tokens}: uint8 (n, 3, side, side) cropped at random, int64 (n, context).

    The crop is open_clip's for training, but from keyed uniforms: a sample has one crop per seed and epoch, in
    whichever worker and batch it falls. Where the drawn shape does not fit it is narrowed, not drawn again.
    """

    side: int
    tokenizer: Callable[[list[str]], torch.Tensor]
    seed: int
    epoch: int

    def __call__(self, samples: list[dict[str, Any]]) -> dict[str, Any]:
        uids = [sample["uid"] for sample in samples]
        pixels = np.stack([self.crop(decode_small(s["image"]), s["uid"]) for s in samples])
        tokens = self.tokenizer([sample["text"] for sample in samples])
        return {"uid": uids, "pixels": torch.from_numpy(pixels).permute(0, 3, 1, 2), "tokens": tokens}

    def crop(self, pixels: np.ndarray, uid: str) -> np.ndarray:
        """uint8 (side, side, 3) out of (height, width, 3)."""
        height, width = pixels.shape[:2]
        area, ratio, x, y = (uniform("crop", self.seed, self.epoch, uid, draw) for draw in range(4))
        edge = min(height, width) * (AREA[0] + (AREA[1] - AREA[0]) * area) ** 0.5
        stretch = (RATIO[0] * (RATIO[1] / RATIO[0]) ** ratio) ** 0.5
        wide, high = min(edge * stretch, width), min(edge / stretch, height)
        left, top = x * (width - wide), y * (height - high)
        box = (left, top, left + wide, top + high)
        # reducing_gap: from a much larger picture, shrink by a whole factor first; to the eye the same, and faster.
        image = Image.fromarray(pixels).resize((self.side,) * 2, Image.Resampling.BICUBIC, box, reducing_gap=3.0)
        return np.asarray(image)


def epoch_batches(
    dataset: ManifestDataset, collate: Collate, *, batch: int, start: int = 0, workers: int = 0
) -> Iterator[dict[str, Any]]:
    """The whole batches of one epoch from the batch numbered `start` on, the same for any number of workers."""
    dataset.set_epoch(collate.epoch, start * batch)
    dataset.block = batch
    loader = DataLoader(dataset, batch_size=batch, collate_fn=collate, num_workers=workers)
    for number, found in enumerate(loader, start):
        if number == batches_per_epoch(dataset, batch):
            return
        yield found


def batches_per_epoch(dataset: ManifestDataset, batch: int) -> int:
    """Whole batches of every rank in an epoch; what is left over comes into one in another epoch's order."""
    return sum(dataset.rows) // dataset.world // batch
