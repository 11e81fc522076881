"""A list that is kept in a temporary file where it grows long."""

import pickle
import tempfile
from collections.abc import Iterator
from typing import Any

CHUNK = 1000  # items that are written at once
MEMORY_BYTES = 32 << 20  # what is kept in memory


class Shelf:
    """Items in the order in which they were added; a context manager, after which they are gone."""

    def __init__(self) -> None:
        self.chunk: list[Any] = []
        self.file = tempfile.SpooledTemporaryFile(MEMORY_BYTES)

    def __enter__(self) -> "Shelf":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def add(self, item: Any) -> None:
        """Put an item at the end."""
        self.chunk.append(item)
        if len(self.chunk) >= CHUNK:
            pickle.dump(self.chunk, self.file, pickle.HIGHEST_PROTOCOL)
            self.chunk = []

    def __iter__(self) -> Iterator[Any]:
        end = self.file.tell()
        self.file.seek(0)
        while self.file.tell() < end:
            yield from pickle.load(self.file)
        yield from self.chunk
