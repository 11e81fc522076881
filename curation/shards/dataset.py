"""A PyTorch dataset over a release: samples read by offset straight from the tars, in a keyed order."""

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from PIL import Image, ImageOps
from torch.utils.data import IterableDataset, get_worker_info

from curation.shards.manifest import Release

COLUMNS = ["uid", "offset", "bytes"]


def decode_image(encoded: bytes) -> Image.Image:
    """An RGB image at full resolution, EXIF-rotated."""
    with Image.open(io.BytesIO(encoded)) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


class ManifestDataset(IterableDataset):
    """The samples of a release, each once per epoch, as dicts {uid, image, text}.

    `image` is the encoded bytes, or `transform(decode(bytes))` where a transform is given (open_clip's `preprocess`
    fits); `text` is the caption, or `tokenizer(caption)`. The order is a function of (seed, epoch): shards by keyed
    hash, samples by keyed hash within a shard; it is cut into equal runs, to within one sample, over `world` ranks and
    the workers of the DataLoader, so that no sample is lost or repeated. `uids` keeps only those samples; a uid that
    the release does not hold is left out. For another epoch call `set_epoch` before the loader starts its workers.
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
    ) -> None:
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} of world {world}: wanted 0 <= rank < world")
        self.release = Release.open(out)
        self.seed, self.epoch, self.rank, self.world = seed, epoch, rank, world
        self.transform, self.tokenizer, self.decode = transform, tokenizer, decode
        self.uids = None if uids is None else pa.array(list(uids), pa.string())
        self.rows = self._rows_per_shard()

    def _rows_per_shard(self) -> list[int]:
        if self.uids is None:
            return [part["rows"] for part in self.release.mark["samples"]]
        return [len(self._shard_rows(shard)) for shard in range(len(self.release.tars))]

    def _shard_rows(self, shard: int) -> pa.Table:
        rows = self.release.shard_samples(shard, COLUMNS)
        return rows if self.uids is None else rows.filter(pc.is_in(rows["uid"], self.uids))

    def set_epoch(self, epoch: int) -> None:
        """Take the order of this epoch from the next iteration on."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Samples of this rank, over all its workers."""
        start, stop = self._run(self.rank, self.world)
        return stop - start

    def _run(self, place: int, places: int) -> tuple[int, int]:
        total = sum(self.rows)
        return place * total // places, (place + 1) * total // places

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        first, last = self._run(self.rank, self.world)
        start, stop = first + number * (last - first) // workers, first + (number + 1) * (last - first) // workers
        position = 0
        for shard in keyed_order(f"{self.seed}\0shards\0{self.epoch}\0", map(str, range(len(self.rows)))):
            begin, end = max(start - position, 0), min(stop - position, self.rows[shard])
            if begin < end:
                yield from self._read(shard, begin, end)
            position += self.rows[shard]

    def _read(self, shard: int, begin: int, end: int) -> Iterator[dict[str, Any]]:
        """The samples at places `begin` to `end` of the shuffled shard."""
        rows = self._shard_rows(shard)
        uids = rows["uid"].to_pylist()
        offsets, sizes = rows["offset"].combine_chunks(), rows["bytes"].combine_chunks()
        image, image_bytes = offsets.field("image").to_numpy(), sizes.field("image").to_numpy()
        text, text_bytes = offsets.field("text").to_numpy(), sizes.field("text").to_numpy()
        data = self.release.open_tar(shard)
        for row in keyed_order(f"{self.seed}\0samples\0{self.epoch}\0", uids)[begin:end]:
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
