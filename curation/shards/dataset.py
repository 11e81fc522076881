"""A PyTorch dataset over a release: samples read by offset straight from the tars, in a keyed order."""

import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from torch.utils.data import IterableDataset, get_worker_info

from curation.decode import decode
from curation.errors import BrokenTableError, RecipeError
from curation.files import join, local_path
from curation.methods.uniforms import keyed_uniforms
from curation.shards.cache import ShardCache, default_folder
from curation.shards.captions import Captions, drawn_captions
from curation.shards.manifest import Release, decoded
from curation.shards.order import Deal, Even, Split, draws, keyed_order, left_of, merged
from curation.shards.select import Weights, select

COLUMNS = ["uid", "offset", "bytes", "caption"]
CACHE_BYTES = 16 << 30  # a shard for each of some tens of processes
READ_AHEAD = 4  # one sample in so many of a shard is enough for the whole of it to be read ahead

__all__ = ["ManifestDataset", "decode_image", "keyed_order"]


def decode_image(encoded: bytes) -> Image.Image:
    """An RGB image at full resolution, by the same rules as the signals' `pixels`."""
    return Image.fromarray(decode(encoded))


class ManifestDataset(IterableDataset):
    """The samples of a release, each once per epoch, as dicts {uid, image, text} and the manifest's `columns`.

    `image` is the encoded bytes, or `transform(decode(bytes))` where a transform is given (open_clip's `preprocess`
    fits); `text` is the caption, or `tokenizer(caption)`. Nothing that is read can run code.

    Which: those of `uids` (or of a file that lists them) that pass `where`, bounds on columns of the manifest as a
    recipe writes them, {"clip_score": {"min": 0.3}, "cluster": {"in": [3, 7]}}. With `weights`, a column or a mapping
    from uid, an epoch is `samples` draws (default: as many as there are rows), each row as often as its weight says, up
    or down by less than one, other rows in another epoch. `captions` draws one of several for each visit: True, each as
    likely; or weights by kind, {"original": 1, "rewrite": 2}.

    In what order: a function of (seed, epoch): shards by keyed hash, samples by keyed hash within a shard; dealt to
    `world` ranks as curation.shards.order.Deal says (`split`, `even`), and a rank's to the workers of the DataLoader in
    blocks of `block` in turn: no sample is lost or repeated, and with `block` as batch size the batches are the same
    for any number of workers. `start` leaves out the first samples of this rank.

    Shards that are not local are fetched into the folder `cache` of at most `cache_bytes`, one ahead.
    """

    def __init__(
        self,
        out: str,
        *,
        seed: int = 0,
        epoch: int = 0,
        rank: int = 0,
        world: int = 1,
        uids: Iterable[str] | str | None = None,
        where: Mapping[str, Any] | None = None,
        weights: Weights | None = None,
        samples: int | None = None,
        captions: Captions = False,
        columns: Sequence[str] = (),
        transform: Callable[[Image.Image], Any] | None = None,
        tokenizer: Callable[[str], Any] | None = None,
        decode: Callable[[bytes], Image.Image] = decode_image,
        block: int = 256,
        split: Split = "runs",
        even: Even | None = None,
        start: int = 0,
        cache: str | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} of world {world}: wanted 0 <= rank < world")
        if samples is not None and weights is None:
            raise RecipeError("samples: wanted weights too; without them an epoch is each row once")
        self.release = Release.open(out)
        self.seed, self.rank, self.world, self.block, self.split, self.even = seed, rank, world, block, split, even
        self.transform, self.tokenizer, self.decode = transform, tokenizer, decode
        self.captions, self.columns = captions, tuple(columns)
        self.cache = ShardCache(cache or default_folder(), cache_bytes)
        self.chosen, self.weights, self.selection = select(self.release, uids, where, weights, self.columns)
        self.samples = samples
        self.done: tuple[tuple[int, int], ...] = ()
        self.skipped = self.given = 0
        self.set_epoch(epoch, start)

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Take the order of this epoch: from sample `start` of this rank in the next iteration, whole in later ones."""
        self.epoch, self.start, self.done, self.begun = epoch, start, (), False
        self.skipped = self.given = 0
        self.rows = self._rows_per_shard()

    def _rows_per_shard(self) -> list[int]:
        """How many samples of each shard are in the epoch."""
        if self.weights is not None:
            low, high, total, uniform = self._parts()
            return (np.floor(high * total + uniform) - np.floor(low * total + uniform)).astype(np.int64).tolist()
        if self.chosen is not None:
            return [len(rows) for rows in self.chosen]
        return [part["rows"] for part in self.release.mark["samples"]]

    def _parts(self) -> tuple[np.ndarray, np.ndarray, int, float]:
        """Each shard's part of all the weight, from and to, of 1; how many draws; and the epoch's uniform."""
        ends = np.cumsum([each.sum() for each in self.weights])
        ends = ends / ends[-1] if len(ends) and ends[-1] > 0 else ends
        total = sum(map(len, self.weights)) if self.samples is None else self.samples
        uniform = keyed_uniforms(self.seed, "draws", pa.array([str(self.epoch)]))[0]
        return np.concatenate([[0.0], ends[:-1]]), ends, total if len(ends) and ends[-1] > 0 else 0, uniform

    @property
    def deal(self) -> Deal:
        """How this epoch is dealt."""
        return Deal(sum(self.rows), self.world, self.block, self.split, self.even, self.done)

    def __len__(self) -> int:
        """Samples of this rank, over all its workers."""
        return max(self.deal.size(self.rank) - self.start, 0)

    def state_dict(self, taken: int | None = None) -> dict[str, Any]:
        """Where this epoch is, once each rank has taken `taken` samples of it (default: as many as this object gave).

        Given to a dataset of the same selection and seed, that of any other rank, world, split or block, by
        `load_state_dict`, what is left is dealt anew: no sample is lost or repeated. In a worker of a DataLoader it is
        the worker's own place, for a loader that asks each of its workers.
        """
        state = {"selection": self.selection, "seed": self.seed, "epoch": self.epoch, "samples": self.samples}
        state |= {"world": self.world, "block": self.block, "split": self.split, "even": self.even}
        state |= {"done": [list(span) for span in self.done], "start": self.start}
        worker = get_worker_info()
        if worker is not None:
            return state | {"worker": [worker.id, worker.num_workers], "given": self.skipped + self.given}
        return state | {"taken": self.start + self.given if taken is None else taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there in the next iteration alone; RecipeError where the state is of another order."""
        mine = {"selection": self.selection, "seed": self.seed, "samples": self.samples}
        other = [name for name, value in mine.items() if state[name] != value]
        if other:
            raise RecipeError(f"{self.release.out}: the state is of another {', '.join(other)}: the order would differ")
        self.set_epoch(state["epoch"], state["start"])
        self.done = tuple((first, last) for first, last in state["done"])
        kind = (state["world"], state["block"], state["split"], state["even"])
        own = (self.world, self.block, self.split, self.even)
        if "worker" in state:
            worker = get_worker_info()
            found = [worker.id, worker.num_workers] if worker else [0, 1]
            if (found, own) != (state["worker"], kind):
                told = f"the state is of worker {state['worker']} dealt {kind}, found worker {found} dealt {own}"
                raise RecipeError(f"{told}: wanted the same (id, workers; world, block, split, even), or taken=")
            self.skipped = state["given"]
            return
        if kind == own:
            self.start = state["taken"]
            return
        self.done = merged(Deal(sum(self.rows), *kind, self.done).given(state["taken"]))
        self.start = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        if self.begun:  # what a resume leaves out, only the first iteration after it does
            self.start, self.done, self.skipped = 0, (), 0
        skip, self.given, self.begun = self.skipped, 0, True
        with ThreadPoolExecutor(1) as ahead:
            parts = self._parts_of(number, workers)
            part, data = next(parts, None), None
            while part is not None:
                following = next(parts, None)
                data = data or ahead.submit(self._open, part)
                opened, data = data.result(), following and ahead.submit(self._open, following)
                places = part[1][skip:]
                skip -= len(part[1]) - len(places)
                for sample in self._read(part[0], opened, places):
                    self.given += 1
                    yield sample
                part = following

    def _parts_of(self, number: int, workers: int) -> Iterator[tuple[int, np.ndarray]]:
        """Shards in the order of the epoch, each with the places of this worker's samples in the shuffled shard."""
        deal, rows = self.deal, self.rows
        order = keyed_order(f"{self.seed}\0shards\0{self.epoch}\0", map(str, range(len(rows)))).tolist()
        before = 0  # samples in the turns and shards so far: more turns than one where ranks are padded
        while before < deal.dealt and deal.left:
            position = 0
            for shard in order:
                left = left_of(position, position + rows[shard], self.done)
                mine, numbers = deal.mine(before, before + len(left), self.rank)
                taken = (numbers >= self.start) & ((numbers - self.start) // self.block % workers == number)
                if taken.any():
                    yield shard, left[mine[taken] - before] - position
                position += rows[shard]
                before += len(left)

    def _open(self, part: tuple[int, np.ndarray]) -> Any:
        """The bytes of a shard: mapped where it is local, else fetched first; read ahead where most of it is wanted."""
        shard = part[0]
        tar = self.release.tars[shard]
        uri = join(self.release.out, tar["name"])
        data = self.release.open_tar(shard) if local_path(uri) is not None else self.cache.open(uri, tar)
        if isinstance(data, mmap.mmap) and len(part[1]) * READ_AHEAD >= tar["rows"]:
            data.madvise(mmap.MADV_WILLNEED)
        return data

    def _read(self, shard: int, data: Any, places: np.ndarray) -> Iterator[dict[str, Any]]:
        """The samples at these places of the shuffled shard."""
        more = ["captions"] if self.captions else []
        table = self.release.shard_samples(shard, list(dict.fromkeys([*COLUMNS, *more, *self.columns])))
        rows, visits = self._shuffled(shard, table)
        table = table.take(pa.array(rows[places]))
        uids, texts = table["uid"].to_pylist(), table["caption"].to_pylist()
        if self.captions:
            texts = drawn_captions(table, visits[places], self.seed, self.epoch, self.captions)
        at = table["offset"].combine_chunks().field("image").to_numpy()
        end = at + table["bytes"].combine_chunks().field("image").to_numpy()
        outside = (at < 0) | (end < at) | (end > len(data))  # end < at: also where the sum is beyond int64
        if outside.any():
            told = f"shard {shard}: sample {uids[outside.argmax()]} is said to lie outside it; see curate verify"
            raise BrokenTableError(f"{self.release.out}: {told}")
        others = {name: table[name].to_pylist() for name in self.columns}
        for row, (first, last) in enumerate(zip(at.tolist(), end.tolist())):
            encoded = data[first:last]
            yield {
                "uid": uids[row],
                "image": self.transform(decoded(encoded, uids[row], self.decode)) if self.transform else encoded,
                "text": self.tokenizer(texts[row]) if self.tokenizer else texts[row],
                **{name: values[row] for name, values in others.items()},
            }

    def _shuffled(self, shard: int, table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        """The rows of the shard's samples in the order of the epoch, and which visit of the epoch each is, from 0."""
        rows = np.arange(len(table)) if self.chosen is None else self.chosen[shard]
        uids = table["uid"].combine_chunks().take(pa.array(rows))
        order = np.argsort(keyed_uniforms(self.seed, f"samples\0{self.epoch}", uids), kind="stable")
        if self.weights is None:
            return rows[order], np.zeros(len(rows), np.int64)
        low, high, total, uniform = self._parts()
        counts = draws(self.weights[shard][order], low[shard], high[shard], total, uniform)
        visits = np.concatenate([np.zeros(0, np.int64), *(np.arange(n) for n in counts)])
        drawn = np.repeat(order, counts)
        names = uids.take(pa.array(drawn))
        again = keyed_uniforms(self.seed, f"visits\0{self.epoch}", names, pa.array(visits.astype(str), pa.string()))
        order = np.argsort(again, kind="stable")
        return rows[drawn[order]], visits[order]
