"""Records of a WARC file (ISO 28500), and what is wrong with the rest of it.

fastwarc reads sound archives fast, but ends silently where a file is cut or holds an empty gzip member, and raises at
a damaged record. So whenever it stops, the file is looked at from the last record on: what follows is either read from
there or named as a fault, and after a damaged record reading goes on at the next sound one.
"""

import re
from collections.abc import Callable, Generator, Iterator
from typing import Any, NamedTuple

from fastwarc import ArchiveIterator
from fastwarc.warc import WarcRecord

from curation.errors import BadItemError
from curation.sources.archive import WARC, Archive, search, span
from curation.sources.http import Said, decoded, said
from curation.sources.packing import tell_if_blameless

FAULTS = 10_000  # assumption: whatever holds more damaged places is no archive any more
MEDIA_TYPE = re.compile(r"\s*+([^\s;,]*)")  # up to a comma too, where a header was sent twice
READ_TYPES = ("response", "resource", "revisit")


class Record(NamedTuple):
    """One response, resource or revisit. `kind` is its media type, lower-case, "" where none is stated.

    `refers` is where a redirect or a revisit points; `digest` that of the payload; `cut` is true where the crawler
    stopped before the end. `body` is the payload with transfer and content encoding undone; empty where it was not
    asked for.
    """

    offset: int
    type: str
    url: str
    status: int | None
    kind: str
    said: Said
    refers: str | None
    digest: str | None
    cut: bool
    body: bytes = b""


class Fault(NamedTuple):
    """Something in the file that is no readable record."""

    offset: int
    code: str
    detail: str


class _Stop(NamedTuple):
    """The last record that fastwarc came to, whether it was read whole, whether as a fault, and what was raised."""

    begun: int
    given: bool
    named: bool
    error: str | None


def bearable(items: Iterator[Any]) -> Iterator[Any]:
    """The items; BadItemError `too_damaged` after FAULTS among them of something that is no record.

    To look for the next record takes so much longer than to read one that a file made for it would take hours.
    """
    left = FAULTS
    for item in items:
        yield item
        left -= isinstance(item, Fault) and item.code in ("bad_record", "corrupt_record", "truncated_record")
        if left < 0:
            raise BadItemError("too_damaged", f"nothing is read after {FAULTS} damaged records")


def records(archive: Archive, wants: Callable[[Record], int], start: int = 0) -> Iterator[Record | Fault]:
    """The records from `start` on, in order, with a Fault for whatever cannot be read.

    `wants` says of each record without its body how many bytes may be read of it; 0 leaves the body out. Faults:
    `too_large`, `bad_encoding`, `bad_record`, `corrupt_record`, `truncated_record`.
    """
    return walk(archive, lambda warc: read_record(warc, wants), start)


def walk(archive: Archive, read: Callable[[WarcRecord], Any], start: int = 0) -> Iterator[Any]:
    """What `read` makes of each record from `start` on, where that is not null, with a Fault for whatever is broken."""
    position: int | None = start
    suspect: Fault | None = None
    while position is not None:
        stop = yield from _read(archive, position, read)
        if suspect and (stop.given or stop.begun > position):  # what came after it can be read
            yield suspect
        after, faults = _resume(archive, stop.begun, stop.given, None if stop.given else stop.error)
        if after == position:  # fastwarc read nothing here and said nothing
            after, faults = _resume(archive, stop.begun, stop.given, "cannot be read")
        position = after
        yield from (fault for fault in faults if fault.offset != stop.begun or not stop.named)
        # An error after a record that was read: either it was longer than it said, or the next one is damaged.
        after_it = stop.error is not None and stop.given and not stop.named and not faults
        suspect = Fault(stop.begun, "bad_record", stop.error) if after_it else None
    if suspect:
        yield suspect


def _read(archive: Archive, position: int, read: Callable[[WarcRecord], Any]) -> Generator[Any, None, _Stop]:
    """What fastwarc reads from a position on; the value of the generator is where and why it stopped."""
    archive.file.seek(position)
    begun, given, named = position, False, False
    try:
        for warc in ArchiveIterator(archive.file, parse_http=False):
            begun, given = warc.stream_pos, False
            item = read(warc)
            given, named = True, isinstance(item, Fault)
            if item is not None:
                yield item
    except (OSError, ValueError) as error:
        tell_if_blameless(error)
        return _Stop(begun, given, named, str(error))
    return _Stop(begun, given, named, None)


def read_record(warc: WarcRecord, wants: Callable[[Record], int]) -> Record | Fault | None:
    """A response, resource or revisit, or why it cannot be read; null for records of other types."""
    sort = str(warc.record_type)
    if sort not in READ_TYPES:
        return None
    if warc.is_http:
        # The lenient mode also reads header lines that end in a bare line feed, as old crawls have them.
        warc.parse_http(quirks_mode=True, strict_mode=False)
    headers = warc.http_headers
    content_type = (headers.get("Content-Type") if headers else warc.headers.get("Content-Type")) or ""
    record = Record(
        offset=warc.stream_pos,
        type=sort,
        url=(warc.headers.get("WARC-Target-URI") or "").strip("<> "),  # wget wrote <URI>
        status=headers.status_code if headers else None,
        kind=MEDIA_TYPE.match(content_type)[1].lower(),
        said=said(headers, content_type),
        refers=warc.headers.get("WARC-Refers-To-Target-URI") or (headers.get("Location") if headers else None),
        digest=warc.headers.get("WARC-Payload-Digest"),
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
        if not given and WARC.start.match(head):
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
