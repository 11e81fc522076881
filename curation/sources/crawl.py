"""Web archives: each picture of each HTML page with every text that the page gives it.

WARC and ARC files are walked once. What is found on their pages is put aside until all of the archive is seen, as the
picture may come after its page. Pictures that a page shows and the archive holds are pointed to, or copied
into the pool where they are no plain bytes of the file; the others keep their URL alone. Of WAT files, see `wat`.
"""

import re
import tempfile
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

import pyarrow as pa

from curation.errors import BadItemError
from curation.sources import arc, warc, wat
from curation.sources.archive import ARC, Archive, open_archive
from curation.sources.found import (
    IMAGE_BYTES,
    Found,
    ImageSink,
    Reject,
    batches,
    image_extension,
    until_broken,
)
from curation.sources.holdings import PAGE_KINDS, Holdings, Revisit, Shelf, range_of
from curation.sources.html import read_page
from curation.sources.shown import Shown, facts_of, pairs, shown
from curation.sources.urls import normal_url
from curation.sources.warc import Fault, Record, bearable

SUFFIXES = tuple(f"{form}{packed}" for form in (".warc", ".arc", ".wat") for packed in ("", ".gz", ".zst"))
PAGE_START = re.compile(rb"\s*<(?:!doctype html|html|head|body|!--)", re.IGNORECASE)
PAGE_BYTES = 10 << 20  # assumption: five times the largest of common crawls, which cut at 1 MiB
SHELF_BYTES = 32 << 20  # of what waits for the end of the archive that are kept in memory
PAGE_IMAGES = 10_000  # assumption: no page made for people shows more


class _Copy(NamedTuple):
    """A picture that must be copied into the pool, and the record that holds it."""

    record: int
    data: bytes


class _Placed(NamedTuple):
    """A picture on a page, which of its URLs it has, and the record or the pointer to where its bytes are, if any."""

    shown: Shown
    which: int
    place: int | dict[str, Any] | None


def read(
    uri: str, images: ImageSink, *, page_bytes: int = PAGE_BYTES, page_images: int = PAGE_IMAGES
) -> Iterator[pa.RecordBatch]:
    """The pairs of one web archive (WARC, ARC or WAT; plain, gzip or zstd) as FOUND batches, and REJECTED ones.

    An item is an img element with an alt text, a title, an aria-label or a figcaption around it (one without any is no
    item); each gives a pair of its own, `caption_kind` (`alt`, `title`, `aria_label`, `figcaption`) tells them apart. A
    WAT has `alt` and `title` alone, and no URL but that of src. Else the URL is that of the largest file that the
    element names (see `candidates`), or of the largest one that the archive holds. `extra` may hold `page_language`,
    `opt_out` (see `http.opt_out`), `url_from` (the attribute of the URL, where it is not src) and `caption_cut`.

    `item` of a rejected one is `OFFSET#N`, of a record that cannot be read `OFFSET`, which for a zstd file is that in
    the unpacked one. Of a page that is longer than PAGE_BYTES nothing is read, of one with more than PAGE_IMAGES the
    first.

    Reasons: `no_letters`, `no_url`, `data_url`, `bad_url`, `too_many_images`, `too_deep`; of records: see
    `warc.records`, `unresolved_revisit` where a page or a picture is said to be the same as one that the archive does
    not hold, `bad_json` in a WAT; of the file: `not_warc`, `too_damaged`, `too_many_records`, `too_large`, `bad_file`.
    """
    return batches(chain.from_iterable(_items(uri, images, page_bytes, page_images)))


def _items(uri: str, images: ImageSink, page_bytes: int, page_images: int) -> Iterator[list[Found | Reject]]:
    pointers = {}
    for item in until_broken(_read(uri, page_bytes, page_images)):
        if isinstance(item, _Copy):
            pointers[item.record] = images.add(item.data, image_extension(item.data))
        elif isinstance(item, _Placed):
            pointer = item.place if isinstance(item.place, dict) else pointers.get(item.place)
            yield pairs(item.shown, item.which, pointer)
        else:
            yield item if isinstance(item, list) else [item]


def _read(uri: str, page_bytes: int, page_images: int) -> Iterator[_Copy | _Placed | Reject | list[Found | Reject]]:
    with open_archive(uri) as archive:
        for offset, error in archive.bad:
            yield Reject(f"zstd:{offset}", error.code, error.detail)
        if wat.is_wat(archive):
            yield from wat.rows(archive, page_bytes, page_images)
            return
        holdings = Holdings()
        with tempfile.SpooledTemporaryFile(SHELF_BYTES) as file:
            shelf = Shelf(file)
            for item in until_broken(_walk(archive, uri, holdings, page_bytes, page_images)):
                if isinstance(item, Shown):
                    shelf.add(item)
                else:
                    yield item
            yield from _placed(archive, uri, holdings, shelf)


def _walk(
    archive: Archive, uri: str, holdings: Holdings, page_bytes: int, page_images: int
) -> Iterator[Shown | Reject]:
    """What is on the pages of an archive; `holdings` is filled."""
    found = _records(archive, lambda record: page_bytes if _may_be_page(record) else 0)
    for record in bearable(found):
        if isinstance(record, Fault):
            yield Reject(str(record.offset), record.code, record.detail)
            continue
        holdings.note(record)
        if record.body and (record.kind or PAGE_START.match(record.body)):
            yield from _on_page(record, uri, page_images)
    if holdings.left < 0:
        yield Reject("", "too_many_records", "what the last of them hold is not looked up")
    for revisit in holdings.revisits:
        origin = holdings.resolve(revisit)
        if origin is None:
            yield from _unresolved(revisit)
            continue
        offset, url = origin
        mine = normal_url(revisit.url)
        if holdings.pictures.get(url) == offset:
            holdings.pictures.setdefault(mine, offset)
        elif mine != url:  # else its pairs are there already
            record = _record_at(archive, offset, page_bytes)
            again = record and record._replace(url=revisit.url, offset=revisit.offset)
            yield from _on_page(again, uri, page_images) if again else ()


def _unresolved(revisit: Revisit) -> Iterator[Reject]:
    if not revisit.kind or revisit.kind in PAGE_KINDS or revisit.kind.startswith("image/"):
        detail = f"{revisit.url}: the same as {revisit.target or revisit.digest}, which the archive does not hold"
        yield Reject(str(revisit.offset), "unresolved_revisit", detail)


def _records(archive: Archive, wants: Any, start: int = 0) -> Iterator[Record | Fault]:
    return (arc if archive.form is ARC else warc).records(archive, wants, start)


def _may_be_page(record: Record) -> bool:
    """Whether to read the body: an HTML page, or a response that does not say what it is."""
    return record.type != "revisit" and (record.kind in PAGE_KINDS or (not record.kind and record.type == "response"))


def _on_page(record: Record, uri: str, page_images: int) -> Iterator[Shown | Reject]:
    try:
        page = read_page(record.body, record.url, record.said)
    except BadItemError as error:
        yield Reject(str(record.offset), error.code, f"{record.url}: {error.detail}")
        return
    facts = facts_of(record.url or f"{uri}#{record.offset}", page.license, page.language, page.opt_out)
    yield from shown(record.offset, page.base, facts, page.pictures, page_images)


def _placed(archive: Archive, uri: str, holdings: Holdings, shelf: Shelf) -> Iterator[_Copy | _Placed]:
    """What is on the shelf, with the place of each picture that the archive holds; before it what must be copied."""
    met: dict[int, dict[str, Any] | int | None] = {}
    for item in shelf:
        placed = _Placed(item, 0, None)
        for which, url in enumerate(item.urls):
            place = holdings.find(url.url)
            if place is not None and place not in met:
                record = _record_at(archive, place, IMAGE_BYTES)
                is_picture = record is not None and image_extension(record.body) is not None
                met[place] = (range_of(archive, uri, record) or place) if is_picture else None
                yield from (_Copy(place, record.body),) if met[place] == place else ()
            if met.get(place) is not None:
                placed = _Placed(item, which, met[place])
                break
        yield placed


def _record_at(archive: Archive, offset: int, limit: int) -> Record | None:
    record = next(_records(archive, lambda record: limit, offset), None)
    return record if isinstance(record, Record) and record.offset == offset else None
