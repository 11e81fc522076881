"""Byte ranges of pictures: what a pointer may ask for, and many ranges of an object store asked for at once."""

import errno
import itertools
from collections.abc import Iterable, Iterator

import fsspec

from curation.errors import BadItemError
from curation.files import local_path
from curation.stores import answered

AHEAD = 128  # pictures asked for at once of a store, which answers in tens of milliseconds, however small they are
AHEAD_BYTES = 32 << 20  # and at most so many bytes, but for a single picture
BEHIND = ("InvalidRange", "416")  # what S3 answers to a range behind the end
Pointer = dict | None
Item = bytes | BadItemError | None


def with_ranges(pointers: Iterable[Pointer], limit: int) -> Iterator[tuple[Pointer, Item]]:
    """Each pointer with the bytes that it names in an object store, or why there are none; None for local files."""
    for window in _windows(pointers, limit):
        yield from zip(window, _fetched(window, limit))


def pointer_fault(pointer: dict, limit: int) -> BadItemError | None:
    """What is wrong with a pointer before anything is read."""
    offset, length = pointer.get("offset") or 0, pointer.get("length")
    where = f"{pointer['uri']} at {offset}"
    if offset < 0 or (length is not None and length < 0):
        return BadItemError("no_image", f"{where}: length {length}")
    if length is not None and length > limit:
        return BadItemError("too_large", f"{where}: {length} bytes, limit {limit}")
    return None


def whole(pointer: dict, data: bytes, limit: int) -> bytes | BadItemError:
    """The bytes that were read, unless they are fewer than asked for, or more than `limit` to the end of the file."""
    length = pointer.get("length")
    where = f"{pointer['uri']} at {pointer.get('offset') or 0}"
    if length is None and len(data) > limit:
        return BadItemError("too_large", f"{where}: over {limit} bytes")
    if length is not None and len(data) < length:
        return BadItemError("truncated_file", f"{where}: {len(data)} of {length} bytes")
    return data


def _in_store(pointer: Pointer) -> bool:
    return bool(pointer and pointer.get("uri")) and local_path(pointer["uri"]) is None


def _windows(pointers: Iterable[Pointer], limit: int) -> Iterator[list[Pointer]]:
    held: list[Pointer] = []
    size = 0
    for pointer in pointers:
        length = pointer.get("length") if _in_store(pointer) else 0
        size += limit if length is None else length
        if held and (size > AHEAD_BYTES or len(held) == AHEAD):
            yield held
            held, size = [], limit if length is None else length
        held.append(pointer)
    if held:
        yield held


def _fetched(window: list[Pointer], limit: int) -> list[Item]:
    items: list[Item] = [pointer_fault(each, limit) if _in_store(each) else None for each in window]
    wanted = [n for n, each in enumerate(window) if _in_store(each) and items[n] is None]
    for _, group in itertools.groupby(wanted, lambda n: window[n]["uri"].partition("://")[0]):
        numbers = list(group)
        for number, found in zip(numbers, _ranges([window[n] for n in numbers], limit)):
            items[number] = found if isinstance(found, BadItemError) else whole(window[number], found, limit)
    return items


def _ranges(pointers: list[dict], limit: int) -> list[bytes | BadItemError]:
    """The bytes of pointers of one protocol."""
    try:
        systems, paths = zip(*(fsspec.core.url_to_fs(each["uri"]) for each in pointers))
    except ValueError as error:  # no such protocol
        return [BadItemError("missing_file", f"{each['uri']}: {error}") for each in pointers]
    starts = [each.get("offset") or 0 for each in pointers]
    lengths = [limit + 1 if each.get("length") is None else each["length"] for each in pointers]
    ends = [start + max(length, 1) for start, length in zip(starts, lengths)]  # of nothing no range can be asked for
    found = systems[0].cat_ranges(list(paths), starts, ends, on_error="return")
    return [_answer(each, data, length) for each, data, length in zip(pointers, found, lengths)]


def _answer(pointer: dict, data: bytes | Exception, length: int) -> bytes | BadItemError:
    if isinstance(data, PermissionError):  # stores say so of a token that ended, without saying where
        raise PermissionError(f"{pointer['uri']}: {data}") from data
    if isinstance(data, FileNotFoundError | IsADirectoryError):
        return BadItemError("missing_file", f"{pointer['uri']}: {data}")
    if isinstance(data, OSError) and data.errno == errno.EINVAL and answered(data) in BEHIND:
        return b""
    if isinstance(data, Exception):
        raise data
    return data[:length]
