"""Image pointers (uri, offset, length) -> bytes -> pixels, in order, bounded in bytes, pixels and pictures.

    for rows, batch in batches(pointers):      # pointers sorted by (uri, offset): each file is opened once
        batch.encoded, batch.pixels, batch.pixels_bounded, batch.pixels_small, batch.errors

One bad picture costs its own row: an error value beside it, never the batch.
"""

import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import BinaryIO

import numpy as np

from curation.decode import bounded_scale, decode, decode_at, decode_small, small_scale
from curation.errors import BadItemError
from curation.files import local_path
from curation.headers import LIMITS, Header, Limits, header
from curation.ranges import pointer_fault, whole, with_ranges

__all__ = ["LIMITS", "Header", "ImageBatch", "Limits", "batches", "decode", "decode_small", "header", "read_pointers"]

# What opening a path that does not name a file raises; other failures (a network, a disk, a right that ended) are not
# the item's fault and go through, so that the task is tried again.
_NO_FILE = (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError)
_NO_FILE_NUMBERS = (errno.ENAMETOOLONG, errno.ELOOP)
MAX_BATCH_BYTES = 64 << 20  # encoded bytes of a batch; 64 pictures at the limit of bytes would be 1.3 GB
FULL_BATCH = 16  # pictures that models take at a time on a CPU: a batch cut short holds a multiple of it
_SCALES = {"pixels": lambda found: 1, "pixels_bounded": bounded_scale, "pixels_small": small_scale}


def threads() -> int:
    """CPU threads this process may use: CURATION_THREADS, else the cores of its Spark task, else all of the machine."""
    given = os.environ.get("CURATION_THREADS")
    if given:
        return int(given)
    spark = sys.modules.get("pyspark.taskcontext")  # not imported for this: outside of Spark nothing needs it
    task = spark.TaskContext.get() if spark else None
    return task.cpus() if task is not None else os.cpu_count() or 1


def threaded(function: Callable, items: Sequence) -> list:
    """The function's results in order, on `threads()` threads: decoding and resizing release the lock."""
    if threads() == 1 or len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(threads()) as pool:
        return list(pool.map(function, items))


def ahead(items: Iterator) -> Iterator:
    """The items in order, each made on another thread while its predecessor is in use; not where `threads()` is 1."""
    if threads() == 1:
        yield from items
        return
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item


def read_pointers(pointers: Iterable[dict | None], limit_bytes: int = LIMITS.bytes) -> Iterator[bytes | BadItemError]:
    """The bytes each pointer names, in order, or as a value the BadItemError of that item alone.

    Codes: no_image (null or malformed pointer), missing_file, truncated_file (the file ends early), too_large (above
    `limit_bytes`, unread). A pointer's null length means the rest of the file, its null offset 0. Pointers sorted by
    (uri, offset) open each file once and read it forwards. Local paths, `file:` and any other fsspec URI: of these the
    ranges of many pictures are asked for at once.
    """
    with ExitStack() as stack:
        opened: tuple[str | None, BinaryIO | BadItemError] = (None, BadItemError("no_image"))
        for pointer, fetched in with_ranges(pointers, limit_bytes):
            uri = pointer.get("uri") if pointer else None
            if fetched is not None or not uri:
                yield BadItemError("no_image", "no pointer") if fetched is None else fetched
                continue
            if uri != opened[0]:
                stack.close()
                opened = (uri, _open(uri, stack))
            file = opened[1]
            yield file if isinstance(file, BadItemError) else _read(file, pointer, limit_bytes)


def _open(uri: str, stack: ExitStack) -> BinaryIO | BadItemError:
    try:
        return stack.enter_context(open(local_path(uri), "rb"))
    except _NO_FILE as error:
        return BadItemError("missing_file", f"{uri}: {error}")
    except OSError as error:
        if error.errno not in _NO_FILE_NUMBERS:
            raise
        return BadItemError("missing_file", f"{uri}: {error}")


def _read(file: BinaryIO, pointer: dict, limit: int) -> bytes | BadItemError:
    offset, length = pointer.get("offset") or 0, pointer.get("length")
    fault = pointer_fault(pointer, limit)
    if fault is not None:
        return fault
    file.seek(offset)
    return whole(pointer, file.read(limit + 1 if length is None else length), limit)


class ImageBatch:
    """Pictures read together; each decoded at most once a size, when first asked for, on `threads()` threads.

    `encoded`: bytes or None. `errors`: None, or "code: detail" of the first thing that failed: reading and the header
    at once, decoding when it is asked for; pixels of such a picture are None. `decodes`: decoder runs so far.
    """

    def __init__(self, items: Sequence[bytes | BadItemError | None]) -> None:
        """`items` as `read_pointers` gives them; None is a picture that is not there (no_image)."""
        items = [BadItemError("no_image") if item is None else item for item in items]
        self.encoded: list[bytes | None] = [None if isinstance(i, BadItemError) else i for i in items]
        self.errors: list[str | None] = [str(i) if isinstance(i, BadItemError) else None for i in items]
        self.decodes = 0
        self._headers: list[Header | None] = [self._try(header, i) for i in range(len(items))]
        self._decoded: dict[str, list[np.ndarray | None]] = {}

    def __len__(self) -> int:
        return len(self.encoded)

    def header(self, i: int) -> Header | None:
        """Size and format of picture i, or None where it cannot be read (see errors[i])."""
        return self._headers[i]

    @property
    def pixels(self) -> list[np.ndarray | None]:
        """Full resolution, uint8 RGB, (height, width, 3), EXIF-rotated, read-only; None where errors[i] is set."""
        return self.decoded("pixels")

    @property
    def pixels_bounded(self) -> list[np.ndarray | None]:
        """As `pixels`, but JPEG above 4 Mpx scaled by the rule of `decode_bounded`; else the same arrays."""
        return self.decoded("pixels_bounded")

    @property
    def pixels_small(self) -> list[np.ndarray | None]:
        """As `pixels`, but JPEG scaled by the rule of `decode_small`; the same arrays where it scales nothing."""
        return self.decoded("pixels_small")

    def decoded(self, name: str) -> list[np.ndarray | None]:
        """The pixels of that name, decoded when first asked for."""
        if name not in self._decoded:
            self._decoded[name] = self._decode(_SCALES[name])
        return self._decoded[name]

    def _decode(self, scale: Callable[[Header], int]) -> list[np.ndarray | None]:
        found: list[np.ndarray | None] = [None] * len(self)
        wanted: list[int] = []
        for i, head in enumerate(self._headers):
            if head is None or self.errors[i] is not None:
                continue
            # Two names that scale alike are the same picture.
            same = [self._decoded[n][i] for n in self._decoded if _SCALES[n](head) == scale(head)]
            found[i] = next((pixels for pixels in same if pixels is not None), None)
            wanted += [i] if found[i] is None else []
        self.decodes += len(wanted)

        def decoder(i: int) -> np.ndarray | None:
            return self._try(lambda data: decode_at(data, self._headers[i], scale(self._headers[i])), i)

        for i, pixels in zip(wanted, threaded(decoder, wanted)):
            found[i] = pixels
        return found

    def _try(self, read: Callable, i: int) -> Header | np.ndarray | None:
        if self.errors[i] is not None:
            return None
        try:
            return read(self.encoded[i])
        except BadItemError as error:
            self.errors[i] = str(error)
            return None


def batches(
    pointers: Sequence[dict | None],
    *,
    max_images: int = 64,
    max_pixels: int = 64 << 20,
    max_bytes: int = MAX_BATCH_BYTES,
    decoded: Sequence[str] = ("pixels",),
) -> Iterator[tuple[slice, ImageBatch]]:
    """(slice of `pointers`, its ImageBatch), in order, covering every pointer once.

    A batch holds at most `max_images` pictures, `max_pixels` pixels and `max_bytes` encoded bytes; a picture that alone
    exceeds one of them is a batch of its own. Pixels count as the largest of the names `decoded` has them: fuller
    batches for whoever reads scaled ones alone. A batch that is full before its time leaves pictures beyond a multiple
    of 16 to the next one. Empty pointers give no batch.
    """
    items: list[bytes | BadItemError] = []
    costs: list[tuple[int, int, int]] = []
    start = 0
    for item in read_pointers(pointers):
        cost = _cost(item, decoded)
        limits = (max_images, max_pixels, max_bytes)
        while items and any(sum(each) > limit for each, limit in zip(zip(*costs, cost), limits)):
            count = len(items) - len(items) % FULL_BATCH or len(items)
            yield slice(start, start + count), ImageBatch(items[:count])
            start, items, costs = start + count, items[count:], costs[count:]
        items.append(item)
        costs.append(cost)
    if items:
        yield slice(start, start + len(items)), ImageBatch(items)


def _cost(item: bytes | BadItemError, decoded: Sequence[str]) -> tuple[int, int, int]:
    """Pictures, pixels and bytes that an item adds to a batch."""
    if isinstance(item, BadItemError):
        return 1, 0, 0
    try:
        found = header(item)
    except BadItemError:
        return 1, 0, len(item)
    scale = min((_SCALES[name](found) for name in decoded), default=1)
    return 1, found.width * found.height // scale**2, len(item)
