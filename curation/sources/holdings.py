"""What is remembered while an archive is walked: where the picture or page of a URL is, where redirects lead.

On a shelf lies what waits until all of the archive is seen.
"""

import pickle
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from curation.sources.archive import Archive
from curation.sources.urls import joined, normal_url
from curation.sources.warc import Record

PAGE_KINDS = ("text/html", "application/xhtml+xml")
UNTOLD = ("application/octet-stream", "binary/octet-stream")  # what servers, and S3, say where they were told nothing
REDIRECTS = (301, 302, 303, 307, 308)
HOPS = 5  # redirects that are followed
URL_BYTES = 256 << 20  # assumption: ten times what the URLs of an archive of common crawls take
ENTRY_BYTES = 100  # of a URL besides its letters
CHUNK = 1000  # items of a shelf that are written at once
HEAD_BYTES = 128 << 10  # more than a record's and a response's headers take


class Revisit(NamedTuple):
    """A record that says only that its URL had the content of another one: `target` its URL, `digest` its digest."""

    offset: int
    url: str
    kind: str
    target: str | None
    digest: str | None


class Holdings:
    """Where the records of an archive are, as far as they are seen."""

    def __init__(self) -> None:
        self.left = URL_BYTES
        self.pictures: dict[str, int] = {}
        self.pages: dict[str, int] = {}
        self.digests: dict[str, tuple[int, str]] = {}
        self.leads: dict[str, str] = {}
        self.revisits: list[Revisit] = []

    def note(self, record: Record) -> None:
        """Take a record into account, as long as there is room."""
        url = normal_url(record.url)
        self.left -= len(record.url) + ENTRY_BYTES
        if url is None or self.left < 0:
            return
        target = normal_url(joined(record.url, record.refers or ""))
        if record.status in REDIRECTS:
            if target is not None and target != url:
                self.leads.setdefault(url, target)
        elif record.type == "revisit":
            self.revisits.append(
                Revisit(record.offset, record.url, record.kind, record.refers and target, record.digest)
            )
        elif record.status in (None, 200) and not record.cut:
            self._hold(record, url)

    def _hold(self, record: Record, url: str) -> None:
        is_picture = record.kind.startswith("image/") or record.kind in UNTOLD  # its bytes are looked at later
        if is_picture or record.kind in PAGE_KINDS:
            (self.pictures if is_picture else self.pages).setdefault(url, record.offset)
            if record.digest:
                self.digests.setdefault(record.digest, (record.offset, url))

    def resolve(self, revisit: Revisit) -> tuple[int, str] | None:
        """Offset and URL of the record whose content a revisit had; null where the archive does not hold it."""
        if revisit.digest in self.digests:
            return self.digests[revisit.digest]
        for places in (self.pictures, self.pages):
            place = self._follow(revisit.target, places)
            if place is not None:
                return places[place], place
        return None

    def find(self, url: str) -> int | None:
        """Offset of the record that holds the picture of a URL, null where none does."""
        place = self._follow(url, self.pictures)
        return None if place is None else self.pictures[place]

    def _follow(self, url: str | None, places: dict[str, int]) -> str | None:
        for _ in range(HOPS + 1):
            if url is None or url in places:
                return url
            url = self.leads.get(url)
        return None


def range_of(archive: Archive, uri: str, record: Record) -> dict[str, Any] | None:
    """The pointer to the body of a record where it stands in the file as it is; null where it is packed or encoded."""
    if archive.gzipped or archive.is_copy:
        return None
    archive.file.seek(record.offset)
    start = archive.file.read(HEAD_BYTES).find(record.body[: HEAD_BYTES // 2])
    if start < 0:
        return None
    archive.file.seek(record.offset + start)
    if archive.file.read(len(record.body)) != record.body:
        return None
    return {"uri": uri, "offset": record.offset + start, "length": len(record.body)}


class Shelf:
    """Items in the order in which they were added, kept in a file where they are many."""

    def __init__(self, file: BinaryIO) -> None:
        self.chunk: list[Any] = []
        self.file = file

    def add(self, item: Any) -> None:
        """Put an item at the end."""
        self.chunk.append(item)
        if len(self.chunk) >= CHUNK:
            # An unnamed file of this process: nobody else can write what is loaded below.
            pickle.dump(self.chunk, self.file, pickle.HIGHEST_PROTOCOL)
            self.chunk = []

    def __iter__(self) -> Iterator[Any]:
        end = self.file.tell()
        self.file.seek(0)
        while self.file.tell() < end:
            yield from pickle.load(self.file)
        yield from self.chunk
