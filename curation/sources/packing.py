"""Compressed files: told by their first bytes, and unpacked to a temporary file where a reader must seek."""

import contextlib
import gzip
import io
import tempfile
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

import pyarrow as pa

from curation.errors import BadItemError, OutputError
from curation.files import FULL

MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x50\x2a\x4d\x18", "zstd"),
    (b"\x5d\x2a\x4d\x18", "zstd"),
)
UNPACKED_RATIO = 200  # assumption: text shrinks to a tenth, archives of it to no less than a 200th
UNPACKED_BYTES = 64 << 20  # always allowed, for small archives that are mostly padding
CUT = (OSError, EOFError, zlib.error)  # what streams raise where they are damaged or cut
NO_FOLDER = "No usable temporary directory"  # as tempfile says where each folder that it knows is full
PIECE_BYTES = 4096  # what is lost at most where a zstd stream is cut


def packing(file: BinaryIO) -> str | None:
    """`gzip` or `zstd` by a file's first bytes, else null; the file is back at its start."""
    magic = file.read(4)
    file.seek(0)
    return next((name for start, name in MAGIC if magic.startswith(start)), None)


def unpacking(file: BinaryIO, packed: str) -> BinaryIO:
    """What a compressed file holds, as a stream; OSError or EOFError where it is damaged or cut, after what is before.

    To lose nothing that comes before, read it with `read1` in pieces of PIECE_BYTES.
    """
    if packed == "gzip":
        return gzip.GzipFile(fileobj=file)
    # Arrow's stream says where a file is cut; zstandard's ends as if all were well.
    return io.BufferedReader(pa.CompressedInputStream(file, packed), PIECE_BYTES)


def unpacked_limit(file: BinaryIO) -> int:
    """How many bytes a compressed file may unpack to: 200 times its own size, at least 64 MiB."""
    limit = max(UNPACKED_BYTES, UNPACKED_RATIO * file.seek(0, 2))
    file.seek(0)
    return limit


@contextlib.contextmanager
def unpacked(read: Callable[[int], bytes], limit: int) -> Iterator[BinaryIO]:
    """A temporary file with all that `read` gives; BadItemError `too_large` above `limit` bytes.

    Where the stream fails the file ends, so that whoever reads it finds it cut, as it is.
    """
    with tempfile.TemporaryFile() as plain:
        while data := _before_the_cut(read):
            if plain.tell() + len(data) > limit:
                raise BadItemError("too_large", f"unpacks to more than {limit} bytes")
            plain.write(data)
        plain.seek(0)
        yield plain


def _before_the_cut(read: Callable[[int], bytes]) -> bytes:
    try:
        return read(PIECE_BYTES)
    except CUT as error:
        tell_if_blameless(error)
        return b""


def tell_if_blameless(error: Exception) -> None:
    """Raise what is no fault of what is read: a right that lacks; OutputError where temporary files have no room."""
    if isinstance(error, PermissionError):
        raise error
    if getattr(error, "errno", None) in FULL or NO_FOLDER in str(error):
        folder = tempfile.tempdir or "temporary files"
        advice = "make room, or set TMPDIR to another folder, and run the same command again"
        raise OutputError(f"{folder}: {error.strerror}: {advice}") from error
