"""From a picture on a page to its pairs: the same for every form of archive."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from curation.errors import BadItemError
from curation.sources.candidates import Candidate
from curation.sources.found import Found, Reject, caption_text, license_group
from curation.sources.html import Picture
from curation.sources.urls import absolute_url, base_of


class Facts(NamedTuple):
    """What holds for all pictures of a page: the page, its licence, its language and its opt-out terms."""

    document: str
    license: str | None
    language: str | None
    opt_out: str | None


class Shown(NamedTuple):
    """A picture: its absolute URLs, best first, and (kind, text, length before it was cut or null) of each text."""

    facts: Facts
    urls: list[Candidate]
    texts: list[tuple[str, str, str | None]]


def shown(offset: int, base_url: str, facts: Facts, pictures: list[Picture], limit: int) -> Iterator[Shown | Reject]:
    """The pictures of the page at OFFSET, and rejects: of a picture that has no URL or no good text, and of all beyond
    the first LIMIT.
    """
    base = base_of(base_url)
    for number, picture in enumerate(pictures[:limit]):
        try:
            yield Shown(facts, _urls(base, picture.urls), _texts(picture.texts))
        except BadItemError as error:
            yield Reject(f"{offset}#{number}", error.code, error.detail)
    if len(pictures) > limit:
        left = f"{facts.document}: {len(pictures)} images with texts, the first {limit} are read"
        yield Reject(str(offset), "too_many_images", left)


def _urls(base: Any, candidates: list[Candidate]) -> list[Candidate]:
    found, error = [], None
    for candidate in candidates:
        try:
            found.append(Candidate(absolute_url(base, candidate.url), candidate.of))
        except BadItemError as bad:
            error = bad
    if not found:
        raise error or BadItemError("no_url", "img without src")
    return found


def _texts(texts: list[tuple[str, str]]) -> list[tuple[str, str, str | None]]:
    found, error = [], None
    for kind, raw in texts:
        try:
            text, cut = caption_text(raw)
            found.append((kind, text, cut.get("caption_cut")))
        except BadItemError as bad:
            error = bad
    if not found:
        raise error
    return found


def pairs(item: Shown, which: int, pointer: dict[str, Any] | None) -> Iterator[Found]:
    """A pair for each text of a picture that has its URL number WHICH."""
    facts, (url, of) = item.facts, item.urls[which]
    for kind, text, cut in item.texts:
        said = (("page_language", facts.language), ("opt_out", facts.opt_out), ("caption_cut", cut))
        extra = {name: value for name, value in said if value is not None}
        if of != "src":
            extra["url_from"] = of
        yield Found(
            url, text, kind, facts.document, url=url, image=pointer, license=facts.license,
            license_group=license_group(facts.license), extra=extra or None,
        )  # fmt: skip
