"""Compressed files: told by their first bytes, and unpacked to a temporary file where a reader must seek."""

import contextlib
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

from curation.errors import BadItemError

MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x50\x2a\x4d\x18", "zstd"),
    (b"\x5d\x2a\x4d\x18", "zstd"),
)
UNPACKED_RATIO = 200  # assumption: text shrinks to a tenth, archives of it to no less than a 200th
UNPACKED_BYTES = 64 << 20  # always allowed, for small archives that are mostly padding
COPY_BYTES = 1 << 20


def packing(file: BinaryIO) -> str | None:
    """`gzip` or `zstd` by a file's first bytes, else null; the file is back at its start."""
    magic = file.read(4)
    file.seek(0)
    return next((name for start, name in MAGIC if magic.startswith(start)), None)


def unpacked_limit(file: BinaryIO) -> int:
    """How many bytes a compressed file may unpack to: 200 times its own size, at least 64 MiB."""
    limit = max(UNPACKED_BYTES, UNPACKED_RATIO * file.seek(0, 2))
    file.seek(0)
    return limit


@contextlib.contextmanager
def unpacked(stream: BinaryIO, limit: int) -> Iterator[BinaryIO]:
    """A temporary file with all that a decompressing stream gives; BadItemError `too_large` above `limit` bytes.

    Where the stream fails the file ends, so that whoever reads it finds it cut, as it is.
    """
    with tempfile.TemporaryFile() as plain:
        with contextlib.suppress(OSError, EOFError):
            while data := stream.read(COPY_BYTES):
                if plain.tell() + len(data) > limit:
                    raise BadItemError("too_large", f"unpacks to more than {limit} bytes")
                plain.write(data)
        plain.seek(0)
        yield plain
