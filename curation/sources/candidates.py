"""The files that an img element names, best first: srcset, the picture element around it, lazy loading, src."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from selectolax.lexbor import LexborNode

# Where scripts that load images late keep what belongs into srcset and src: lazysizes, jQuery Lazy Load, a3 Lazy Load,
# WP Rocket, Jetpack, Echo, Zhihu; the order is that of preference.
LAZY_SETS = ("data-srcset", "data-lazy-srcset", "data-original-set")
LAZY = ("data-src", "data-original", "data-lazy-src", "data-lazy", "data-original-src", "data-actualsrc", "data-echo")
OTHERS = frozenset(("srcset", *LAZY_SETS, *LAZY))
SETS = ("srcset", *LAZY_SETS)
# HTML Standard, 4.8.4.2.2: a URL is a run without blanks; a comma at its end, or one behind the descriptors, ends it.
RUN = re.compile(r"[\s,]*+([^\s,]\S*+)")
DESCRIPTORS = re.compile(r"[^,(]*+(?:\([^)]*+\)?[^,(]*+)*+")
SIZE = re.compile(r"(?<!\S)(\d{1,9}(?:\.\d{1,9})?)([wx])(?!\S)")
DESCRIPTOR = re.compile(r"\d+[wh]|-?(?:\d++(?:\.\d++)?|\.\d++)(?:[eE][+-]?\d++)?x")
MANY = 64  # assumption: no set made for people holds more
DECODED = re.compile(r"\s*(?:image/(?:jpe?g|png|webp|gif|bmp|tiff?)\s*)?(?:;.*)?", re.IGNORECASE | re.DOTALL)
TEMPLATE = re.compile(r"[{}]")  # a place where a script puts the width
CLIMB = 8  # assumption: an image lies no deeper in its picture element


class Candidate(NamedTuple):
    """A URL as it stands, and the attribute that it comes from (`picture` for that of a source element)."""

    url: str
    of: str


def candidates(node: LexborNode, attributes: dict[str, str | None], has_sources: bool) -> list[Candidate]:
    """The URLs that may be the image of an img element, best first; empty where it names none.

    Of sets the largest comes first (by width, then by density), of equal ones the element's own before those of the
    picture element. Where a lazy attribute is there, srcset and src are taken for placeholders and come last.
    """
    plain = [Candidate(attributes["src"], "src")] if attributes.get("src") else []
    sources = _sources(node) if has_sources else []
    if not sources and OTHERS.isdisjoint(attributes):
        return plain
    own = _ranked([("srcset", attributes.get("srcset"))])
    late = _ranked([(name, attributes.get(name)) for name in LAZY_SETS])
    of_picture = _ranked([("picture", source.get(name)) for source in sources for name in SETS])
    single = [Candidate(attributes[name], name) for name in LAZY if attributes.get(name)]
    sets = sorted(
        [*late, *of_picture] if late or single else [*own, *of_picture], key=lambda found: found[0], reverse=True
    )
    best = [candidate for _, candidate in sets] + single
    rest = [candidate for _, candidate in own] if late or single else []
    return [candidate for candidate in best + rest + plain if not TEMPLATE.search(candidate.url)] or plain


def _ranked(sets: list[tuple[str, str | None]]) -> list[tuple[tuple[float, float], Candidate]]:
    """(width and density, candidate) of every candidate of the sets that is no part of the page itself."""
    found = []
    for of, text in sets:
        for url, descriptors in _split(text or ""):
            if not all(map(DESCRIPTOR.fullmatch, descriptors.split())):  # browsers pass over these as well
                continue
            size = SIZE.search(descriptors)
            number = float(size[1]) if size else 1.0
            rank = (number, 0.0) if size and size[2] == "w" else (0.0, number)
            if url[:5].lower() != "data:":
                found.append((rank, Candidate(url, of)))
    return found


def _split(text: str) -> Iterator[tuple[str, str]]:
    """The URLs of a srcset, each with its descriptors."""
    at = 0
    for _ in range(MANY):
        run = RUN.match(text, at)
        if run is None:
            return
        url, at, descriptors = run[1], run.end(), ""
        if not url.endswith(","):
            rest = DESCRIPTORS.match(text, at)
            descriptors, at = rest[0], rest.end()
        yield url.rstrip(","), descriptors


def _sources(node: LexborNode) -> list[dict[str, str | None]]:
    """The attributes of the source elements of the picture element around an image, for types that can be decoded."""
    parent = node.parent
    for _ in range(CLIMB):
        if parent is None or parent.tag == "picture":
            break
        parent = parent.parent
    if parent is None or parent.tag != "picture":
        return []
    found = [source.attributes for source in islice(parent.css("source"), MANY)]
    return [source for source in found if DECODED.fullmatch(source.get("type") or "")]
