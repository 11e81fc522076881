"""WAT files, which Common Crawl publishes beside its WARCs: the links of each page as JSON, images with alt and title.

The links of a page are most of its JSON and few of them are images, so images are cut out and only they are decoded.
That is exact where the JSON is valid: a quote within a string is escaped, so what begins with `{"path":"` begins an
object. Where as many images are not found that way as there are, all of it is decoded.
"""

import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple, TypedDict

import msgspec
import numpy as np
from fastwarc.warc import WarcRecord

from curation.errors import BadItemError
from curation.sources.archive import WARC, Archive
from curation.sources.found import Found, Reject, Several
from curation.sources.html import chosen_license
from curation.sources.http import TDM, opt_out
from curation.sources.shown import Facts, facts_of, good_texts, pair, too_many
from curation.sources.urls import absolute_url, base_of, joined
from curation.sources.warc import Fault, bearable, walk

STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
LINK = re.compile(rb"\{(?:%b:%b,?)*+\}" % (STRING, STRING), re.DOTALL)
LINK_START = b'{"path":"'
LINKS, LINKS_END = b'"Links":[', b'"}]'
LISTS = 8  # assumption: no layout has more lists of objects behind the links
NEWLINE = re.compile(r"\r\n?")  # which an HTML parser makes one line feed, and the extractor leaves
FIRST = 20  # records that decide whether a file is a WAT
META_SORTS = {  # what a meta element says by its name or http-equiv; Common Crawl gives the html element's as one
    **dict.fromkeys(("html@/lang", "html@/xml:lang"), "lang"),
    **{name: name for name in ("content-language", "robots", TDM)},
}


def _keys(name: str, keys: dict[str, Any]) -> Any:
    """A type of JSON objects of which only these keys are decoded, which is several times as fast."""
    return TypedDict(name, keys, total=False)


META = _keys("META", {"name": Any, "content": Any, "http-equiv": Any})
HTML = _keys("HTML", {"Head": _keys("HEAD", {"Metas": list[META], "Base": Any})})
RESPONSE = _keys("RESPONSE", {"HTML-Metadata": HTML, "Headers": dict[str, Any]})
ENVELOPE = _keys("ENVELOPE", {"Payload-Metadata": _keys("PAYLOAD", {"HTTP-Response-Metadata": RESPONSE})})
RECORD = msgspec.json.Decoder(_keys("RECORD", {"Envelope": ENVELOPE}))
TEXTS = msgspec.json.Decoder(list[str])
ODD = "-"  # an image whose texts and URL must be looked at
EMPTY = 2  # bytes of a JSON list without items


class Links(NamedTuple):
    """The images of the page at `facts.document` that have texts, as (src, alt, title, sort), "" for what is not there.

    `sort` says what is to be put in front of a plain src, as in `wat_kernel`.
    """

    offset: int
    base: str
    facts: Facts
    images: list[tuple[str, str, str, str]]


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


def rows(archive: Archive, record_bytes: int, images: int) -> Iterator[list[Several | Found | Reject]]:
    """The pairs and rejects of each page in order, and of whatever cannot be read.

    Of a record longer than RECORD_BYTES nothing is read, of a page with more than IMAGES the first. Faults: those of
    `warc.walk`, `too_large` and `bad_json`.
    """
    scratch = Scratch()
    for page in bearable(walk(archive, lambda warc: _read(warc, record_bytes, scratch))):
        if isinstance(page, Fault):
            yield [Reject(str(page.offset), page.code, page.detail)]
        else:
            yield _rows(page, images)


class Scratch:
    """Room for what is cut out of a record, used again for the next one."""

    def __init__(self) -> None:
        self.out, self.spans, self.licences = np.empty(1 << 20, np.uint8), np.empty((3, 2), int), np.empty(64, int)

    def cut(self, body: bytes) -> tuple[bytes | None, list[int]]:
        """(JSON list, places of licence links) as in `images_of`; null if in doubt."""
        from curation.sources.wat_kernel import images_of  # imports numba

        if len(self.out) < len(body) + EMPTY:
            self.out = np.empty(len(body) + EMPTY, np.uint8)
        size, count = images_of(np.frombuffer(body, np.uint8), self.out, self.spans, self.licences)
        return None if size < 0 else self.out[:size].tobytes(), self.licences[:count].tolist()


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
    url = (warc.headers.get("WARC-Target-URI") or "").strip("<> ")
    try:
        return _links(warc.stream_pos, url, body, scratch)
    except BadItemError as error:
        return Fault(warc.stream_pos, error.code, f"{url}: {error.detail}")


def _links(offset: int, url: str, body: bytes, scratch: Scratch) -> Links | None:
    """The page of a record, null for one without images that have texts. Raises BadItemError `bad_json`."""
    images, places = scratch.cut(body)
    if images is not None and len(images) == EMPTY:
        return None
    with contextlib.suppress(ValueError, RecursionError, msgspec.DecodeError):
        if images is not None:
            texts = TEXTS.decode(images)
            licenses = [msgspec.json.decode(link) for link in _license_links(body, places)]
            return _page(
                offset, url, _without_links(body), licenses, zip(texts[::4], texts[1::4], texts[2::4], texts[3::4])
            )
    try:
        record = json.loads(body.decode("utf-8", "replace"))
        html = _html(record)
        links = [*((html.get("Head") or {}).get("Link") or []), *(html.get("Links") or [])]
        images = [_texts(link) for link in links if link.get("path") == "IMG@/src"]
        others = [link for link in links if link.get("path") != "IMG@/src"]
        return _page(offset, url, record, others, [image for image in images if image[1] or image[2]])
    except (ValueError, RecursionError, LookupError, AttributeError, TypeError) as error:
        raise BadItemError("bad_json", f"{type(error).__name__}: {error}") from error


def _without_links(body: bytes) -> dict[str, Any]:
    """What RECORD has of the JSON, whose links are not looked at; ValueError where they are not found."""
    start, end = body.index(LINKS) + len(LINKS), len(body)
    for _ in range(LISTS):
        end = body.rindex(LINKS_END, start, end)
        with contextlib.suppress(msgspec.DecodeError):  # where another list ends, the rest is out of balance
            return RECORD.decode(body[:start] + body[end + len(LINKS_END) - 1 :])
    raise ValueError("no list of links")


def _license_links(body: bytes, places: list[int]) -> list[bytes]:
    starts = dict.fromkeys(body.rfind(LINK_START, 0, place) for place in places)
    found = [LINK.match(body, start) for start in starts if start >= 0]
    return [link[0] for link in found if link]


def _texts(link: dict[str, Any]) -> tuple[str, str, str, str]:
    found = (link.get(name) for name in ("url", "alt", "title"))
    return *(text if isinstance(text, str) else "" for text in found), ODD


def _response(record: dict[str, Any]) -> dict[str, Any]:
    return record["Envelope"]["Payload-Metadata"].get("HTTP-Response-Metadata") or {}


def _html(record: dict[str, Any]) -> dict[str, Any]:
    return _response(record).get("HTML-Metadata") or {}


def _page(
    offset: int, url: str, record: dict[str, Any], links: list[dict], images: Iterable[tuple[str, str, str, str]]
) -> Links:
    head, headers = _html(record).get("Head") or {}, _response(record).get("Headers") or {}
    base = head.get("Base")
    where = joined(url, base) if isinstance(base, str) else url
    language, terms = _said(head, {name.lower(): value for name, value in headers.items()})
    named = [(str(link.get("rel") or ""), joined(where, str(link.get("url") or ""))) for link in links]
    license = chosen_license(named) if named else None
    return Links(offset, where, facts_of(url, license, language, terms), images)


def _rows(page: Links, limit: int) -> list[Several | Found | Reject]:
    base, facts, odd = base_of(page.base), page.facts, []
    urls, captions, kinds = [], [], []
    scheme = base.host.partition("/")[0]
    before = {"U": "", "S": scheme, "H": base.host, "F": base.folder} if base.host else {"U": ""}
    number = -1
    for src, alt, title, sort in page.images:
        if sort in before and number < limit - 1:  # nearly all of them
            number += 1
            urls.append(before[sort] + src)
            captions.append(alt)
            kinds.append("alt")
            if title:
                urls.append(before[sort] + src)
                captions.append(title)
                kinds.append("title")
            continue
        texts = [(kind, NEWLINE.sub("\n", text)) for kind, text in (("alt", alt), ("title", title)) if text.strip()]
        number += bool(texts)
        if texts and number < limit:
            odd += _odd(page, f"{page.offset}#{number}", src, texts)
    if number >= limit:
        odd.append(too_many(page.offset, facts, number + 1, limit))
    return [Several(urls, captions, kinds, *facts), *odd] if urls else odd


def _odd(page: Links, item: str, src: str, texts: list[tuple[str, str]]) -> list[Found | Reject]:
    try:
        url = absolute_url(base_of(page.base), src)
        return [pair(page.facts, url, *text, None) for text in good_texts(texts)]
    except BadItemError as error:
        return [Reject(item, error.code, error.detail)]


def _said(head: dict[str, Any], headers: dict[str, Any]) -> tuple[str | None, str | None]:
    """Language and opt-out terms, as `html` finds them on the page itself."""
    found: dict[str, list[str]] = {"lang": [], "content-language": [], "robots": [], TDM: []}
    for meta in head.get("Metas") or ():
        name = (meta.get("name") or meta.get("http-equiv")) if isinstance(meta, dict) else None
        sort = META_SORTS.get(name.strip().lower()) if isinstance(name, str) else None
        if sort:
            found[sort].append(str(meta.get("content") or ""))
    languages = found["lang"] + found["content-language"] + _several(headers.get("content-language"))[:1]
    robots = found["robots"] + _several(headers.get("x-robots-tag"))
    reservations = found[TDM] + _several(headers.get(TDM))
    language = next((text.strip() for text in languages if text.strip()), None)
    return language, opt_out(robots, reservations) if robots or reservations else None


def _several(value: Any) -> list[str]:
    """A header's values: a list where it came more than once."""
    return [str(each) for each in value] if isinstance(value, list) else [] if value is None else [str(value)]
