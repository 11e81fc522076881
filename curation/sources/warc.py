"""Records of a WARC file (ISO 28500), and what is wrong with the rest of it.

fastwarc reads sound archives fast, but ends silently where a file is cut or holds an empty gzip member, and raises at
a damaged record. So whenever it stops, the file is looked at from the last record on: what follows is either read from
there or named as a fault, and after a damaged record reading goes on at the next sound one.
"""

import contextlib
import re
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

import fsspec
import pyarrow as pa
from fastwarc import ArchiveIterator
from fastwarc.stream_io import ZstdReader
from fastwarc.warc import WarcRecord

from curation.errors import BadItemError
from curation.sources.http import decoded
from curation.sources.packing import packing, unpacked, unpacked_limit

READ_BYTES = 64 << 10
HEADER_BYTES = 32 << 10  # fastwarc's own limit for the header of a record
GZIP_START = re.compile(rb"\x1f\x8b\x08[\x00-\x1f]")  # RFC 1952, 2.3: magic, deflate, no reserved flag
RECORD_START = re.compile(rb"WARC/[01]\.\d+\r?\n")
OVERLAP = 16  # bytes that hold either pattern
HEADER_END = re.compile(rb"\r?\n\r?\n")
CONTENT_LENGTH = re.compile(rb"^content-length:[ \t]*(\d{1,15})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([^\s;\"']+)", re.IGNORECASE)
READ_TYPES = ("response", "resource", "revisit")


class Record(NamedTuple):
    """One response, resource or revisit. `kind` is its media type, lower-case, "" where none is stated.

    `refers` is where a redirect or a revisit points; `cut` is true where the crawler stopped before the end. `body` is
    the payload with transfer and content encoding undone; empty where it was not asked for.
    """

    offset: int
    type: str
    url: str
    status: int | None
    kind: str
    charset: str | None
    refers: str | None
    cut: bool
    body: bytes = b""


class Fault(NamedTuple):
    """Something in the file that is no readable record."""

    offset: int
    code: str
    detail: str


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
            stream = ZstdReader(file) if packed == "zstd" else pa.CompressedInputStream(file, packed)
            file = stack.enter_context(unpacked(stream, limit))
        archive = Archive(file, file.seek(0, 2), gzipped)
        if archive.bytes and _search(archive, 0) is None:
            file.seek(0)
            raise BadItemError("not_warc", f"no WARC record in it; it begins with {file.read(40)!r}")
        yield archive


def records(archive: Archive, wants: Callable[[Record], int], start: int = 0) -> Iterator[Record | Fault]:
    """The records from `start` on, in order, with a Fault for whatever cannot be read.

    `wants` says of each record without its body how many bytes may be read of it; 0 leaves the body out. Faults:
    `too_large`, `bad_encoding`, `bad_record`, `corrupt_record`, `truncated_record`.
    """
    position: int | None = start
    while position is not None:
        archive.file.seek(position)
        begun, given, error = position, False, None
        try:
            for warc in ArchiveIterator(archive.file, parse_http=False):
                begun, given = warc.stream_pos, False
                item = _record(warc, wants)
                given = True
                if item is not None:
                    yield item
        except (OSError, ValueError) as raised:
            error = str(raised)
        if begun == position and not given:
            error = error or "cannot be read"
        position, faults = _resume(archive, begun, given, error)
        yield from faults


def _record(warc: WarcRecord, wants: Callable[[Record], int]) -> Record | Fault | None:
    if str(warc.record_type) not in READ_TYPES:
        return None
    if warc.is_http:
        # The lenient mode also reads header lines that end in a bare line feed, as old crawls have them.
        warc.parse_http(quirks_mode=True, strict_mode=False)
    headers = warc.http_headers
    content_type = (headers.get("Content-Type") if headers else warc.headers.get("Content-Type")) or ""
    charset = CHARSET.search(content_type)
    record = Record(
        offset=warc.stream_pos,
        type=str(warc.record_type),
        url=(warc.headers.get("WARC-Target-URI") or "").strip("<> "),  # wget wrote <URI>
        status=headers.status_code if headers else None,
        kind=content_type.partition(";")[0].strip().lower(),
        charset=charset and charset[1],
        refers=warc.headers.get("WARC-Refers-To-Target-URI") or (headers.get("Location") if headers else None),
        cut="WARC-Truncated" in warc.headers,
    )
    limit = wants(record)
    if not limit:
        return record
    length = warc.content_length
    body = warc.reader.read(limit + 1)
    if len(body) > limit:
        return Fault(record.offset, "too_large", f"{record.url}: over {limit} bytes")
    if len(body) < length:
        return Fault(record.offset, "truncated_record", f"{record.url}: wanted {length} bytes, found {len(body)}")
    try:
        encodings = (headers.get("Transfer-Encoding"), headers.get("Content-Encoding")) if headers else (None, None)
        return record._replace(body=decoded(body, *encodings, limit))
    except BadItemError as bad:
        return Fault(record.offset, bad.code, f"{record.url}: {bad.detail}")


def _resume(archive: Archive, position: int, given: bool, error: str | None) -> tuple[int | None, list[Fault]]:
    """Where to read on after fastwarc stopped at a record, null at the end of the file, and the faults in between.

    `given` says whether the record at `position` was read whole; `error` is what fastwarc raised, if anything.
    """
    faults: list[Fault] = []
    while position < archive.bytes:
        try:
            end, head = _span(archive, position)
        except BadItemError as bad:
            if not (given and not error and bad.code == "truncated_record" and faults):
                faults.append(Fault(position, bad.code, bad.detail))
            return _search(archive, position + 1), faults
        if not given and RECORD_START.match(head):
            if error is None:
                return position, faults
            faults.append(Fault(position, "bad_record", error))
            error = None
        elif not given and head:
            faults.append(Fault(position, "bad_record", f"no WARC header, but {head!r}"))
        given = False
        position = end
    return None, faults


def _span(archive: Archive, position: int) -> tuple[int, bytes]:
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
    for piece, end in _inflated(archive.file, position):
        head = head or piece[:OVERLAP]
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


def _search(archive: Archive, position: int) -> int | None:
    """The first byte from `position` on at which a record begins, null where none does any more."""
    pattern = GZIP_START if archive.gzipped else RECORD_START
    while position < archive.bytes:
        archive.file.seek(position)
        block = archive.file.read(READ_BYTES)
        for match in pattern.finditer(block):
            if not archive.gzipped or _begins_record(block[match.start() :], archive, position + match.start()):
                return position + match.start()
        position += max(1, len(block) - OVERLAP) if len(block) == READ_BYTES else READ_BYTES
    return None


def _begins_record(block: bytes, archive: Archive, position: int) -> bool:
    try:
        head = zlib.decompressobj(31).decompress(block, OVERLAP)
    except zlib.error:
        return False
    return bool(RECORD_START.match(head))
