"""From a picture on a page to its pairs: the same for every form of archive."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from curation.errors import BadItemError
from curation.sources.candidates import Candidate
from curation.sources.found import Found, Reject, caption_text, license_group
from curation.sources.html import Picture
from curation.sources.urls import Base, absolute_url, base_of


class Facts(NamedTuple):
    """What holds for all pairs of a page: its URL, its licence and what else it says of itself."""

    document: str
    license: str | None
    license_group: str | None
    extra: dict[str, str] | None


class Text(NamedTuple):
    """A text of a picture as it is stored, and the length that it had if it was cut."""

    kind: str
    text: str
    cut: str | None


class Shown(NamedTuple):
    """A picture: its absolute URLs, best first, and its texts."""

    facts: Facts
    urls: list[Candidate]
    texts: list[Text]


def facts_of(document: str, license: str | None, language: str | None, opt_out: str | None) -> Facts:
    """The facts of a page from its licence, its language and its opt-out terms, each null where it states none."""
    said = {"page_language": language, "opt_out": opt_out}
    extra = {name: value for name, value in said.items() if value is not None}
    return Facts(document, license, license_group(license), extra or None)


def shown(offset: int, base_url: str, facts: Facts, pictures: list[Picture], limit: int) -> Iterator[Shown | Reject]:
    """The pictures of the page at OFFSET, and rejects: of a picture that has no URL or no good text, and of all beyond
    the first LIMIT.
    """
    base = base_of(base_url)
    for number, picture in enumerate(pictures[:limit]):
        try:
            yield Shown(facts, _urls(base, picture.urls), good_texts(picture.texts))
        except BadItemError as error:
            yield Reject(f"{offset}#{number}", error.code, error.detail)
    if len(pictures) > limit:
        yield too_many(offset, facts, len(pictures), limit)


def too_many(offset: int, facts: Facts, found: int, limit: int) -> Reject:
    """The reject of a page with more pictures than are read."""
    left = f"{facts.document}: {found} images with texts, the first {limit} are read"
    return Reject(str(offset), "too_many_images", left)


def _urls(base: Base, candidates: list[Candidate]) -> list[Candidate]:
    found, error = [], None
    for candidate in candidates:
        try:
            found.append(Candidate(absolute_url(base, candidate.url), candidate.of))
        except BadItemError as bad:
            error = bad
    if not found:
        raise error or BadItemError("no_url", "img without src")
    return found


def good_texts(texts: list[tuple[str, str]]) -> list[Text]:
    """Those of the pairs of kind and text that may be captions; raises BadItemError where none may."""
    found, error = [], None
    for kind, raw in texts:
        try:
            text, cut = caption_text(raw)
        except BadItemError as bad:
            error = bad
            continue
        found.append(Text(kind, text, cut.get("caption_cut")))
    if not found:
        raise error or BadItemError("no_caption")
    return found


def pair(facts: Facts, url: str, kind: str, text: str, cut: str | None, pointer: dict[str, Any] | None) -> Found:
    """The pair of a URL and one of its texts."""
    extra = facts.extra if cut is None else {**(facts.extra or {}), "caption_cut": cut}
    # By place, as there are a hundred million of these: identity, caption, its kind, document, URL, image, licences.
    return Found(
        url, text, kind, facts.document, url, pointer, facts.license, facts.license_group, None, None, extra
    )  # fmt: skip


def pairs(item: Shown, which: int, pointer: dict[str, Any] | None) -> list[Found]:
    """A pair for each text of a picture that has its URL number WHICH."""
    facts, (url, of) = item.facts, item.urls[which]
    if of != "src":
        facts = facts._replace(extra={**(facts.extra or {}), "url_from": of})
    return [pair(facts, url, *text, pointer) for text in item.texts]
