"""WARC files as spans of bytes: opened so that every record can be sought, and searched for the next sound record."""

import contextlib
import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import fsspec
from fastwarc.stream_io import ZstdReader

from curation.errors import BadItemError
from curation.sources.packing import packing, unpacked, unpacked_limit, unpacking

READ_BYTES = 64 << 10
HEADER_BYTES = 32 << 10  # fastwarc's own limit for the header of a record
GZIP_START = re.compile(rb"\x1f\x8b\x08[\x00-\x1f]")  # RFC 1952, 2.3: magic, deflate, no reserved flag
RECORD_START = re.compile(rb"WARC/[01]\.\d+\r?\n")
OVERLAP = 16  # bytes that hold either pattern
LOOK_BYTES = 1024  # of a gzip member, to see what it begins with
HEADER_END = re.compile(rb"\r?\n\r?\n")
CONTENT_LENGTH = re.compile(rb"^content-length:[ \t]*(\d{1,15})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


class Archive(NamedTuple):
    """An open file in which every record can be sought: plain, or one gzip member each."""

    file: BinaryIO
    bytes: int
    gzipped: bool


@contextlib.contextmanager
def open_archive(uri: str) -> Iterator[Archive]:
    """Open a plain, gzip or zstd WARC; one that is packed as a whole is unpacked to a temporary file.

    Raises BadItemError `not_warc` where no record can be found, `too_large` where it unpacks beyond all measure.
    """
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(fsspec.open(uri, "rb"))
        packed, limit = packing(file), unpacked_limit(file)
        gzipped = packed == "gzip" and _one_record_a_member(file)
        file.seek(0)
        if packed and not gzipped:
            # Only fastwarc's reader knows the dictionary that a zstd WARC may begin with.
            read = ZstdReader(file).read if packed == "zstd" else unpacking(file, packed).read1
            file = stack.enter_context(unpacked(read, limit))
        archive = Archive(file, file.seek(0, 2), gzipped)
        if archive.bytes and search(archive, 0) is None:
            archive = archive._replace(gzipped=True)  # the start of the file may be damaged
            if packed or search(archive, 0) is None:
                file.seek(0)
                raise BadItemError("not_warc", f"no WARC record in it; it begins with {file.read(40)!r}")
        yield archive


def span(archive: Archive, position: int) -> tuple[int, bytes]:
    """Where the record at `position` ends, and how it begins: b"" for an empty gzip member or the padding of a file.

    Raises BadItemError `bad_record`, `corrupt_record` or `truncated_record`.
    """
    archive.file.seek(position)
    block = archive.file.read(HEADER_BYTES)
    if not block.strip(b"\0\r\n"):
        return position + len(block), b""
    return (_gzip_span if archive.gzipped else _plain_span)(archive, position, block)


def _gzip_span(archive: Archive, position: int, block: bytes) -> tuple[int, bytes]:
    head, end = b"", None
    for piece, ends in _inflated(archive.file, position):
        head, end = head or piece[:OVERLAP], ends
    if end is None:
        raise BadItemError("truncated_record", "the file ends within its gzip member")
    return end, head


def _plain_span(archive: Archive, position: int, block: bytes) -> tuple[int, bytes]:
    expected = _record_bytes(block)
    if expected is None:
        raise BadItemError("bad_record", f"no WARC header, but {block[:OVERLAP]!r}")
    if position + expected > archive.bytes:
        raise BadItemError("truncated_record", f"{expected} bytes from {position} on, but the file has {archive.bytes}")
    archive.file.seek(position + expected)
    after = archive.file.read(OVERLAP)
    return position + expected + len(after) - len(after.lstrip(b"\r\n")), block[:OVERLAP]


def _record_bytes(block: bytes) -> int | None:
    """Bytes of the header and the content of the record that `block` begins with; null where it is no record."""
    end, length = HEADER_END.search(block), CONTENT_LENGTH.search(block)
    if not RECORD_START.match(block) or not end or not length or length.start() > end.start():
        return None
    return end.end() + int(length[1])


def _inflated(file: BinaryIO, position: int) -> Iterator[tuple[bytes, int | None]]:
    """The content of the gzip member at `position` in pieces; with the last one, where it ends.

    Raises BadItemError `corrupt_record`; a member that the file does not hold whole has no last piece.
    """
    file.seek(position)
    member = zlib.decompressobj(31)  # 16 + 15: the gzip format, the largest window
    data = file.read(READ_BYTES)
    read = position + len(data)
    while data:
        try:
            piece = member.decompress(data, READ_BYTES)
        except zlib.error as error:
            raise BadItemError("corrupt_record", str(error)) from error
        if member.eof:
            yield piece, read - len(member.unused_data)
            return
        yield piece, None
        data = member.unconsumed_tail
        if not data:
            data = file.read(READ_BYTES)
            read += len(data)


def _one_record_a_member(file: BinaryIO) -> bool:
    """Whether the first gzip member holds no more than one record; true where that cannot be told."""
    seen, expected, size = b"", None, 0
    with contextlib.suppress(BadItemError):
        for piece, _ in _inflated(file, 0):
            size += len(piece)
            if expected is None:
                seen += piece
                expected = _record_bytes(seen)
            if expected is None and size > HEADER_BYTES:
                return True
            if expected is not None and size > expected + OVERLAP:
                return False
    return True


def search(archive: Archive, position: int) -> int | None:
    """The first byte from `position` on at which a record begins, null where none does any more."""
    pattern = GZIP_START if archive.gzipped else RECORD_START
    while position < archive.bytes:
        archive.file.seek(position)
        block = archive.file.read(READ_BYTES)
        for match in pattern.finditer(block):
            if not archive.gzipped or _begins_record(archive.file, position + match.start()):
                return position + match.start()
        position += max(1, len(block) - OVERLAP) if len(block) == READ_BYTES else READ_BYTES
    return None


def _begins_record(file: BinaryIO, position: int) -> bool:
    file.seek(position)
    try:
        head = zlib.decompressobj(31).decompress(file.read(LOOK_BYTES), OVERLAP)
    except zlib.error:
        return False
    return bool(RECORD_START.match(head))
