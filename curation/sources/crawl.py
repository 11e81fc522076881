"""Web archives: each picture of each HTML page with its alt text, title and figure caption.

An archive is walked twice: once for where its pictures, redirects and revisits are, once for its pages. Pictures that
a page shows and the archive holds are copied into the pool; the others keep their URL alone.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa

from curation.errors import BadItemError
from curation.sources.archive import Archive, open_archive
from curation.sources.found import (
    IMAGE_BYTES,
    Found,
    ImageSink,
    Reject,
    batches,
    caption_text,
    image_extension,
    license_group,
    until_broken,
)
from curation.sources.html import Page, Picture, absolute_url, joined, normal_url, read_page
from curation.sources.warc import Fault, Record, records

SUFFIXES = (".warc", ".warc.gz", ".warc.zst", ".arc", ".arc.gz")  # ARC, the format before WARC, is told and refused
PAGE_KINDS = ("text/html", "application/xhtml+xml")
PAGE_START = re.compile(rb"\s*<(?:!doctype html|html|head|body|!--)", re.IGNORECASE)
REDIRECTS = (301, 302, 303, 307, 308)
HOPS = 5  # redirects that are followed
PAGE_BYTES = 10 << 20  # assumption: five times the largest of common crawls, which cut at 1 MiB
PAGE_IMAGES = 10_000  # assumption: no page made for people shows more


class _Index(NamedTuple):
    """Where the archive holds the picture of a URL, and where its redirects and revisits lead."""

    pictures: dict[str, int]
    leads: dict[str, str]

    def find(self, url: str | None) -> int | None:
        """Offset of the record that holds the picture of a URL, null where none does."""
        for _ in range(HOPS + 1):
            if url is None or url in self.pictures:
                break
            url = self.leads.get(url)
        return self.pictures.get(url) if url is not None else None


class _Shown(NamedTuple):
    """A picture on a page: a pair for each of its texts, and the record that holds its bytes.

    `data` is there when that record is met for the first time.
    """

    pairs: list[Found]
    record: int | None
    data: bytes | None


def read(
    uri: str, images: ImageSink, *, page_bytes: int = PAGE_BYTES, page_images: int = PAGE_IMAGES
) -> Iterator[pa.RecordBatch]:
    """The pairs of one web archive as FOUND batches, and REJECTED ones.

    An item is an img element with an alt text, a title or a figcaption around it (one without any is no item); each of
    the three gives a pair of its own, `caption_kind` tells them apart. `item` of a rejected one is `OFFSET#N`, of a
    record that cannot be read `OFFSET`. Of a page that is longer than PAGE_BYTES nothing is read, of one with more
    than PAGE_IMAGES the first.

    Reasons: `no_letters`, `no_url`, `data_url`, `bad_url`, `too_many_images`; of records: see `warc.records`; of the
    file: `not_warc` (also ARC), `too_large`, `bad_file`.
    """
    return batches(_items(uri, images, page_bytes, page_images))


def _items(uri: str, images: ImageSink, page_bytes: int, page_images: int) -> Iterator[Found | Reject]:
    pointers = {}
    for item in until_broken(_shown(uri, page_bytes, page_images)):
        if isinstance(item, Reject):
            yield item
            continue
        if item.data is not None:
            pointers[item.record] = images.add(item.data, image_extension(item.data))
        pointer = pointers.get(item.record)
        yield from (pair._replace(image=pointer) for pair in item.pairs)


def _shown(uri: str, page_bytes: int, page_images: int) -> Iterator[_Shown | Reject]:
    with open_archive(uri) as archive:
        index, met = _index(archive), set()
        for record in records(archive, lambda record: page_bytes if _may_be_page(record) else 0):
            if isinstance(record, Fault):
                yield Reject(str(record.offset), record.code, record.detail)
                continue
            if not record.body or not (record.kind or PAGE_START.match(record.body)):
                continue
            try:
                page = read_page(record.body, record.url, record.charset)
            except BadItemError as error:
                yield Reject(str(record.offset), error.code, f"{record.url}: {error.detail}")
                continue
            for number, picture in enumerate(page.pictures[:page_images]):
                try:
                    pairs = _pairs(picture, page, record.url or f"{uri}#{record.offset}")
                except BadItemError as error:
                    yield Reject(f"{record.offset}#{number}", error.code, error.detail)
                    continue
                place = index.find(pairs[0].url)
                data = _picture(archive, place) if place is not None and place not in met else None
                met.add(place)
                yield _Shown(pairs, place, data)
            if len(page.pictures) > page_images:
                left = f"{len(page.pictures)} images with texts, the first {page_images} are read"
                yield Reject(str(record.offset), "too_many_images", left)


def _may_be_page(record: Record) -> bool:
    """Whether to read the body: an HTML page, or a response that does not say what it is."""
    return record.type != "revisit" and (record.kind in PAGE_KINDS or (not record.kind and record.type == "response"))


def _pairs(picture: Picture, page: Page, document: str) -> list[Found]:
    """A pair for each good text of a picture. Raises BadItemError where it has none, or no URL."""
    url = absolute_url(page.base, picture.src)
    pairs, error = [], BadItemError("no_caption")
    for kind, raw in picture.texts:
        try:
            text, cut = caption_text(raw)
        except BadItemError as bad:
            error = bad
            continue
        group = license_group(page.license)
        pairs.append(
            Found(url, text, kind, document, url=url, license=page.license, license_group=group, extra=cut or None)
        )
    if not pairs:
        raise error
    return pairs


def _index(archive: Archive) -> _Index:
    index = _Index({}, {})
    for record in records(archive, lambda record: 0):
        url = None if isinstance(record, Fault) else normal_url(record.url)
        if url is None:
            continue
        if record.type == "revisit" or record.status in REDIRECTS:
            lead = normal_url(joined(record.url, record.refers or ""))
            if lead is not None and lead != url:
                index.leads.setdefault(url, lead)
        elif record.kind.startswith("image/") and record.status in (None, 200) and not record.cut:
            index.pictures.setdefault(url, record.offset)
    return index


def _picture(archive: Archive, offset: int) -> bytes | None:
    """The image file in the record at an offset; null where it cannot be read or is no raster image after all."""
    back = archive.file.tell()  # the walk over the pages goes on from there
    record = next(records(archive, lambda record: IMAGE_BYTES, offset), None)
    archive.file.seek(back)
    return record.body if isinstance(record, Record) and image_extension(record.body) else None
