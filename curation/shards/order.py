"""How the samples of an epoch are dealt: to ranks, to workers, from where an earlier run stopped. Numbers only."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xxhash

Split = Literal["runs", "blocks"]
Even = Literal["drop", "pad"]
Spans = tuple[tuple[int, int], ...]


def keyed_order(prefix: str, names: Iterable[str]) -> np.ndarray:
    """Places of the names, int64, in the order of their xxh64 under a prefix; equal hashes stay in place."""
    keys = np.fromiter((xxhash.xxh64_intdigest((prefix + name).encode()) for name in names), np.uint64)
    return np.argsort(keys, kind="stable")


@dataclass(frozen=True)
class Deal:
    """An epoch of `total` samples in a fixed order, less the spans `done` of it, dealt to `world` ranks.

    split runs: a run in one piece for each rank, equal to within a sample, so that a rank reads shards of its own.
    blocks: blocks of `block` samples in turn, so that what all ranks have taken together after n blocks each is the
    same for any number of them. even: each rank gets equally many whole blocks, for which the last samples are left
    out (drop) or the first ones of the order are given again (pad).
    """

    total: int
    world: int = 1
    block: int = 256
    split: Split = "runs"
    even: Even | None = None
    done: Spans = ()

    @property
    def left(self) -> int:
        return self.total - sum(last - first for first, last in self.done)

    @property
    def dealt(self) -> int:
        """Samples given to all ranks together."""
        turn = self.world * self.block
        if self.even is None:
            return self.left
        return (self.left + (turn - 1 if self.even == "pad" and self.left else 0)) // turn * turn

    def run(self, rank: int) -> tuple[int, int]:
        """First and last place of a rank where it gets a run."""
        return rank * self.dealt // self.world, (rank + 1) * self.dealt // self.world

    def size(self, rank: int) -> int:
        """Samples that a rank gets."""
        if self.split == "runs":
            first, last = self.run(rank)
            return last - first
        rounds, rest = divmod(self.dealt, self.world * self.block)
        return rounds * self.block + min(max(rest - rank * self.block, 0), self.block)

    def mine(self, first: int, last: int, rank: int) -> tuple[np.ndarray, np.ndarray]:
        """Of the places from `first` to `last` those of a rank, and their numbers among all of the rank's; int64."""
        if self.split == "runs":
            start, end = self.run(rank)
            places = np.arange(max(first, start), min(last, end))
            return places, places - start
        places = np.arange(first, min(last, self.dealt))
        places = places[places // self.block % self.world == rank]
        return places, places // (self.block * self.world) * self.block + places % self.block

    def given(self, taken: int) -> Spans:
        """All spans of the order that are done once each rank has taken so many samples."""
        if self.split == "runs":
            runs = (self.run(rank) for rank in range(self.world))
            spans = [(first, min(first + taken, last)) for first, last in runs]
        else:
            rounds, rest = divmod(taken, self.block)
            start = rounds * self.world * self.block
            blocks = [start + rank * self.block for rank in range(self.world)]
            spans = [(0, start), *((first, first + rest) for first in blocks)]
        end = min(self.left, self.dealt)  # beyond it a rank has nothing, or what was there before
        clipped = ((min(first, end), min(last, end)) for first, last in spans)
        return merged([*self.done, *self._spread([span for span in clipped if span[0] < span[1]])])

    def _spread(self, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Spans of places among those that are left -> spans of the whole order."""
        gaps, at = [], 0
        for first, last in (*self.done, (self.total, self.total)):
            gaps.append((at, first))
            at = last
        found, before = [], 0
        for first, last in gaps:
            for start, end in spans:
                here = max(start, before), min(end, before + last - first)
                if here[0] < here[1]:
                    found.append((first + here[0] - before, first + here[1] - before))
            before += last - first
        return found


def merged(spans: Iterable[tuple[int, int]]) -> Spans:
    """The same places in as few spans as can be, ascending.

    >>> merged([(4, 6), (0, 2), (1, 4), (8, 9)])
    ((0, 6), (8, 9))
    """
    found: list[list[int]] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1]:
            found[-1][1] = max(found[-1][1], last)
        else:
            found.append([first, last])
    return tuple((first, last) for first, last in found)


def left_of(first: int, last: int, done: Spans) -> np.ndarray:
    """The places from `first` to `last` that are in no span, int64."""
    places = np.arange(first, last)
    for start, end in done:
        if start < last and end > first:
            places = places[(places < start) | (places >= end)]
    return places


def draws(weights: np.ndarray, low: float, high: float, total: int, uniform: float) -> np.ndarray:
    """How often each row is drawn, int64, by systematic sampling: `total` times its share of the weight, up or down.

    These rows have the part of all the weight from `low` to `high`, of 1; the draws of all parts add up to `total`.

    >>> draws(np.array([1.0, 0.0, 3.0]), 0.0, 1.0, 4, 0.5).tolist(), draws(np.array([1.0]), 0.25, 0.75, 3, 0.9).tolist()
    ([1, 0, 3], [2])
    """
    ends = np.cumsum(weights)
    shares = np.minimum(low + ends / ends[-1] * (high - low), high) if len(ends) and ends[-1] > 0 else ends * 0 + low
    if len(ends) and ends[-1] > 0:
        shares[ends == ends[-1]] = high
    return np.diff(np.floor(shares * total + uniform), prepend=np.floor(low * total + uniform)).astype(np.int64)
