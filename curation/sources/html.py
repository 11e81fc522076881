"""The pictures of an HTML page, the texts that stand for them, and what the page says of their use.

Trees come from a full HTML5 parser (lexbor). Where the page allows it, only the parts that its images depend on are
parsed, which gives the same.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from selectolax.lexbor import LexborHTMLParser, LexborNode

from curation.errors import BadItemError
from curation.sources.candidates import Candidate, candidates
from curation.sources.charset import utf8
from curation.sources.found import license_group
from curation.sources.http import TDM, Said, opt_out
from curation.sources.urls import joined

CLIMB = 64  # assumption: a picture lies no deeper in its figure; bounds the time on hostile nesting
CAPTION_NODES = 100_000  # assumption: no page made for people has more in its figcaptions; nested ones take the square
BLOCK = re.compile(r"p|div|br|hr|pre|section|blockquote|[uod]l|li|d[dt]|table|t[dhr]|h[1-6]")
UNSEEN = ("script", "style", "template", "noscript")
DEPTH = 512  # where Chrome's parser stops nesting; HTML5 parsing takes time in tags x depth
MANY_TAGS = 20_000  # below, the worst nesting takes two seconds
# Start and end tags, but for those of elements that hold nothing or that the next of their kind closes (HTML Standard,
# 13.1.2 and 13.1.2.4).
# The quantifiers are possessive, so that a page cannot make them go back and forth.
TAG = re.compile(
    rb"<(/?)(?!(?:area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr|p|li|d[td]|t[dhr]|thead|tbody|tfoot"
    rb"|option|optgroup|colgroup|r[pt]|a|html|head|body)[\s/>])([a-z][^\s/<>]*+)([^<>]*+)>",
    re.IGNORECASE,
)
LICENSES = ", ".join(
    f'{tag}[{name}="{value}" i]'
    for tag in ("a", "link")
    for name, value in (("rel~", "license"), ("href*", "creativecommons.org/"))
)
CREATIVE_COMMONS = re.compile(r"https?://(?:www\.)?creativecommons\.org/((?:licenses|publicdomain)/[a-z][^?#]*)", re.I)
TEXTS = ("alt", "title", "aria-label")
NOTHING = Said()
ROWS = 16384  # more than the tags of nearly all pages; room that is taken is only that which is used
OPEN_ELEMENTS = 256  # assumption: what is nested deeper within one figure is left to the parser
START = b"<!doctype html>"


class Picture(NamedTuple):
    """An img element with any text: the URLs that it names as they stand, best first, and pairs of kind and text."""

    urls: list[Candidate]
    texts: list[tuple[str, str]]


class Page(NamedTuple):
    """`base` is what relative URLs start from; `license` the page's own, null if it states none.

    `language` is what it says of itself, as written; `opt_out` the terms of `http.opt_out`.
    """

    base: str
    license: str | None
    language: str | None
    opt_out: str | None
    pictures: list[Picture]


def read_page(body: bytes, url: str, said: Said = NOTHING, *, whole: bool = False) -> Page:
    """The page at `url`: every img element that has a text which is not blank, in document order.

    Kinds: `alt`, `title`, `aria_label` (as written), `figcaption` of the nearest figure around it that has one (blanks
    collapsed). With `whole` all of the page is parsed, never its parts alone. Raises BadItemError `too_deep` for a page
    that would take the parser minutes.
    """
    page = utf8(body, said.charset)
    parts = None if whole else essence(page)
    parts = page if parts is None else parts
    if parts.count(b"<") > MANY_TAGS and is_deep(parts):
        raise BadItemError("too_deep", f"elements nested more than {DEPTH} deep")
    tree = LexborHTMLParser(parts)
    pictures = _pictures(tree)
    if not pictures:
        return Page(url, None, None, None, [])
    base = tree.css_first("base[href]")
    where = joined(url, base.attributes["href"] or "") if base else url
    language, terms = _said(tree, said)
    return Page(where, _license(tree, where), language, terms, pictures)


def essence(page: bytes) -> bytes | None:
    """The parts of a UTF-8 page that are parsed as the page would be, as one short page; b"" where it shows no image.

    The images, licence links, html, base and meta elements of the result are those of the page, in the order of its
    text, in the same figures and pictures. Null where that is in doubt and the whole page must be parsed.
    """
    from curation.sources.parts_kernel import parts_of  # imports numba
    from curation.sources.tags_kernel import FULL, tags_of

    data, stack = np.frombuffer(page, np.uint8), np.empty((OPEN_ELEMENTS, 2), np.int64)
    tags = np.empty((ROWS, 5), np.int64)
    count = tags_of(data, tags, np.empty(OPEN_ELEMENTS, np.int64))
    if count == FULL:
        tags = np.empty((page.count(b"<"), 5), np.int64)
        count = tags_of(data, tags, np.empty(OPEN_ELEMENTS, np.int64))
    spans = np.empty((max(count, 0), 2), np.int64)
    found = parts_of(tags, count, stack, spans) if count >= 0 else -1
    if found <= 0:
        return None if found else b""
    parts = [page[first:behind] for first, behind in spans[:found].tolist()]
    return b"".join((START, *parts))


def is_deep(page: bytes) -> bool:
    """Whether tags are nested more than DEPTH deep, going by start and end tags alone."""
    unclosed: Counter[bytes] = Counter()
    depth = 0
    for tag in TAG.finditer(page):
        end, name, closed = tag[1], tag[2].lower(), tag[3].endswith(b"/")
        if end:
            depth -= unclosed[name] > 0
            unclosed[name] -= unclosed[name] > 0
        elif not (closed and (unclosed[b"svg"] or unclosed[b"math"])):
            unclosed[name] += 1
            depth += 1
            if depth > DEPTH:
                return True
    return False


def _pictures(tree: LexborHTMLParser) -> list[Picture]:
    captions = _captions(tree)
    has_sources = bool(tree.tags("source"))
    pictures = []
    for node in tree.tags("img"):
        attributes = node.attributes
        texts = [
            (name.replace("-", "_"), text) for name in TEXTS if (text := attributes.get(name)) and not text.isspace()
        ]
        caption = _figcaption(node, captions) if captions else None
        if caption:
            texts.append(("figcaption", caption))
        if texts:
            pictures.append(Picture(candidates(node, attributes, has_sources), texts))
    return pictures


def _captions(tree: LexborHTMLParser) -> dict[int, str]:
    """The caption of every figure that has one: the first figcaption whose nearest figure it is."""
    captions: dict[int, str] = {}
    left = CAPTION_NODES
    for node in tree.tags("figcaption"):
        figure = node.parent
        for _ in range(CLIMB):
            if figure is None or figure.tag == "figure":
                break
            figure = figure.parent
        if figure is not None and figure.tag == "figure" and figure.mem_id not in captions:
            captions[figure.mem_id], left = _text(node, left)
    return captions


def _figcaption(node: LexborNode, captions: dict[int, str]) -> str | None:
    figure = node.parent
    for _ in range(CLIMB):
        if figure is None or figure.tag == "figcaption":
            return None
        if figure.tag == "figure" and figure.mem_id in captions:
            return captions[figure.mem_id]
        figure = figure.parent
    return None


def _text(node: LexborNode, left: int) -> tuple[str, int]:
    """What is to be read in an element, blanks collapsed and one between blocks; how many of LEFT nodes are left.

    Raises BadItemError `too_deep` where there are more.
    """
    parts = []
    for part in node.traverse(include_text=True):
        left -= 1
        if left < 0:
            raise BadItemError("too_deep", f"figcaptions of more than {CAPTION_NODES} nodes, one in another")
        before = part.prev
        if _is_block(part) or (before is not None and _is_block(before)):
            parts.append(" ")
        if part.tag == "-text" and part.parent.tag not in UNSEEN:
            parts.append(part.text_content or "")
    return " ".join("".join(parts).split()), left


def _is_block(node: LexborNode) -> bool:
    return BLOCK.fullmatch(node.tag or "") is not None  # doctypes and the like have no tag


def _said(tree: LexborHTMLParser, said: Said) -> tuple[str | None, str | None]:
    """The language and the opt-out terms of a page. The html element's language is nearest, the header's farthest."""
    html = tree.css_first("html")
    own = (html.attributes.get("lang") or html.attributes.get("xml:lang")) if html else None
    robots, reservations, meta = [*said.robots], [said.reservation], None
    for node in tree.tags("meta"):
        attributes = node.attributes
        name, content = (attributes.get("name") or "").strip().lower(), attributes.get("content")
        if name == "robots":
            robots.append(content)
        elif name == TDM:
            reservations.append(content)
        elif (attributes.get("http-equiv") or "").strip().lower() == "content-language":
            meta = meta or content
    language = (own or meta or said.language or "").strip()
    return language or None, opt_out(robots, reservations)


def _license(tree: LexborHTMLParser, base: str) -> str | None:
    links = [link.attributes for link in tree.css(LICENSES)]
    return chosen_license((link.get("rel") or "", joined(base, link["href"])) for link in links if link.get("href"))


def chosen_license(links: Iterable[tuple[str, str]]) -> str | None:
    """Of pairs of rel and absolute URL what rel=license names, a Creative Commons licence first; null for none.

    Without any, the one Creative Commons licence that is linked to: of several, none is the page's own.
    """
    links = [(rel, url) for rel, url in links if url]
    urls = [url for rel, url in links if "license" in rel.lower().split()]
    if urls:
        return next((url for url in urls if license_group(url) != "other"), urls[0])
    named = {match[1].lower().rstrip("/"): url for _, url in links if (match := CREATIVE_COMMONS.match(url))}
    return next(iter(named.values())) if len(named) == 1 else None
