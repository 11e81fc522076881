"""The commit rule for every file: write under a temporary name, hashing on the way; flush and fsync; rename to the
final name; fsync the folder. So a file is seen whole or not at all.
"""

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from typing import Any, BinaryIO

import fsspec

from curation.errors import BrokenTableError


def join(folder: str, *names: str) -> str:
    """The URI of a name inside a folder."""
    return "/".join([folder.rstrip("/"), *names])


def local_path(uri: str) -> str | None:
    """The plain path of a local URI, else None."""
    if uri.startswith("file:"):
        return fsspec.core.strip_protocol(uri)
    return uri if "://" not in uri else None


class _Hashing:
    """A binary file that hashes and counts what is written through it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.sha256, self.bytes, self.closed = file, hashlib.sha256(), 0, False

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self.bytes += memoryview(data).nbytes
        return self.file.write(data)

    def tell(self) -> int:
        return self.bytes

    def flush(self) -> None:
        self.file.flush()

    def writable(self) -> bool:
        return True


def _sync_folder(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def committing(uri: str) -> Iterator[_Hashing]:
    """A file object whose content appears under `uri` at once and whole when the block ends, or not at all.

    Gives `.bytes` and `.sha256` of what was written. An object store shows a file only when its upload completes,
    which is the same promise.
    """
    path = local_path(uri)
    if path is None:
        with fsspec.open(uri, "wb") as file:
            yield _Hashing(file)
        return
    folder = os.path.dirname(path) or "."
    os.makedirs(folder, exist_ok=True)
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    try:
        with open(temporary, "wb") as file:
            yield _Hashing(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(folder)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def write_json(uri: str, value: Any) -> None:
    """Commit `value` as JSON, keys in their own order: the order of bounds has a meaning."""
    with committing(uri) as file:
        file.write(json.dumps(value, indent=1, allow_nan=False).encode() + b"\n")


def read_json(uri: str) -> Any | None:
    """The value of a JSON file, or None where there is no file; BrokenTableError where it is torn."""
    try:
        with fsspec.open(uri, "rb") as file:
            return json.load(file)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise BrokenTableError(f"{uri}: not valid JSON ({error}); delete it to have it made again") from error


def remove_folder(uri: str) -> None:
    """Delete a folder that nothing lists any more; one that is not there is no error."""
    file_system, path = fsspec.core.url_to_fs(uri)
    with contextlib.suppress(FileNotFoundError):
        file_system.rm(path, recursive=True)
