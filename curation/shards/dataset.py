"""A PyTorch dataset over a release: samples read by offset straight from the tars, in a keyed order."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from PIL import Image
from torch.utils.data import IterableDataset, get_worker_info

from curation.decode import decode
from curation.shards.manifest import Release

COLUMNS = ["uid", "offset", "bytes"]


def decode_image(encoded: bytes) -> Image.Image:
    """An RGB image at full resolution, by the same rules as the signals' `pixels`."""
    return Image.fromarray(decode(encoded))


class ManifestDataset(IterableDataset):
    """The samples of a release, each once per epoch, as dicts {uid, image, text}.

    `image` is the encoded bytes, or `transform(decode(bytes))` where a transform is given (open_clip's `preprocess`
    fits); `text` is the caption, or `tokenizer(caption)`. The order is a function of (seed, epoch): shards by keyed
    hash, samples by keyed hash within a shard. It is cut into equal runs, to within one sample, over `world` ranks,
    and a run into blocks of `block` samples dealt in turn to the workers of the DataLoader: no sample is lost or
    repeated, and with `block` as batch size the batches are the same for any number of workers. `start` leaves out
    the first samples of this rank's run, those that an interrupted epoch has seen. `uids` keeps only those samples; a
    uid that the release does not hold is left out.
    """

    def __init__(
        self,
        out: str,
        *,
        seed: int = 0,
        epoch: int = 0,
        rank: int = 0,
        world: int = 1,
        uids: Iterable[str] | None = None,
        transform: Callable[[Image.Image], Any] | None = None,
        tokenizer: Callable[[str], Any] | None = None,
        decode: Callable[[bytes], Image.Image] = decode_image,
        block: int = 256,
        start: int = 0,
    ) -> None:
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} of world {world}: wanted 0 <= rank < world")
        self.release = Release.open(out)
        self.seed, self.epoch, self.rank, self.world = seed, epoch, rank, world
        self.transform, self.tokenizer, self.decode = transform, tokenizer, decode
        self.block, self.start = block, start
        self.uids = None if uids is None else pa.array(list(uids), pa.string())
        self.rows = self._rows_per_shard()

    def _rows_per_shard(self) -> list[int]:
        if self.uids is None:
            return [part["rows"] for part in self.release.mark["samples"]]
        return [len(self._shard_rows(shard)) for shard in range(len(self.release.tars))]

    def _shard_rows(self, shard: int) -> pa.Table:
        rows = self.release.shard_samples(shard, COLUMNS)
        return rows if self.uids is None else rows.filter(pc.is_in(rows["uid"], self.uids))

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Take the order of this epoch, from sample `start` of this rank, from the next iteration on."""
        self.epoch, self.start = epoch, start

    def __len__(self) -> int:
        """Samples of this rank, over all its workers."""
        first, last = self._run()
        return max(last - first, 0)

    def _run(self) -> tuple[int, int]:
        total = sum(self.rows)
        return self.rank * total // self.world + self.start, (self.rank + 1) * total // self.world

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        first, last = self._run()
        position = 0  # of the shard's first sample in the order of the epoch
        for shard in keyed_order(f"{self.seed}\0shards\0{self.epoch}\0", map(str, range(len(self.rows)))):
            places = np.arange(max(first, position), min(last, position + self.rows[shard]))
            places = places[(places - first) // self.block % workers == number] - position
            if len(places):
                yield from self._read(shard, places)
            position += self.rows[shard]

    def _read(self, shard: int, places: np.ndarray) -> Iterator[dict[str, Any]]:
        """The samples at these places of the shuffled shard."""
        rows = self._shard_rows(shard)
        uids = rows["uid"].to_pylist()
        offsets, sizes = rows["offset"].combine_chunks(), rows["bytes"].combine_chunks()
        image, image_bytes = offsets.field("image").to_numpy(), sizes.field("image").to_numpy()
        text, text_bytes = offsets.field("text").to_numpy(), sizes.field("text").to_numpy()
        data = self.release.open_tar(shard)
        for row in keyed_order(f"{self.seed}\0samples\0{self.epoch}\0", uids)[places]:
            encoded = data[image[row] : image[row] + image_bytes[row]]
            caption = data[text[row] : text[row] + text_bytes[row]].decode()
            yield {
                "uid": uids[row],
                "image": self.transform(self.decode(encoded)) if self.transform else encoded,
                "text": self.tokenizer(caption) if self.tokenizer else caption,
            }


def keyed_order(prefix: str, names: Iterable[str]) -> np.ndarray:
    """Places of the names, int64, in the order of their xxh64 under a prefix; equal hashes stay in place."""
    keys = np.fromiter((xxhash.xxh64_intdigest((prefix + name).encode()) for name in names), np.uint64)
    return np.argsort(keys, kind="stable")
