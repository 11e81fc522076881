"""Lists of hashes in files, of the operator's: known pictures that must not be in a data set.

A hash a line, 64 hex digits of either case; blank lines and what follows a # are left out. Also gzipped or zstd.
"""

import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import AfterValidator

from curation.sources.lines import open_text

HEX = re.compile(r"[0-9a-fA-F]{64}")


class HashList(NamedTuple):
    """The hashes of files: `hashes` (n, 32) uint8; `files` and `lines` say where each stands."""

    hashes: np.ndarray
    names: tuple[str, ...]
    files: np.ndarray
    lines: np.ndarray

    def place(self, row: int) -> str:
        """File and line of a hash; the hash itself is not told, as lists of some kinds are not to be spread."""
        return f"{self.names[self.files[row]]} line {self.lines[row]}"


def read_hashes(paths: list[str]) -> HashList:
    """The hashes of all files, in order; ValueError with file and line where a line is no hash."""
    found = [_read(path, *_state(path)) for path in paths]
    files = np.repeat(np.arange(len(found), dtype=np.int32), [len(lines) for _, lines in found])
    hashes = np.concatenate([np.zeros((0, 32), np.uint8), *(hashes for hashes, _ in found)])
    lines = np.concatenate([np.zeros(0, np.int32), *(lines for _, lines in found)])
    return HashList(hashes, tuple(Path(path).name for path in paths), files, lines)


def _state(path: str) -> tuple[int, int]:
    if not Path(path).is_file():
        raise ValueError(f"no file {path}; wanted a local list of hashes, 64 hex digits a line")
    stat = Path(path).stat()
    return stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=8)
def _read(path: str, _size: int, _mtime_ns: int) -> tuple[np.ndarray, np.ndarray]:
    texts, numbers = [], []
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            text = line.partition("#")[0].strip()
            if not text:
                continue
            if not HEX.fullmatch(text):
                raise ValueError(f"{path} line {number}: {text[:80]!r}; wanted 64 hex digits, or a comment after #")
            texts.append(text)
            numbers.append(number)
    if not texts:
        raise ValueError(f"{path}: holds no hash; wanted 64 hex digits a line")
    hashes = np.frombuffer(bytes.fromhex("".join(texts)), np.uint8).reshape(-1, 32)
    return hashes, np.array(numbers, np.int32)


def _readable(path: str) -> str:
    _read(path, *_state(path))
    return path


HashFile = Annotated[str, AfterValidator(_readable)]
