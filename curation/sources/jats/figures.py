"""The figures of a JATS article: which graphics, captions, languages, licences and citing paragraphs belong to each.

Rules: walk every fig at any depth; its graphics are those below it and below no other thing that has graphics of its
own; its caption is its own, else that of the fig-group around it, and never a neighbour's.
"""

import functools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from lxml import etree

from curation.errors import BadItemError
from curation.sources.found import CAPTION_CHARS, Reject, caption_text
from curation.sources.jats.article import LANG, Article, license_of
from curation.sources.jats.citing import CONTEXT_CHARS, citing
from curation.sources.jats.graphics import Panel, own_graphics, panels, shown_by
from curation.sources.jats.text import collapsed, text_of

Element = etree._Element

NAMES = {"fig": "fig", "fig-group": "fig-group", "table-wrap": "table"}  # in the ids of those that have none
ID_CHARS = 200
FIGURES = 10_000  # our choice, as for members of archives; no article comes near
REMEMBERED = 16  # texts of fig-groups and sub-articles, which all figures in them need


class Figure(NamedTuple):
    """One figure with a caption. `id` is unique in its article, but for the same figure in another language."""

    id: str
    panels: list[Panel]
    caption: str
    caption_kind: str
    license: str | None
    license_group: str
    context: str | None
    captions: list[dict[str, Any]] | None
    extra: dict[str, str]


class _Reading(NamedTuple):
    """What the figures of one article share. What reads an element of a group remembers it for the group's figures."""

    article: Article
    ids: dict[Element, str]
    citing: Callable[[str | None], str]
    caption: Callable[[Element], Element | None]
    text: Callable[[Element | None], str]
    kept: Callable[[str], tuple[str, dict[str, str]]]
    license: Callable[[Element | None], tuple[str, str] | None]


def figures(article: Article, tables: bool = False) -> Iterator[Figure | Reject]:
    """Each figure of an article, and with `tables` each table that is shown as an image, in document order.

    Rejects, whose item is the figure's id: `no_caption`, `no_letters`, `no_graphic`; `too_many_figures`, once.
    """
    kinds = [kind for kind in NAMES if tables or kind != "table-wrap"]
    owners = [o for o in article.element.iter(*kinds) if o.tag == "fig" or next(own_graphics(o), None) is not None]
    ids = _ids(owners)
    known = {owner.get("id") for owner in (*owners, *article.element.iter("fig-group"))} - {None}
    remembering = functools.lru_cache(REMEMBERED)
    readers = (remembering(read) for read in (_own_caption, text_of, caption_text, license_of))
    reading = _Reading(article, ids, citing(article.element, known), *readers)
    shown = shown_by(owners)
    for owner in owners[:FIGURES]:
        source = shown.get(owner, owner)
        try:
            yield _figure(reading, owner, source)
        except BadItemError as error:
            yield Reject(ids[owner], error.code, error.detail)
    if len(owners) > FIGURES:
        yield Reject("", "too_many_figures", f"{len(owners)} figures, the first {FIGURES} are read")


def _figure(reading: _Reading, owner: Element, source: Element) -> Figure:
    group = owner if owner.tag == "fig-group" else _group(reading, owner)
    captions = [] if owner is group else [(text_of(c), c) for c in owner.iterchildren("caption")]
    captions = [(text, caption) for text, caption in captions if text]
    of_group = None if group is None else reading.caption(group)
    own = bool(captions)
    said, where = captions[0] if own else (reading.text(of_group), of_group)
    text, cut = reading.kept(said)
    found = panels(source)
    if not found:
        raise BadItemError("no_graphic", f"holds {sorted({c.tag for c in owner if isinstance(c.tag, str)})}")
    part = next(owner.iterancestors("sub-article", "response"), None)
    context = reading.citing(owner.get("id") or (None if group is None else group.get("id")))
    extra = {
        "figure": reading.ids[owner],
        "label": text_of(owner.find("label")),
        "figure_type": collapsed(owner.get("fig-type", "")),
        "language": _language(where),
        "caption_level": "" if own else "group",
        "group_caption": reading.text(of_group) if own else "",
        "attrib": text_of(owner.find("attrib")),
        "part": "" if part is None else collapsed(part.get("article-type") or part.get("response-type") or part.tag),
        "context_cut": str(CONTEXT_CHARS) if len(context) > CONTEXT_CHARS else "",
    }
    return Figure(
        id=reading.ids[source],
        panels=found,
        caption=text,
        caption_kind="table" if owner.tag == "table-wrap" else "caption" if own else "group_caption",
        **_license(reading, owner, group, part),
        context=context[:CONTEXT_CHARS] or None,
        captions=_others(owner, captions[1:]),
        extra={name: value[:CAPTION_CHARS] for name, value in extra.items() if value} | cut,
    )


def _ids(owners: list[Element]) -> dict[Element, str]:
    """An id for each: its own where no other before it has it, else `fig-<ordinal>`, its place among all from 1."""
    ids: dict[Element, str] = {}
    ordinals: Counter[str] = Counter()
    taken, seen = {_id(owner) for owner in owners}, set()
    for owner in owners:
        ordinals[owner.tag] += 1
        found = _id(owner)
        if not found or found in seen:
            found = f"{NAMES[owner.tag]}-{ordinals[owner.tag]}"
            while found in taken:
                found += "-"
            taken.add(found)
        seen.add(found)
        ids[owner] = found
    return ids


def _id(owner: Element) -> str:
    return collapsed(owner.get("id", ""))[:ID_CHARS]


def _own_caption(group: Element) -> Element | None:
    return group.find("caption")


def _group(reading: _Reading, owner: Element) -> Element | None:
    """The nearest fig-group around a figure that has a caption, else the nearest."""
    groups = []
    for around in owner.iterancestors():
        if around.tag != "fig-group":
            break
        groups.append(around)
    return next((group for group in groups if reading.caption(group) is not None), next(iter(groups), None))


def _language(element: Element) -> str:
    """The language of an element, as in `en`; "" where nothing around it says."""
    tagged = next((e.get(LANG) for e in (element, *element.iterancestors()) if e.get(LANG)), "")
    return collapsed(tagged).replace("_", "-").partition("-")[0].lower()[:ID_CHARS]


def _license(reading: _Reading, owner: Element, group: Element | None, part: Element | None) -> dict[str, str | None]:
    """A figure may be taken from elsewhere, under terms of its own, and a sub-article may have its own."""
    stated = license_of(owner.find("permissions")) or license_of(owner.find("graphic/permissions"))
    if stated is None and group is not None:
        stated = reading.license(group.find("permissions"))
    if stated is None and part is not None:
        stated = reading.license(part.find("front-stub")) or reading.license(part.find("front/article-meta"))
    raw, kind = stated or (reading.article.license, reading.article.license_group)
    return {"license": raw, "license_group": kind}


def _others(owner: Element, translations: list[tuple[str, Element]]) -> list[dict[str, Any]] | None:
    """The figure's captions in other languages, and what is written for those who cannot see it."""
    found = [(text, "translation", caption) for text, caption in translations]
    for name, kind in (("alt-text", "alt"), ("long-desc", "description")):
        places = [*owner.iterchildren(name), *(e for graphic, _ in own_graphics(owner) for e in graphic.iter(name))]
        found += [(text_of(place), kind, place) for place in places]
    unique = {(text[:CAPTION_CHARS], kind): place for text, kind, place in found if text}
    return [
        {"text": text, "kind": kind, "model": None, "language": _language(place) or None, "negative": False}
        for (text, kind), place in unique.items()
    ] or None
