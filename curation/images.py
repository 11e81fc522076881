"""Image pointers (uri, offset, length) -> bytes -> pixels, in order, bounded in bytes, pixels and pictures.

    for rows, batch in batches(pointers):      # pointers sorted by (uri, offset): each file is opened once
        batch.encoded, batch.pixels, batch.pixels_small, batch.errors

One bad picture costs its own row: an error value beside it, never the batch.
"""

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import BinaryIO

import fsspec
import numpy as np

from curation.decode import decode, decode_small, small_scale
from curation.errors import BadItemError
from curation.files import local_path
from curation.headers import LIMITS, Header, Limits, header

__all__ = ["LIMITS", "Header", "ImageBatch", "Limits", "batches", "decode", "decode_small", "header", "read_pointers"]

# What opening a path that does not name a readable file raises; other failures (a network, a disk) are not the
# item's fault and go through, so that the task is tried again.
_NO_FILE = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError, ValueError)
_NO_FILE_NUMBERS = (errno.ENAMETOOLONG, errno.ELOOP)
MAX_BATCH_BYTES = 64 << 20  # encoded bytes of a batch; 64 pictures at the limit of bytes would be 1.3 GB


def threads() -> int:
    """CPU threads this process may use: CURATION_THREADS, which tasks set so that they do not fight, else all cores."""
    return int(os.environ.get("CURATION_THREADS") or os.cpu_count() or 1)


def threaded(function: Callable, items: Sequence) -> list:
    """The function's results in order, on `threads()` threads: decoding and resizing release the lock."""
    if threads() == 1 or len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(threads()) as pool:
        return list(pool.map(function, items))


def read_pointers(pointers: Iterable[dict | None], limit_bytes: int = LIMITS.bytes) -> Iterator[bytes | BadItemError]:
    """The bytes each pointer names, in order, or as a value the BadItemError of that item alone.

    Codes: no_image (null or malformed pointer), missing_file, truncated_file (the file ends early), too_large (above
    `limit_bytes`, unread). A pointer's null length means the rest of the file, its null offset 0. Pointers sorted by
    (uri, offset) open each file once and read it forwards. Local paths, `file:` and any other fsspec URI.
    """
    with ExitStack() as stack:
        opened: tuple[str | None, BinaryIO | BadItemError] = (None, BadItemError("no_image"))
        for pointer in pointers:
            uri = pointer.get("uri") if pointer else None
            if not uri:
                yield BadItemError("no_image", "no pointer")
                continue
            if uri != opened[0]:
                stack.close()
                opened = (uri, _open(uri, stack))
            file = opened[1]
            yield file if isinstance(file, BadItemError) else _read(file, pointer, limit_bytes)


def _open(uri: str, stack: ExitStack) -> BinaryIO | BadItemError:
    path = local_path(uri)
    try:
        return stack.enter_context(open(path, "rb") if path is not None else fsspec.open(uri, "rb"))
    except _NO_FILE as error:
        return BadItemError("missing_file", f"{uri}: {error}")
    except OSError as error:
        if error.errno not in _NO_FILE_NUMBERS:
            raise
        return BadItemError("missing_file", f"{uri}: {error}")


def _read(file: BinaryIO, pointer: dict, limit: int) -> bytes | BadItemError:
    offset, length = pointer.get("offset") or 0, pointer.get("length")
    where = f"{pointer['uri']} at {offset}"
    if offset < 0 or (length is not None and length < 0):
        return BadItemError("no_image", f"{where}: length {length}")
    if length is not None and length > limit:
        return BadItemError("too_large", f"{where}: {length} bytes, limit {limit}")
    file.seek(offset)
    data = file.read(limit + 1 if length is None else length)
    if length is None and len(data) > limit:
        return BadItemError("too_large", f"{where}: over {limit} bytes")
    if length is not None and len(data) < length:
        return BadItemError("truncated_file", f"{where}: {len(data)} of {length} bytes")
    return data


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
        self._pixels: list[np.ndarray | None] | None = None
        self._small: list[np.ndarray | None] | None = None

    def __len__(self) -> int:
        return len(self.encoded)

    def header(self, i: int) -> Header | None:
        """Size and format of picture i, or None where it cannot be read (see errors[i])."""
        return self._headers[i]

    @property
    def pixels(self) -> list[np.ndarray | None]:
        """Full resolution, uint8 RGB, (height, width, 3), EXIF-rotated, read-only; None where errors[i] is set."""
        if self._pixels is None:
            self._pixels = self._decoded(decode, self._small)
        return self._pixels

    @property
    def pixels_small(self) -> list[np.ndarray | None]:
        """As `pixels`, but JPEG scaled by the rule of `decode_small`; the same arrays where it scales nothing."""
        if self._small is None:
            self._small = self._decoded(decode_small, self._pixels)
        return self._small

    def _decoded(self, decoder: Callable, other: list[np.ndarray | None] | None) -> list[np.ndarray | None]:
        found: list[np.ndarray | None] = [None] * len(self)
        wanted = []
        for i in range(len(self)):
            head = self.header(i)
            if head is None or self.errors[i] is not None:
                continue
            if other is not None and other[i] is not None and small_scale(head) == 1:
                found[i] = other[i]  # both sizes are the same picture
            else:
                wanted.append(i)
        self.decodes += len(wanted)
        for i, pixels in zip(wanted, threaded(lambda i: self._try(decoder, i), wanted)):
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
    small: bool = False,
) -> Iterator[tuple[slice, ImageBatch]]:
    """(slice of `pointers`, its ImageBatch), in order, covering every pointer once.

    A batch holds at most `max_images` pictures, `max_pixels` pixels and `max_bytes` encoded bytes; a picture that alone
    exceeds one of them is a batch of its own. Pixels count at full resolution, with `small` as `pixels_small` has
    them: fuller batches for whoever reads no others. Empty pointers give no batch.
    """
    items: list[bytes | BadItemError] = []
    start = pixels = size = 0
    for item in read_pointers(pointers):
        more_pixels, more_bytes = _cost(item, small)
        full = len(items) == max_images or pixels + more_pixels > max_pixels or size + more_bytes > max_bytes
        if items and full:
            yield slice(start, start + len(items)), ImageBatch(items)
            start, items, pixels, size = start + len(items), [], 0, 0
        items.append(item)
        pixels, size = pixels + more_pixels, size + more_bytes
    if items:
        yield slice(start, start + len(items)), ImageBatch(items)


def _cost(item: bytes | BadItemError, small: bool) -> tuple[int, int]:
    if isinstance(item, BadItemError):
        return 0, 0
    try:
        found = header(item)
    except BadItemError:
        return 0, len(item)
    return found.width * found.height // (small_scale(found) ** 2 if small else 1), len(item)
