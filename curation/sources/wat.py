"""WAT files, which Common Crawl publishes beside its WARCs: the links of each page as JSON, images with alt and title.

The links of a page are most of its JSON and few of them are images, so images are cut out and only they are decoded.
That is exact where the JSON is valid: a quote within a string is escaped, so what begins with `{"path":"` begins an
object. Where as many images are not found that way as there are, all of it is decoded.
"""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import orjson
from fastwarc.warc import WarcRecord

from curation.errors import BadItemError
from curation.sources.archive import WARC, Archive
from curation.sources.found import CAPTION_CHARS, Found, Reject
from curation.sources.html import chosen_license
from curation.sources.opt_out import TDM, opt_out
from curation.sources.shown import Facts, facts_of, good_texts, pair, too_many
from curation.sources.urls import absolute_url, base_of, joined
from curation.sources.warc import Fault, walk

STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
LINK = re.compile(rb"\{(?:%b:%b,?)*+\}" % (STRING, STRING), re.DOTALL)
LINK_START = b'{"path":"'
HEAD, LINKS, HEADERS = b'"HTML-Metadata":{"Head":', b',"Links":[', b'"Headers":{'
SAYING = re.compile(rb'"(?:content-language|x-robots-tag|tdm-reservation)":', re.IGNORECASE)
LICENSES = (b'"rel":"license', b"creativecommons.org/")
FIRST = 20  # records that decide whether a file is a WAT
META_SORTS = {  # what a meta element says by its name or http-equiv; Common Crawl gives the html element's as one
    **dict.fromkeys(("html@/lang", "html@/xml:lang"), "lang"),
    **{name: name for name in ("content-language", "robots", TDM)},
}
EMPTY = 2  # bytes of a JSON list without items


class Links(NamedTuple):
    """The images of the page at `facts.document` that have texts, as (src, alt, title), "" for what is not there."""

    offset: int
    base: str
    facts: Facts
    images: list[tuple[str, str, str]]


def is_wat(archive: Archive) -> bool:
    """Whether the first records that say something are metadata in JSON."""
    if archive.form is not WARC:
        return False
    sorts = walk(archive, lambda warc: (str(warc.record_type), warc.headers.get("Content-Type") or ""))
    for item in islice(sorts, FIRST):
        if item[0] == "metadata" and "json" in item[1]:
            return True
        if item[0] in ("request", "response", "resource", "revisit"):
            return False
    return False


def rows(archive: Archive, record_bytes: int, images: int) -> Iterator[list[Found | Reject]]:
    """The pairs and rejects of each page in order, and of whatever cannot be read.

    Of a record longer than RECORD_BYTES nothing is read, of a page with more than IMAGES the first. Faults: those of
    `warc.walk`, `too_large` and `bad_json`.
    """
    scratch = Scratch()
    for page in walk(archive, lambda warc: _read(warc, record_bytes, scratch)):
        if isinstance(page, Fault):
            yield [Reject(str(page.offset), page.code, page.detail)]
        else:
            yield _rows(page, images)


class Scratch:
    """Room for what is cut out of a record, used again for the next one."""

    def __init__(self) -> None:
        self.out, self.spans = np.empty(1 << 20, np.uint8), np.empty((3, 2), np.int64)

    def cut(self, body: bytes) -> tuple[bytes | None, bool]:
        """(JSON list of url, alt and title of each image with a text, whether a licence is named); null if in doubt."""
        from curation.sources.wat_kernel import images_of  # imports numba

        if len(self.out) < len(body) + EMPTY:
            self.out = np.empty(len(body) + EMPTY, np.uint8)
        size, licensed = images_of(np.frombuffer(body, np.uint8), self.out, self.spans)
        return None if size < 0 else self.out[:size].tobytes(), licensed


def _read(warc: WarcRecord, limit: int, scratch: Scratch) -> Links | Fault | None:
    if str(warc.record_type) != "metadata":
        return None
    body = warc.reader.read(limit + 1)
    if len(body) > limit:
        return Fault(warc.stream_pos, "too_large", f"over {limit} bytes")
    if len(body) < warc.content_length:
        return Fault(warc.stream_pos, "truncated_record", f"wanted {warc.content_length} bytes, found {len(body)}")
    if b'"HTML-Metadata"' not in body:
        return None
    images, licensed = scratch.cut(body)
    if images is not None and len(images) == EMPTY:
        return None
    url = (warc.headers.get("WARC-Target-URI") or "").strip("<> ")
    try:
        page = images and _cut(warc.stream_pos, url, body, orjson.loads(images), licensed)
        return page or _decoded(warc.stream_pos, url, body)
    except ValueError:
        return _decoded(warc.stream_pos, url, body)
    except BadItemError as error:
        return Fault(warc.stream_pos, error.code, f"{url}: {error.detail}")


def _cut(offset: int, url: str, body: bytes, texts: list[str], licensed: bool) -> Links | None:
    """The page from parts of the JSON; null where it is laid out in another way, ValueError where it is not valid."""
    start = body.find(HEAD)
    links = body.find(LINKS, start)
    if start < 0 or links < 0:
        return None
    head, headers = orjson.loads(body[start + len(HEAD) : links]), {}
    before = body[:start]
    if SAYING.search(before):
        headers = orjson.loads(before[before.index(HEADERS) + len(HEADERS) - 1 : start - 1])
    licenses = [orjson.loads(link) for link in _license_links(body)] if licensed else []
    return _page(offset, url, (head, headers, licenses), zip(texts[::3], texts[1::3], texts[2::3]))


def _license_links(body: bytes) -> list[bytes]:
    """The link objects that hold one of LICENSES."""
    starts = set()
    for word in LICENSES:
        at = body.find(word)
        while at >= 0:
            starts.add(body.rfind(LINK_START, 0, at))
            at = body.find(word, at + 1)
    found = [LINK.match(body, start) for start in sorted(starts) if start >= 0]
    return [link[0] for link in found if link]


def _decoded(offset: int, url: str, body: bytes) -> Links:
    """The page from all of its JSON. Raises BadItemError `bad_json`."""
    text = body.decode("utf-8", "replace")
    try:
        try:
            record = orjson.loads(text)
        except ValueError:  # stricter than most writers
            record = json.loads(text)
        response = record["Envelope"]["Payload-Metadata"].get("HTTP-Response-Metadata") or {}
        html = response.get("HTML-Metadata") or {}
        links = [link for link in html.get("Links") or [] if isinstance(link, dict)]
        head, headers = html.get("Head") or {}, response.get("Headers") or {}
    except (ValueError, RecursionError, LookupError, AttributeError, TypeError) as error:
        raise BadItemError("bad_json", f"{type(error).__name__}: {error}") from error
    images = [_texts(link) for link in links if link.get("path") == "IMG@/src"]
    images = [image for image in images if image[1] or image[2]]
    return _page(offset, url, (head, headers, [link for link in links if link.get("path") != "IMG@/src"]), images)


def _texts(link: dict[str, Any]) -> tuple[str, str, str]:
    src, alt, title = (link.get(name) for name in ("url", "alt", "title"))
    return tuple(text if isinstance(text, str) else "" for text in (src, alt, title))


def _page(offset: int, url: str, said: tuple[dict, dict, list[dict]], images: Iterable[tuple[str, str, str]]) -> Links:
    head, headers, links = said
    base = head.get("Base")
    where = joined(url, base) if isinstance(base, str) else url
    language, terms = _said(head, {name.lower(): value for name, value in headers.items()})
    named = [(str(link.get("rel") or ""), joined(where, str(link.get("url") or ""))) for link in links]
    license = chosen_license(named) if named else None
    return Links(offset, where, facts_of(url, license, language, terms), images)


def _rows(page: Links, limit: int) -> list[Found | Reject]:
    base, facts, made = base_of(page.base), page.facts, []
    document, license, group, extra = facts
    number = -1
    for src, alt, title in page.images:
        is_plain = not title and alt[0].isalpha() and len(alt) <= CAPTION_CHARS and "\0" not in alt  # nearly all are
        texts = [] if is_plain else _seen(alt, title)
        number += is_plain or bool(texts)
        if number >= limit or not (is_plain or texts):
            continue
        try:
            url = absolute_url(base, src)
            if is_plain:
                made.append(Found(url, alt, "alt", document, url, None, license, group, None, None, extra))
            else:
                made += [pair(facts, url, *text, None) for text in good_texts(texts)]
        except BadItemError as error:
            made.append(Reject(f"{page.offset}#{number}", error.code, error.detail))
    if number >= limit:
        made.append(too_many(page.offset, facts, number + 1, limit))
    return made


def _seen(alt: str, title: str) -> list[tuple[str, str]]:
    return [(kind, text) for kind, text in (("alt", alt), ("title", title)) if text and not text.isspace()]


def _said(head: dict[str, Any], headers: dict[str, Any]) -> tuple[str | None, str | None]:
    """Language and opt-out terms, as `html` finds them on the page itself."""
    found: dict[str, list[str]] = {"lang": [], "content-language": [], "robots": [], TDM: []}
    for meta in head.get("Metas") or ():
        sort = META_SORTS.get(_lower(meta, "name") or _lower(meta, "http-equiv"))
        if sort:
            found[sort].append(str(meta.get("content") or ""))
    languages = found["lang"] + found["content-language"] + _several(headers.get("content-language"))[:1]
    robots = found["robots"] + _several(headers.get("x-robots-tag"))
    reservations = found[TDM] + _several(headers.get(TDM))
    language = next((text.strip() for text in languages if text.strip()), None)
    return language, opt_out(robots, reservations) if robots or reservations else None


def _lower(meta: Any, name: str) -> str:
    value = meta.get(name) if isinstance(meta, dict) else None
    return value.strip().lower() if isinstance(value, str) else ""


def _several(value: Any) -> list[str]:
    """A header's values: a list where it came more than once."""
    return [str(each) for each in value] if isinstance(value, list) else [] if value is None else [str(value)]
