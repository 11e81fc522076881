"""Bytes counted and hashed on their way into a file; the digest of a file that is there."""

import hashlib
from typing import BinaryIO

import fsspec

TAIL_BYTES = 1 << 16  # the end of a file, where Parquet keeps its schema and the places of its columns


class Hashing:
    """A binary file that hashes and counts what is written through it, and keeps its last TAIL_BYTES."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.sha256, self.bytes, self.closed, self.tail = file, hashlib.sha256(), 0, False, b""
        self._told = ""

    def write(self, data: bytes) -> int:
        view = memoryview(data).cast("B")
        self.sha256.update(view)
        self.bytes += view.nbytes
        kept = self.tail if view.nbytes < TAIL_BYTES else b""
        self.tail = (kept + bytes(view[-TAIL_BYTES:]))[-TAIL_BYTES:]
        return self.file.write(data)

    def wrote(self, size: int, hexdigest: str) -> None:
        """Take over what was written past it, to `file`, as counted and hashed by its writer."""
        self.bytes, self._told = size, hexdigest

    @property
    def hexdigest(self) -> str:
        return self._told or self.sha256.hexdigest()

    def tell(self) -> int:
        return self.bytes

    def flush(self) -> None:
        self.file.flush()

    def writable(self) -> bool:
        return True


def file_sha256(uri: str) -> str:
    """64 hex, of a file's bytes."""
    with fsspec.open(uri, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
