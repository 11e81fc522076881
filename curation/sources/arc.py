"""Records of an ARC file, the format of the Internet Archive before WARC: a line of header, then the response.

Each is handed on as the WARC record that says the same, so that everything after it is read one way.
"""

import io
from collections.abc import Callable, Iterator

from fastwarc import ArchiveIterator

from curation.errors import BadItemError
from curation.sources.archive import ARC_LINE, HEADER_BYTES, Archive, inflated, search, span
from curation.sources.found import IMAGE_BYTES
from curation.sources.warc import Fault, Record, read_record

BLOCK_BYTES = IMAGE_BYTES + (1 << 20)  # of a record: the largest that anyone asks for, and its headers


def records(archive: Archive, wants: Callable[[Record], int], start: int = 0) -> Iterator[Record | Fault]:
    """The records from `start` on, in order, with a Fault for whatever cannot be read; `wants` as in `warc.records`."""
    position: int | None = start
    while position is not None and position < archive.bytes:
        begun = position
        try:
            position, block = (_member if archive.gzipped else _plain)(archive, begun)
        except BadItemError as bad:
            yield Fault(begun, bad.code, bad.detail)
            position = search(archive, begun + 1)
            continue
        if not block or block.startswith(b"filedesc:"):
            continue
        if ARC_LINE.match(block) is None:
            yield Fault(begun, "bad_record", f"no ARC header, but {block[:16]!r}")
            continue
        item = _read(block, wants)
        if item is not None:
            yield item._replace(offset=begun)


def _plain(archive: Archive, position: int) -> tuple[int, bytes]:
    """Where a record ends, and as much of it as is read; b"" for padding."""
    end, head = span(archive, position)
    archive.file.seek(position)
    return end, head and archive.file.read(min(end - position, BLOCK_BYTES))


def _member(archive: Archive, position: int) -> tuple[int, bytes]:
    """The same for a gzip member, which is unpacked once."""
    archive.file.seek(position)
    padding = archive.file.read(HEADER_BYTES)
    if not padding.strip(b"\0\r\n"):
        return position + len(padding), b""
    pieces, size, end = [], 0, None
    for piece, ends in inflated(archive.file, position):
        pieces += [piece] if size < BLOCK_BYTES else []
        size, end = size + len(piece), ends
    if end is None:
        raise BadItemError("truncated_record", "the file ends within its gzip member")
    return end, b"".join(pieces)


def _read(block: bytes, wants: Callable[[Record], int]) -> Record | Fault | None:
    line = ARC_LINE.match(block)
    url, kind = line[1].decode("utf-8", "replace"), line[4].split(b" ")[0].decode("latin-1")
    content = block[line.end() : line.end() + int(line[5])]
    is_http = content.startswith(b"HTTP/")
    head = (
        f"WARC/1.0\r\nWARC-Type: {'response' if is_http else 'resource'}\r\nWARC-Target-URI: {url}\r\n"
        f"Content-Type: {'application/http; msgtype=response' if is_http else kind}\r\n"
        f"Content-Length: {line[5].decode()}\r\n\r\n"
    )
    warc = next(iter(ArchiveIterator(io.BytesIO(head.encode() + content), parse_http=False)), None)
    return None if warc is None else read_record(warc, wants)
