"""The commit rule and the lock on object stores: S3 and what speaks its protocol, through fsspec.

A file is uploaded in parts while it is written, with no local copy, and appears when the last request is accepted. That
request carries a condition: that nothing has that name (`If-None-Match: *`), or still what had it when the upload began
(`If-Match`). So of two writers one wins; the other sees whether the same bytes are there now, which is as good as its
own, or gets OutputError and has changed nothing.

The lock of a folder is an object made on the first condition and touched again every few seconds. Where it has not been
touched for LEASE_S, by the clock of whoever waits, its holder is dead and the lock is taken over.
"""

import contextlib
import hashlib
import json
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any, BinaryIO

import fsspec
from fsspec.spec import AbstractBufferedFile

from curation.errors import LockedOutputError, OutputError, RecipeError

PART_BYTES = 16 << 20  # of an upload: at most 10,000 parts, so files of up to 160 GB; held in memory while it is sent
CONDITIONAL = ("s3", "s3a")  # protocols of s3fs, whose requests take conditions
LOST = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")  # what S3 answers where one is not met
RENEW_S = 5.0
LEASE_S = 20.0  # four missed renewals
PIECE_BYTES = 1 << 20

# A listing kept in memory would hide what other processes have written since.
fsspec.config.conf.setdefault("s3", {}).setdefault("use_listings_cache", False)


def check(uri: str) -> None:
    """RecipeError for a URI of no known kind, or one whose library is not installed."""
    try:
        for scheme in uri.partition("://")[0].split("::"):
            fsspec.get_filesystem_class(scheme)
    except (ImportError, ValueError) as error:
        raise RecipeError(f"{uri}: {error}") from error


def conditional(file_system: Any) -> bool:
    """Whether writes to this store take conditions."""
    protocol = file_system.protocol
    return bool(set(CONDITIONAL) & {*([protocol] if isinstance(protocol, str) else protocol)})


def open_upload(uri: str) -> BinaryIO:
    """A file that `commit` makes appear under `uri`, on the condition that stands now."""
    file_system, path = fsspec.core.url_to_fs(uri)
    condition = _condition(file_system, path) if conditional(file_system) else {}
    return file_system.open(path, "wb", block_size=PART_BYTES, **condition)


def discard(uri: str, file: Any) -> None:
    """Give up an upload: nothing appears, no parts stay."""
    if isinstance(file, AbstractBufferedFile):
        with contextlib.suppress(OSError):
            file.discard()
        file.closed = True  # so that nothing closes, and with it commits, it later
        return
    file.close()
    file_system, path = fsspec.core.url_to_fs(uri)
    with contextlib.suppress(OSError):
        file_system.rm_file(path)


def commit(uri: str, file: Any, size: int, sha256: str) -> None:
    """End the upload of so many bytes of that SHA-256; OutputError where another writer committed other bytes."""
    try:
        file.close()
    except OSError as error:
        discard(uri, file)
        if answered(error) not in LOST:
            raise
        if _same(uri, size, sha256):
            return
        raise OutputError(
            f"{uri}: wanted to be its only writer, found other bytes there that another one committed meanwhile; "
            "its file was left as it is"
        ) from error


def _condition(file_system: Any, path: str) -> dict[str, str]:
    tag = _tag(file_system, path)
    return {"IfMatch": tag} if tag else {"IfNoneMatch": "*"}


def _tag(file_system: Any, path: str) -> str | None:
    """The entity tag of an object, None where there is none."""
    try:
        return file_system.info(path).get("ETag")
    except FileNotFoundError:
        return None


def answered(error: Exception) -> str | None:
    """The code that S3 answered, None where it was something else that failed."""
    if "botocore" not in sys.modules:  # nothing was asked of S3
        return None
    from botocore.exceptions import ClientError

    cause = error if isinstance(error, ClientError) else error.__cause__
    return cause.response.get("Error", {}).get("Code") if isinstance(cause, ClientError) else None


def _same(uri: str, size: int, sha256: str) -> bool:
    """Whether an object has these bytes."""
    file_system, path = fsspec.core.url_to_fs(uri)
    try:
        if file_system.size(path) != size:
            return False
        digest = hashlib.sha256()
        with file_system.open(path, "rb") as file:
            while piece := file.read(PIECE_BYTES):
                digest.update(piece)
    except FileNotFoundError:
        return False
    return digest.hexdigest() == sha256


def put(file_system: Any, path: str, text: bytes, condition: dict[str, str]) -> str | None:
    """Write a small object on a condition; its entity tag, None where the condition was not met."""
    from botocore.exceptions import BotoCoreError

    bucket, key, _ = file_system.split_path(path)
    try:
        return file_system.call_s3("put_object", Bucket=bucket, Key=key, Body=text, **condition)["ETag"]
    except OSError as error:
        if answered(error) in LOST or isinstance(error, FileNotFoundError):  # gone is not as it was either
            return None
        raise
    except BotoCoreError as error:  # no answer at all: s3fs hands it on, and it is no OSError
        raise OSError(f"{path}: {error}") from error


@contextlib.contextmanager
def leased(folder: str, holder: str, *, wait: bool, lease_s: float = LEASE_S) -> Iterator[None]:
    """Hold the object `lock` in a folder of a store; LockedOutputError where a live HOLDER has it and WAIT is false.

    A store whose requests take no conditions has no lock.
    """
    file_system, path = fsspec.core.url_to_fs(folder)
    if not conditional(file_system):
        yield
        return
    lock = f"{path}/lock"
    lease = uuid.uuid4().hex
    tag = _taken(file_system, lock, holder, lease, wait, lease_s)
    ended = threading.Event()
    renewal = threading.Thread(target=_renew, args=(file_system, lock, holder, lease, tag, ended), daemon=True)
    renewal.start()
    try:
        yield
    finally:
        ended.set()
        renewal.join()


def _text(holder: str, lease: str) -> bytes:
    # The id: each renewal has a tag of its own.
    return json.dumps({"holder": holder, "lease": lease, "id": uuid.uuid4().hex}).encode()


def _put(file_system: Any, lock: str, holder: str, lease: str, condition: dict[str, str]) -> str | None:
    """Touch the lock on a condition; its entity tag, None where another one has it.

    Where the store took a request whose answer was lost, the condition is not met when it is sent again.
    """
    return put(file_system, lock, _text(holder, lease), condition) or _tag_of(file_system, lock, lease)


def _tag_of(file_system: Any, lock: str, lease: str) -> str | None:
    """The entity tag of the lock, None where it is not of this lease."""
    tag = _tag(file_system, lock)  # first: what is taken over between the two is not ours
    return tag if tag and _said(file_system, lock).get("lease") == lease else None


def _taken(file_system: Any, lock: str, holder: str, lease: str, wait: bool, lease_s: float) -> str:
    """The entity tag of the lock, which is ours now."""
    folder = file_system.unstrip_protocol(lock.removesuffix("/lock"))
    seen, since = None, 0.0
    while True:
        found = _tag(file_system, lock)
        untouched = found is not None and found == seen
        if found is None or (untouched and time.monotonic() - since >= lease_s):
            tag = _put(file_system, lock, holder, lease, {"IfMatch": found} if found else {"IfNoneMatch": "*"})
            if tag:
                _check_store(file_system, lock, _text(holder, lease), folder)
                return tag
        elif not untouched:
            other = _said(file_system, lock).get("holder", "another process")
            if seen is not None and not wait:  # it was touched while we looked: its holder lives
                raise LockedOutputError(f"{folder} is being written by {other}")
            if seen is None:
                print(f"{folder}/lock is held by {other}: looking whether it lives", file=sys.stderr, flush=True)
            seen, since = found, time.monotonic()
        time.sleep(min(1.0, lease_s / 20))


def _said(file_system: Any, lock: str) -> dict[str, str]:
    """What stands in the lock; nothing where it is gone."""
    try:
        return json.loads(file_system.cat_file(lock))
    except (FileNotFoundError, ValueError):
        return {}


def _check_store(file_system: Any, lock: str, text: bytes, folder: str) -> None:
    """Warn where the store takes conditions and ignores them."""
    if put(file_system, lock, text, {"IfNoneMatch": "*"}) is not None:
        print(f"{folder}: this store ignores If-None-Match: start one run at a time there", file=sys.stderr, flush=True)


def _renew(file_system: Any, lock: str, holder: str, lease: str, tag: str | None, ended: threading.Event) -> None:
    """Touch the lock until `ended`, then delete it, as long as it is ours."""
    from botocore.exceptions import BotoCoreError

    while tag and not ended.wait(RENEW_S):
        with contextlib.suppress(OSError, BotoCoreError):  # a request that failed is tried again with the next one
            tag = _put(file_system, lock, holder, lease, {"IfMatch": tag})
    with contextlib.suppress(OSError, BotoCoreError):
        if tag and _tag_of(file_system, lock, lease):
            file_system.rm_file(lock)
