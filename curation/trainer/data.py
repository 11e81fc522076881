"""Batches for the trainer: which samples are held out, and encoded samples -> pixels and tokens."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import Any

import numpy as np
import pyarrow.compute as pc
import torch
import xxhash
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from curation.decode import decode_small
from curation.errors import RecipeError, unknown
from curation.lists import read_listed
from curation.methods.shorter import reduce_tokens
from curation.shards.captions import Captions
from curation.shards.dataset import ManifestDataset
from curation.shards.manifest import Release, decoded
from curation.trainer.augment import DRAWS, WIDE_AREA, rand_augment

AREA = (0.9, 1.0)  # of the crop, as a share: open_clip's default augmentation
# torchvision's RandomResizedCrop, which open_clip uses: width over height of the crop, and how often one is drawn
RATIO, TRIES = (3 / 4, 4 / 3), 10


def uniform(*names: object) -> float:
    """A number in [0, 1) that depends on the names alone: the top 53 bits of xxh64 over them, joined by NUL."""
    return (xxhash.xxh64_intdigest("\0".join(map(str, names)).encode()) >> 11) / (1 << 53)


def split(release: Release, holdout: float) -> tuple[list[str] | None, list[str]]:
    """(uids to train on, uids held out), in the release's order; the first is None, for all, where nothing is held out.

    The rule is a hash of the image_id: an image with several captions is never on both sides, and an image falls on
    the same side in every release. RecipeError for a share that is none.
    """
    if not 0 <= holdout < 1:
        raise RecipeError(f"--holdout {holdout}: wanted a share of at least 0 and below 1")
    if holdout == 0:
        return None, []
    sides: tuple[list[str], list[str]] = ([], [])
    for row in release.samples(["uid", "image_id"]).to_pylist():
        sides[uniform("holdout", row["image_id"]) < holdout].append(row["uid"])
    return sides


def sides(release: Release, holdout: float, uids: str | None) -> tuple[list[str] | None, int]:
    """(uids to train on, None for all; number of pairs held out)."""
    chosen, held = split(release, holdout)
    if uids is None:
        return chosen, len(held)
    asked = asked_for(uids)
    everything = chosen if chosen is not None else release.samples(["uid"])["uid"].to_pylist()
    return [uid for uid in everything if uid in asked], len(held)


def asked_for(uids: str) -> frozenset[str]:
    """The uids in a file: a line each, or DataComp's .npy as `curate export` writes it."""
    return frozenset(uid for _, uid in read_listed(uids))


def check_kinds(release: Release, weights: Captions) -> None:
    """RecipeError where a kind of caption is weighed that the release does not have."""
    wanted, found = set([] if isinstance(weights, bool) else weights), {"original"}
    for shard in range(len(release.tars)):
        if wanted <= found:
            return
        captions = pc.list_flatten(release.shard_samples(shard, ["captions"])["captions"])
        found |= set(pc.struct_field(captions, "kind").unique().drop_null().to_pylist())
    if wanted - found:
        raise unknown("kind of caption", wanted - found, found, f"captions of {release.out}")


@dataclass(frozen=True)
class Tokens:
    """Captions -> int64 (n, context): open_clip's tokenizer, but a caption that is too long is cut by `mode`."""

    tokenizer: Callable[..., torch.Tensor]
    context: int | None = None  # None: the tokenizer's
    mode: str = "truncate"

    def check(self) -> "Tokens":
        """Itself; RecipeError where the tokenizer cannot do what is asked."""
        if self.mode != "truncate" and type(self.tokenizer).__name__ != "SimpleTokenizer":
            kind = type(self.tokenizer).__name__
            raise RecipeError(f"tokens={self.mode}: wanted the tokenizer of CLIP, found {kind}; it can only truncate")
        return self

    def __call__(self, texts: list[str], keys: list[tuple]) -> torch.Tensor:
        """Each caption's draws depend on its key alone."""
        if self.mode == "truncate":
            return self.tokenizer(texts, self.context) if self.context else self.tokenizer(texts)
        context = self.context or self.tokenizer.context_length
        found = torch.zeros(len(texts), context, dtype=torch.long)
        for row, text, key in zip(found, texts, keys):
            whole = self.tokenizer.encode(text)
            drawn = [uniform("tokens", *key, n) for n in range(len(whole) if self.mode == "random" else 1)]
            kept = reduce_tokens(whole, context, self.mode, uniforms=drawn)
            ids = [self.tokenizer.sot_token_id, *kept, self.tokenizer.eot_token_id]
            row[: len(ids)] = torch.tensor(ids)
        return found


def window(width: int, height: int, area: tuple[float, float], draws: Iterator[float]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) in px of a crop as torchvision's RandomResizedCrop draws it.

    Its share of the picture is uniform in `area`, the logarithm of its ratio in RATIO's. Where none of ten fits it is
    central and as large as a ratio within RATIO can be, so the whole picture where that has one.
    """
    for _ in range(TRIES):
        size = width * height * (area[0] + (area[1] - area[0]) * next(draws))
        ratio = RATIO[0] * (RATIO[1] / RATIO[0]) ** next(draws)
        wide, high = round((size * ratio) ** 0.5), round((size / ratio) ** 0.5)
        if 0 < wide <= width and 0 < high <= height:
            left, top = int(next(draws) * (width - wide + 1)), int(next(draws) * (height - high + 1))
            return left, top, left + wide, top + high
    wide, high = min(width, round(height * RATIO[1])), min(height, round(width / RATIO[0]))
    left, top = (width - wide) // 2, (height - high) // 2
    return left, top, left + wide, top + high


@dataclass(frozen=True)
class Collate:
    """Samples -> {uid, pixels, tokens}: uint8 (n, 3, side, side) cropped at random, int64 (n, context).

    The crop is open_clip's for training (`window`), but from keyed uniforms: a sample has one crop per seed and epoch,
    in whichever worker and batch it falls. So it is with what else is drawn: operations of a `strong` augmentation, the
    tokens kept.
    """

    side: int
    tokens: Tokens
    seed: int
    epoch: int
    strong: bool = False

    def __call__(self, samples: list[dict[str, Any]]) -> dict[str, Any]:
        uids = [sample["uid"] for sample in samples]
        pixels = np.stack([self.crop(decoded(s["image"], s["uid"], decode_small), s["uid"]) for s in samples])
        tokens = self.tokens([sample["text"] for sample in samples], [(self.seed, self.epoch, uid) for uid in uids])
        return {"uid": uids, "pixels": torch.from_numpy(pixels).permute(0, 3, 1, 2), "tokens": tokens}

    def crop(self, pixels: np.ndarray, uid: str) -> np.ndarray:
        """uint8 (side, side, 3) out of (height, width, 3)."""
        height, width = pixels.shape[:2]
        draws = (uniform("crop", self.seed, self.epoch, uid, draw) for draw in count())
        box = window(width, height, WIDE_AREA if self.strong else AREA, draws)
        # reducing_gap: from a much larger picture, shrink by a whole factor first; to the eye the same, and faster.
        image = Image.fromarray(pixels).resize((self.side,) * 2, Image.Resampling.BICUBIC, box, reducing_gap=3.0)
        if self.strong:
            image = rand_augment(image, [uniform("augment", self.seed, self.epoch, uid, n) for n in range(DRAWS)])
        return np.asarray(image)


class Batches(IterableDataset):
    """The whole batches of one rank, an epoch each time it is iterated, the same for any number of workers.

    The order of an epoch is cut into `lanes` runs, and every batch takes equally many samples of each: those of the
    lanes from `first` to `last` are this rank's. So the batches depend on the lanes, not on the ranks that share them,
    and a rank reads its own shards. Each iteration is the next epoch, from batch `start` the first time: workers that
    persist count for themselves. `captions`: each visit shows one of a sample's captions, by ManifestDataset's rule.
    """

    def __init__(
        self,
        release: str,
        collate: Collate,
        *,
        uids: list[str] | None,
        lanes: tuple[int, int, int],
        batch: int,
        captions: Captions = False,
    ) -> None:
        self.collate, self.epoch, self.start = collate, collate.epoch, 0
        first, last, all_lanes = lanes
        self.block = batch // all_lanes  # samples that a lane gives to a batch
        shared = {"seed": collate.seed, "world": all_lanes, "uids": uids, "block": self.block, "captions": captions}
        self.lanes = [ManifestDataset(release, rank=lane, **shared) for lane in range(first, last)]
        rows = sum(self.lanes[0].rows)
        self.per_epoch = rows // all_lanes // self.block

    def begin(self, epoch: int, start: int) -> "Batches":
        """Itself, to give batch `start` of that epoch first."""
        self.epoch, self.start = epoch, start
        return self

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        epoch, start = self.epoch, self.start
        self.epoch, self.start = epoch + 1, 0
        for lane in self.lanes:
            lane.set_epoch(epoch, start * self.block)
        collate = replace(self.collate, epoch=epoch)
        streams = [iter(lane) for lane in self.lanes]
        for _ in range(start + number, self.per_epoch, workers):
            yield collate([sample for stream in streams for sample in islice(stream, self.block)])


def loader(batches: Batches, workers: int, pinned: bool = False) -> DataLoader:
    """Iterated once an epoch; `workers` processes read and decode beside the training and last until it ends."""
    return DataLoader(batches, batch_size=None, num_workers=workers, persistent_workers=workers > 0, pin_memory=pinned)
