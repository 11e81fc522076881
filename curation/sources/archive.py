"""Web archives as spans of bytes: opened so that every record can be sought, and searched for the next sound record."""

import contextlib
import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import fsspec

from curation.errors import BadItemError
from curation.sources.frames import unpacked_frames
from curation.sources.packing import packing, unpacked, unpacked_limit, unpacking

READ_BYTES = 64 << 10
HEADER_BYTES = 32 << 10  # fastwarc's own limit for the header of a record
GZIP_START = re.compile(rb"\x1f\x8b\x08[\x00-\x1f]")  # RFC 1952, 2.3: magic, deflate, no reserved flag
LOOK_BYTES = 4096  # of a gzip member, to see what it begins with
BLANKS = 16  # that may follow a record
HEADER_END = re.compile(rb"\r?\n\r?\n")
CONTENT_LENGTH = re.compile(rb"^content-length:[ \t]*(\d{1,15})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
# ARC, versions 1 and 2: URL, which may hold blanks, IP address, date, media type and more, bytes of the content.
ARC_LINE = re.compile(
    rb"(?>([a-z][a-z+.-]{1,15}:[^\r\n]{0,2048}?) ([0-9.]{7,15}|[0-9a-fA-F:]{2,39}) (\d{12,17}) )([^\r\n]{0,1024}?)"
    rb" ?(\d{1,12})\r?\n"
)


class Form(NamedTuple):
    """A format of archives: how a record begins, how that is found elsewhere, how many bytes hold it."""

    start: re.Pattern[bytes]
    found: re.Pattern[bytes]
    overlap: int


WARC_LINE = re.compile(rb"WARC/[01]\.\d+\r?\n")
WARC = Form(WARC_LINE, WARC_LINE, 16)
ARC = Form(ARC_LINE, re.compile(rb"(?<=\n)" + ARC_LINE.pattern), 3500)


class Archive(NamedTuple):
    """An open file in which every record can be sought: plain, or one gzip member each.

    `is_copy` is true where it is a temporary file with the content of the named one. `bad` says at which bytes of a
    zstd file frames could not be unpacked, and why.
    """

    file: BinaryIO
    bytes: int
    gzipped: bool
    form: Form
    is_copy: bool
    bad: list[tuple[int, BadItemError]]


@contextlib.contextmanager
def open_archive(uri: str) -> Iterator[Archive]:
    """Open a plain, gzip or zstd WARC or ARC; one that is packed as a whole, or zstd, is unpacked to a temporary file.

    Raises BadItemError `not_warc` where no record can be found, `too_large` where it unpacks beyond all measure.
    """
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(fsspec.open(uri, "rb"))
        packed, limit = packing(file), unpacked_limit(file)
        gzipped = packed == "gzip" and _one_record_a_member(file)
        file.seek(0)
        bad: list[tuple[int, BadItemError]] = []
        if packed == "zstd":
            file = stack.enter_context(unpacked_frames(file, limit, bad))
        elif packed and not gzipped:
            file = stack.enter_context(unpacked(unpacking(file, packed).read1, limit))
        archive = Archive(file, file.seek(0, 2), gzipped, WARC, bool(packed) and not gzipped, bad)
        yield _told(archive, packed)


def _told(archive: Archive, packed: str | None) -> Archive:
    """The archive with its form and, where its start is damaged, its packing told from the first record in it."""
    if not archive.bytes:
        return archive
    forms = [archive._replace(form=form) for form in (WARC, ARC)]
    if not packed:
        forms += [each._replace(gzipped=True) for each in forms]
    best, first = None, archive.bytes
    for each in forms:
        start = search(each, 0)
        if start is not None and start < first:
            best, first = each, start
        if first == 0:
            break
    if best is None:
        archive.file.seek(0)
        raise BadItemError("not_warc", f"no WARC or ARC record in it; it begins with {archive.file.read(40)!r}")
    return best


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
    for piece, ends in inflated(archive.file, position):
        head, end = head or piece[: archive.form.overlap], ends
    if end is None:
        raise BadItemError("truncated_record", "the file ends within its gzip member")
    return end, head


def _plain_span(archive: Archive, position: int, block: bytes) -> tuple[int, bytes]:
    expected = record_bytes(block)
    if expected is None:
        raise BadItemError("bad_record", f"no record begins here, but {block[:16]!r}")
    if position + expected > archive.bytes:
        raise BadItemError("truncated_record", f"{expected} bytes from {position} on, but the file has {archive.bytes}")
    archive.file.seek(position + expected)
    after = archive.file.read(16)
    return position + expected + len(after) - len(after.lstrip(b"\r\n")), block[: archive.form.overlap]


def record_bytes(block: bytes) -> int | None:
    """Bytes of the header and the content of the record that `block` begins with; null where it is no record."""
    line = ARC_LINE.match(block)
    if line:
        return line.end() + int(line[5])
    end = HEADER_END.search(block) if WARC.start.match(block) else None
    length = CONTENT_LENGTH.search(block, 0, end.start() + 1) if end else None
    return end.end() + int(length[1]) if length else None


def inflated(file: BinaryIO, position: int) -> Iterator[tuple[bytes, int | None]]:
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
        for piece, _ in inflated(file, 0):
            size += len(piece)
            if expected is None:
                seen += piece
                expected = record_bytes(seen)
            if expected is None and size > HEADER_BYTES:
                return True
            if expected is not None and size > expected + BLANKS:
                return False
    return True


def search(archive: Archive, position: int) -> int | None:
    """The first byte from `position` on at which a record begins, null where none does any more."""
    pattern = GZIP_START if archive.gzipped else archive.form.found
    if position == 0 and not archive.gzipped:
        archive.file.seek(0)
        if archive.form.start.match(archive.file.read(archive.form.overlap)):
            return 0
    size = LOOK_BYTES  # the next record is near, or far
    while position < archive.bytes:
        before = min(position, 1)  # for the end of the line before
        archive.file.seek(position - before)
        block = archive.file.read(size)
        for match in pattern.finditer(block, before):
            if not archive.gzipped or _begins_record(archive, position - before + match.start()):
                return position - before + match.start()
        position += max(1, len(block) - archive.form.overlap) if len(block) == size else size
        size = READ_BYTES
    return None


def _begins_record(archive: Archive, position: int) -> bool:
    archive.file.seek(position)
    try:
        head = zlib.decompressobj(31).decompress(archive.file.read(LOOK_BYTES), archive.form.overlap)
    except zlib.error:
        return False
    return bool(archive.form.start.match(head))
