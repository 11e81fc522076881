"""Records of a WARC file (ISO 28500), and what is wrong with the rest of it.

fastwarc reads sound archives fast, but ends silently where a file is cut or holds an empty gzip member, and raises at
a damaged record. So whenever it stops, the file is looked at from the last record on: what follows is either read from
there or named as a fault, and after a damaged record reading goes on at the next sound one.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from fastwarc import ArchiveIterator
from fastwarc.warc import WarcRecord

from curation.errors import BadItemError
from curation.sources.archive import RECORD_START, Archive, search, span
from curation.sources.http import decoded

CHARSET = re.compile(r"charset\s*+=\s*+[\"']?\s*+([^\s;\"']+)", re.IGNORECASE)
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


def records(archive: Archive, wants: Callable[[Record], int], start: int = 0) -> Iterator[Record | Fault]:
    """The records from `start` on, in order, with a Fault for whatever cannot be read.

    `wants` says of each record without its body how many bytes may be read of it; 0 leaves the body out. Faults:
    `too_large`, `bad_encoding`, `bad_record`, `corrupt_record`, `truncated_record`.
    """
    position: int | None = start
    named = -1  # the record whose fault was given last
    suspect: Fault | None = None
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
                named = begun if isinstance(item, Fault) else named
        except (OSError, ValueError) as raised:
            error = str(raised)
        if suspect and (given or begun > position):  # what came after it can be read
            yield suspect
        after, faults = _resume(archive, begun, given, None if given else error)
        if after == position:  # fastwarc read nothing here and said nothing
            after, faults = _resume(archive, begun, given, "cannot be read")
        position = after
        yield from (fault for fault in faults if fault.offset != named)
        # An error after a record that was read: either it was longer than it said, or the next one is damaged.
        suspect = Fault(begun, "bad_record", error) if error and given and not faults and begun != named else None
    if suspect:
        yield suspect


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
            end, head = span(archive, position)
        except BadItemError as bad:
            faults.append(Fault(position, bad.code, bad.detail))
            return search(archive, position + 1), faults
        if not given and RECORD_START.match(head):
            if error is None:
                return position, faults
            faults.append(Fault(position, "bad_record", error))
            error = None
        elif not given and head:
            faults.append(Fault(position, "bad_record", f"no WARC header, but {head!r}"))
            error = None  # this is what fastwarc stumbled over
        given = False
        position = end
    return None, faults
