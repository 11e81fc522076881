"""The pictures of an HTML page and the texts that stand for them, by a full HTML5 parser (lexbor)."""

import re
from collections import Counter
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from selectolax.lexbor import LexborHTMLParser, LexborNode

from curation.errors import BadItemError
from curation.sources.charset import decode
from curation.sources.found import license_group

CLIMB = 64  # assumption: a picture lies no deeper in its figure; bounds the time on hostile nesting
BLOCK = re.compile(r"p|div|br|hr|pre|section|blockquote|[uod]l|li|d[dt]|table|t[dhr]|h[1-6]")
UNSEEN = ("script", "style", "template", "noscript")
DEPTH = 512  # where Chrome's parser stops nesting; HTML5 parsing takes time in tags x depth
MANY_TAGS = 20_000  # below, the worst nesting takes two seconds
# Start and end tags, but for those of elements that hold nothing or that the next of their kind closes (HTML Standard,
# 13.1.2 and 13.1.2.4).
# The quantifiers are possessive, so that a page cannot make them go back and forth.
TAG = re.compile(
    r"<(/?)(?!(?:area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr|p|li|d[td]|t[dhr]|thead|tbody|tfoot"
    r"|option|optgroup|colgroup|r[pt]|a|html|head|body)[\s/>])([a-z][^\s/<>]*+)([^<>]*+)>",
    re.IGNORECASE,
)
NO_SRC = re.compile(r"#.*|(?i:https?):/*", re.DOTALL)  # a browser makes the page itself, or nothing, of these
PLAIN_URL = re.compile(r"https?://[a-z0-9.-]+(?::\d+)?/[!$%&'()*+,./0-9:;=?@A-Z_a-z~\[\]-]*")
CONTROLS = "".join(map(chr, range(33)))  # WHATWG URL Standard, 4.4: C0 controls and blanks around it do not count
DROPPED = str.maketrans("", "", "\t\r\n")


class Picture(NamedTuple):
    """An img element with any text: its `src` as it stands, and pairs of kind and text."""

    src: str | None
    texts: list[tuple[str, str]]


class Page(NamedTuple):
    """`base` is what relative URLs start from; `license` the page's own, null if it states none."""

    base: str
    license: str | None
    pictures: list[Picture]


def read_page(body: bytes, url: str, charset: str | None) -> Page:
    """The page at `url`: every img element that has a text which is not blank, in document order.

    Kinds: `alt`, `title` (both as written), `figcaption` of the nearest figure around it (blanks collapsed). Raises
    BadItemError `too_deep` for a page that would take the parser minutes.
    """
    text = decode(body, charset)
    if text.count("<") > MANY_TAGS and is_deep(text):
        raise BadItemError("too_deep", f"elements nested more than {DEPTH} deep")
    tree = LexborHTMLParser(text)
    base = tree.css_first("base[href]")
    captioned = bool(tree.tags("figcaption"))
    pictures = []
    for node in tree.tags("img"):
        attributes = node.attributes
        texts = [("alt", attributes.get("alt")), ("title", attributes.get("title"))]
        if captioned:
            texts.append(("figcaption", _figcaption(node)))
        texts = [(kind, text) for kind, text in texts if text and not text.isspace()]
        if texts:
            pictures.append(Picture(attributes.get("src"), texts))
    where = joined(url, base.attributes["href"] or "") if base else url
    return Page(where, _license(tree, where), pictures)


def is_deep(text: str) -> bool:
    """Whether tags are nested more than DEPTH deep, going by start and end tags alone."""
    unclosed: Counter[str] = Counter()
    depth = 0
    for tag in TAG.finditer(text):
        end, name, closed = tag[1], tag[2].lower(), tag[3].endswith("/")
        if end:
            depth -= unclosed[name] > 0
            unclosed[name] -= unclosed[name] > 0
        elif not (closed and (unclosed["svg"] or unclosed["math"])):
            unclosed[name] += 1
            depth += 1
            if depth > DEPTH:
                return True
    return False


def absolute_url(base: str, src: str | None) -> str:
    """The http or https URL that a `src` means on a page, without fragment, safely encoded.

    Raises BadItemError `no_url` where it is missing or empty, `data_url` for images within the page, `bad_url`
    otherwise.
    """
    src = (src or "").strip(CONTROLS).translate(DROPPED)
    if not src or NO_SRC.fullmatch(src):
        raise BadItemError("no_url", f"img with src {src!r}")
    if src[:5].lower() == "data:":
        raise BadItemError("data_url", src[:40])
    url = normal_url(src if PLAIN_URL.fullmatch(src) else joined(base, src))
    if url is None:
        raise BadItemError("bad_url", f"{src} on {base}")
    return url


def normal_url(url: str) -> str | None:
    """An http or https URL in the one form under which it is looked up and stored; null for any other."""
    if PLAIN_URL.fullmatch(url):
        return url
    try:
        parts = urlsplit(url)
        host = parts.netloc.lower()
        host = host if host.isascii() else host.encode("idna").decode("ascii")
    except ValueError:  # UnicodeError, a host that cannot be, is one too
        return None
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s<>\"\\^`{|}]", host):
        return None
    # The URL Standard's sets for path and query, joined: what a browser would send.
    path, query = (quote(part, safe="!$%&'()*+,-./:;=?@[]_~|^") for part in (parts.path or "/", parts.query))
    return urlunsplit((parts.scheme, host, path, query, ""))


def joined(base: str, url: str) -> str:
    """A URL as it stands on a page or in a header, made absolute; "" for one that no parser takes."""
    try:
        return urljoin(base, url.strip(CONTROLS).translate(DROPPED))
    except ValueError:
        return ""


def _figcaption(node: LexborNode) -> str | None:
    figure = node.parent
    for _ in range(CLIMB):
        if figure is None or figure.tag == "figcaption":
            return None
        if figure.tag == "figure":
            caption = _child(figure, "figcaption")
            if caption is not None:
                return _text(caption)
        figure = figure.parent
    return None


def _child(node: LexborNode, tag: str) -> LexborNode | None:
    child = node.first_child
    while child is not None and child.tag != tag:
        child = child.next
    return child


def _text(node: LexborNode) -> str:
    """What is to be read in an element: blocks are set apart by blanks, blanks are collapsed."""
    parts = []
    for part in node.traverse(include_text=True):
        before = part.prev
        if BLOCK.fullmatch(part.tag) or (before is not None and BLOCK.fullmatch(before.tag)):
            parts.append(" ")
        if part.tag == "-text" and part.parent.tag not in UNSEEN:
            parts.append(part.text_content or "")
    return " ".join("".join(parts).split())


def _license(tree: LexborHTMLParser, base: str) -> str | None:
    """The first rel=license link that names a Creative Commons licence, else the first."""
    links = tree.css('a[rel~="license"][href], link[rel~="license"][href]')
    urls = [joined(base, link.attributes["href"] or "") for link in links]
    urls = [url for url in urls if url]
    return next((url for url in urls if license_group(url) != "other"), urls[0] if urls else None)
