"""Remote shards in a bounded folder: fetched once, checked, shared by every process that reads there."""

import contextlib
import fcntl
import hashlib
import mmap
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import fsspec

from curation.errors import BrokenTableError

PIECE_BYTES = 4 << 20
SUFFIX = ".shard"


def default_folder() -> str:
    """Where shards are kept when nothing else is said: the user's own cache."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(home, "curation", "shards")


@dataclass(frozen=True)
class ShardCache:
    """A folder of at most `limit` bytes; the shard that was longest not opened goes first.

    A file is named by its SHA-256, so that equal shards of several releases are one. Whoever reads a file holds a
    shared lock on it, and one that is held is not removed: where everything is held, the folder is larger until a
    later fetch finds something to remove.
    """

    folder: str
    limit: int

    def open(self, uri: str, part: dict[str, Any]) -> mmap.mmap | bytes:
        """The bytes of a listed file, mapped; the lock lasts as long as the map. BrokenTableError where they differ."""
        path = os.path.join(self.folder, part["sha256"] + SUFFIX)
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        if part["bytes"] == 0:
            return b""
        while True:
            with contextlib.suppress(FileNotFoundError):
                return _mapped(path, part["bytes"])
            with _locked(path + ".lock"):
                if not os.path.exists(path):
                    self._fetch(uri, part, path)

    def _fetch(self, uri: str, part: dict[str, Any], path: str) -> None:
        digest = hashlib.sha256()
        with self._reserved(part["bytes"]) as file:
            with fsspec.open(uri, "rb") as remote:
                while piece := remote.read(PIECE_BYTES):
                    digest.update(piece)
                    file.write(piece)
            if digest.hexdigest() != part["sha256"]:
                raise BrokenTableError(f"{uri}: wanted sha256 {part['sha256']}, found {digest.hexdigest()}")
            file.flush()
            os.fsync(file.fileno())  # it has its full size from the start: no size tells later what is missing
            os.link(file.name, path)

    @contextlib.contextmanager
    def _reserved(self, size: int) -> Iterator[IO[bytes]]:
        """A held file of its full size from the start: fetches that run at once count each other's bytes."""
        with contextlib.ExitStack() as stack:
            with _locked(os.path.join(self.folder, "lock")):
                self._make_room(size)
                file = stack.enter_context(tempfile.NamedTemporaryFile(dir=self.folder, suffix=".part"))
                fcntl.flock(file, fcntl.LOCK_EX)
                file.truncate(size)
            yield file

    def _make_room(self, size: int) -> None:
        """Remove what was longest not used until `size` more bytes fit, as far as nobody holds it."""
        entries = []
        for entry in os.scandir(self.folder):
            with contextlib.suppress(FileNotFoundError):
                entries.append((entry.stat().st_mtime_ns, entry.stat().st_size, entry.path))
        used = sum(bytes for _, bytes, _ in entries)
        for _, bytes, path in sorted(entries):
            if used + size <= self.limit:
                return
            if path.endswith((SUFFIX, ".part")) and _removed(path):
                used -= bytes


def _mapped(path: str, size: int) -> mmap.mmap:
    """The file, mapped. A map has a descriptor of its own, a copy of this one: the lock goes when both are closed."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        found = os.fstat(handle)
        if found.st_size != size and found.st_nlink:
            os.unlink(path)  # somebody cut it
        if found.st_size != size or not found.st_nlink:  # or removed between the two calls
            raise FileNotFoundError(path)
        os.utime(path, ns=(time.time_ns(),) * 2)
        return mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(handle)


def _removed(path: str) -> bool:
    """Remove a file that nobody reads; whether it is gone."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """Hold a lock file; others wait. The kernel lets go of it when the process ends."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
