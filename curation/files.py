"""The commit rule for every file: write under a temporary name, hashing on the way; flush and fsync; rename to the
final name; fsync the folder. So a file is seen whole or not at all. And the lock for what only one process may write.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
import socket
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec

from curation import stores
from curation.errors import BrokenTableError, LockedOutputError, OutputError
from curation.hashing import Hashing

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
TEMPORARY = re.compile(r"-(?P<pid>\d+)-(?P<started>\d+)-[0-9a-f]{32}\.tmp$")  # after NAME.HOST, while it is written


def join(folder: str, *names: str) -> str:
    """The URI of a name inside a folder."""
    return "/".join([folder.rstrip("/"), *names])


def absolute(uri: str) -> str:
    """A path or URI that means the same in any process: a plain path made absolute, no slash at its end.

    RecipeError for a URI that nothing here can open.

    >>> absolute("s3://bucket/folder/"), absolute("file:/folder/")
    ('s3://bucket/folder', '/folder')
    """
    if "://" not in uri:
        return os.path.abspath(local_path(uri))
    stores.check(uri)
    return uri.rstrip("/")


def local_path(uri: str) -> str | None:
    """The plain path of a local URI, else None."""
    if uri.startswith("file:"):
        return fsspec.core.strip_protocol(uri)
    return uri if "://" not in uri else None


def state(uri: str) -> tuple[tuple, ...]:
    """What tells a local file, or the files of a folder, from later ones of the same name; nothing where none is there.

    For caches of what was read from it: a worker outlives a run.
    """
    path = Path(local_path(uri) or uri)
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    stats = [(file.name, file.stat()) for file in files if file.is_file()]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def _sync_folder(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def committing(uri: str) -> Iterator[Hashing]:
    """A file object whose content appears under `uri` at once and whole when the block ends, or not at all.

    Gives `.bytes`, `.sha256` and `.tail` of what was written. An object store (curation.stores) shows a file when its
    upload completes, which is the same promise. OutputError where the place is full, read-only or not ours, or another
    writer was faster.
    """
    path = local_path(uri)
    if path is None:
        with _uploading(uri) as hashing:
            yield hashing
        return
    folder = os.path.dirname(path) or "."
    writer = f"{socket.gethostname()}-{os.getpid()}-{_started(os.getpid())}"
    temporary = f"{path}.{writer}-{uuid.uuid4().hex}.tmp"
    inside = False
    try:
        os.makedirs(folder, exist_ok=True)
        with open(temporary, "wb") as file:
            inside = True
            yield Hashing(file)
            inside = False
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(folder)
    except OSError as error:
        # A block may read other files too: only errors of this one are told as such.
        if not inside or error.errno in (*FULL, errno.EROFS):
            raise _output_error(path, error, temporary) from error
        raise
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


@contextlib.contextmanager
def _uploading(uri: str) -> Iterator[Hashing]:
    hashing = Hashing(stores.open_upload(uri))
    with contextlib.ExitStack() as given_up:
        given_up.callback(stores.discard, uri, hashing.file)
        yield hashing
        given_up.pop_all()
    stores.commit(uri, hashing.file, hashing.bytes, hashing.hexdigest)


def _output_error(path: str, error: OSError, written: str) -> OutputError:
    if error.errno not in FULL:
        return OutputError(f"{path}: cannot be written: {error.strerror}")
    there = next(folder for folder in Path(path).absolute().parents if folder.is_dir())  # its own may not be made yet
    done = os.path.getsize(written) if os.path.exists(written) else 0
    room = f"{done:,} bytes were written, {shutil.disk_usage(there).free:,} are free there, more are needed"
    return OutputError(f"{path}: {error.strerror}: {room}; make room and run the same command again")


def sweep(folder: str) -> None:
    """Delete the temporary files that dead processes of this machine left in a local folder (not below it)."""
    path = local_path(folder)
    if path is None or not os.path.isdir(path):
        return
    for name in os.listdir(path):
        found = TEMPORARY.search(name)
        ours = found and name[: found.start()].endswith(f".{socket.gethostname()}")
        if ours and _started(found["pid"]) != int(found["started"]):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(path, name))


def exists(uri: str) -> bool:
    """Whether there is a file or folder, also in an object store."""
    file_system, path = fsspec.core.url_to_fs(absolute(uri))
    return file_system.exists(path)


def holds_files(folder: str) -> bool:
    """Whether there is anything in a folder, also in an object store, but the lock and what killed writers left."""
    file_system, path = fsspec.core.url_to_fs(folder)
    names = file_system.ls(path, detail=False) if file_system.isdir(path) else []
    names = [name.rstrip("/").rpartition("/")[2] for name in names]
    return any(name != "lock" and not TEMPORARY.search(name) for name in names)


@contextlib.contextmanager
def swept(*folders: str) -> Iterator[None]:
    """The folders swept before the block and after it: a worker may die in it, whose task then ends in another one."""
    for each in folders:
        sweep(each)
    yield
    for each in folders:
        sweep(each)


def _started(pid: int | str) -> int:
    """When a process started, in clock ticks since boot; 0 where there is none that lives.

    Numbers are used again, for threads too, whose entries /proc has without listing them: the start tells them apart.
    """
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])  # dead, but nobody has asked how it ended


@contextlib.contextmanager
def locked(folder: str, *, wait: bool) -> Iterator[None]:
    """Hold the file `lock` in a local folder; another process waits for it, or gets LockedOutputError.

    The kernel lets go of it when the process ends, however that ends; in an object store it is leased.
    """
    path = local_path(folder)
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    if path is None:
        with stores.leased(folder, holder, wait=wait):
            yield
        return
    lock = os.path.join(path, "lock")
    with contextlib.ExitStack() as held:
        try:
            os.makedirs(path, exist_ok=True)
            handle = _take(lock, wait)
            held.callback(os.close, handle)
            held.callback(os.unlink, lock)
            os.ftruncate(handle, 0)
            os.write(handle, holder.encode())
        except OSError as error:
            raise _output_error(lock, error, lock) from error
        yield


def _take(lock: str, wait: bool) -> int:
    """A descriptor of the lock file, locked."""
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(handle, 200).decode(errors="replace") or "another process"
            if not wait:
                os.close(handle)
                raise LockedOutputError(f"{os.path.dirname(lock)} is being written by {holder}") from error
            print(f"waiting for {holder}, which writes {os.path.dirname(lock)}", file=sys.stderr, flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        # A holder unlinks the file before it lets go: what we hold then is no longer the lock.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(lock)):
                return handle
        os.close(handle)


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
