"""WAT files, which Common Crawl publishes beside its WARCs: the links of each page as JSON, images with alt and title.

The links of a page are most of its JSON and few of them are images, so images are cut out and only they are decoded.
That is exact where the JSON is valid: a quote within a string is escaped, so what begins with `{"path":"` begins an
object. Where as many images are not found that way as there are, all of it is decoded.
"""

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import orjson
from fastwarc.warc import WarcRecord

from curation.errors import BadItemError
from curation.sources.archive import WARC, Archive
from curation.sources.candidates import Candidate
from curation.sources.html import Picture, chosen_license
from curation.sources.opt_out import TDM, opt_out
from curation.sources.urls import joined
from curation.sources.warc import Fault, walk

STRING = rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
IMAGE = re.compile(rb'\{"path":"IMG@/src","url":%b(?:,"alt":%b)?(?:,"title":%b)?\}' % (STRING, STRING, STRING), re.DOTALL)
LINK = re.compile(rb'\{(?:%b:%b,?)*+\}' % (STRING, STRING), re.DOTALL)
LINK_START = b'{"path":"'
HEAD, LINKS, HEADERS = b'"HTML-Metadata":{"Head":', b',"Links":[', b'"Headers":{'
SAYING = re.compile(rb'"(?:content-language|x-robots-tag|tdm-reservation)":', re.IGNORECASE)
LICENSES = (b'"rel":"license', b"creativecommons.org/")
FIRST = 20  # records that decide whether a file is a WAT


class Links(NamedTuple):
    """The pictures of the page at `url` that have texts, and what the page says of itself; see `html.Page`."""

    offset: int
    url: str
    base: str
    license: str | None
    language: str | None
    opt_out: str | None
    pictures: list[Picture]


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


def pages(archive: Archive, limit: int) -> Iterator[Links | Fault]:
    """The pages that show images with texts, in order, with a Fault for whatever cannot be read.

    Of a record longer than `limit` bytes nothing is read. Faults: those of `warc.walk`, `too_large` and `bad_json`.
    """
    return walk(archive, lambda warc: _read(warc, limit))


def _read(warc: WarcRecord, limit: int) -> Links | Fault | None:
    if str(warc.record_type) != "metadata":
        return None
    body = warc.reader.read(limit + 1)
    if len(body) > limit:
        return Fault(warc.stream_pos, "too_large", f"over {limit} bytes")
    if len(body) < warc.content_length:
        return Fault(warc.stream_pos, "truncated_record", f"wanted {warc.content_length} bytes, found {len(body)}")
    if b"IMG@/src" not in body:
        return None
    url = (warc.headers.get("WARC-Target-URI") or "").strip("<> ")
    try:
        return _cut(warc.stream_pos, url, body) or _decoded(warc.stream_pos, url, body)
    except BadItemError as error:
        return Fault(warc.stream_pos, error.code, f"{url}: {error.detail}")


def _cut(offset: int, url: str, body: bytes) -> Links | None:
    """The page from parts of the JSON; null where it is laid out in another way or not valid."""
    found = IMAGE.findall(body)
    if len(found) != body.count(b"IMG@/src"):
        return None
    flat = [text for image in found if image[1] or image[2] for text in image]
    if not flat:
        return Links(offset, url, url, None, None, None, [])
    try:
        texts = orjson.loads(b'["%b"]' % b'","'.join(flat))
        start = body.find(HEAD)
        links = body.find(LINKS, start)
        if start < 0 or links < 0:
            return None
        head = orjson.loads(body[start + len(HEAD) : links])
        headers = {}
        before = body[:start]
        if SAYING.search(before):
            headers = orjson.loads(before[before.index(HEADERS) + len(HEADERS) - 1 : start - 1])
        licenses = [orjson.loads(link) for link in _license_links(body)]
    except ValueError:  # also orjson's own error
        return None
    return _page(offset, url, (head, headers, licenses), list(zip(texts[::3], texts[1::3], texts[2::3])))


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


def _page(offset: int, url: str, said: tuple[dict, dict, list[dict]], images: list[tuple[str, str, str]]) -> Links:
    head, headers, links = said
    base = head.get("Base")
    where = joined(url, base) if isinstance(base, str) else url
    headers = {name.lower(): value for name, value in headers.items()}
    language, terms = _said(head, headers)
    pictures = [picture for image in images if (picture := _picture(*image)).texts]
    named = [(str(link.get("rel") or ""), joined(where, str(link.get("url") or ""))) for link in links]
    return Links(offset, url, where, chosen_license(named), language, terms, pictures)


def _picture(src: str, alt: str, title: str) -> Picture:
    texts = [(kind, text) for kind, text in (("alt", alt), ("title", title)) if text and not text.isspace()]
    return Picture([Candidate(src, "src")] if src else [], texts)


def _said(head: dict[str, Any], headers: dict[str, Any]) -> tuple[str | None, str | None]:
    """Language and opt-out terms, as `html` finds them on the page itself."""
    metas = [meta for meta in head.get("Metas") or [] if isinstance(meta, dict)]
    named = [(str(meta.get("name") or "").strip().lower(), str(meta.get("content") or "")) for meta in metas]
    pragma = [meta for meta in metas if str(meta.get("http-equiv") or "").strip().lower() == "content-language"]
    own = [text for name, text in named if name in ("html@/lang", "html@/xml:lang") and text]
    languages = own + [str(meta.get("content") or "") for meta in pragma] + _several(headers.get("content-language"))[:1]
    robots = [text for name, text in named if name == "robots"] + _several(headers.get("x-robots-tag"))
    reservations = [text for name, text in named if name == TDM] + _several(headers.get(TDM))
    language = next((text.strip() for text in languages if text.strip()), None)
    return language, opt_out(robots, reservations)


def _several(value: Any) -> list[str]:
    """A header's values: a list where it came more than once."""
    return [str(each) for each in value] if isinstance(value, list) else [] if value is None else [str(value)]
