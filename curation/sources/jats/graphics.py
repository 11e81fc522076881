"""The graphics of a figure: which are its own, and which of them show the same."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lxml import etree

from curation.sources.jats.article import HREF, LANG
from curation.sources.jats.links import stem
from curation.sources.jats.text import text_of

# What has graphics of its own, or graphics that are no picture of the figure.
OTHERS = frozenset(
    (
        *("fig", "fig-group", "table-wrap", "table", "supplementary-material", "inline-supplementary-material"),
        *("inline-formula", "disp-formula", "disp-formula-group", "media"),
    )
)
THUMBNAILS = ("thumb", "scielo-267x140")  # in graphic/@content-type, @specific-use or the name, of PMC and SciELO
PANELS = 256  # assumption: of one figure; more panels than anyone could look at


class Graphic(NamedTuple):
    """One reference to an image file. `label` and `caption` are of it alone, beside those of its figure."""

    href: str
    thumbnail: bool
    label: str
    caption: str


Panel = list[Graphic]  # graphics that show the same


def panels(owner: etree._Element) -> list[Panel]:
    """The panels of a figure, at most PANELS: alternatives are one, and so is one file in several formats."""
    found: dict[object, Panel] = {}
    for graphic, choice in own_graphics(owner):
        href = (graphic.get(HREF) or graphic.get("href") or "").strip()
        if not href:
            continue
        key = choice if choice is not None else stem(href)
        if key not in found and len(found) == PANELS:
            break
        marks = f"{graphic.get('content-type', '')} {graphic.get('specific-use', '')} {href}".lower()
        own = (text_of(graphic.find(name)) for name in ("label", "caption"))
        found.setdefault(key, []).append(Graphic(href, any(mark in marks for mark in THUMBNAILS), *own))
    return list(found.values())


def own_graphics(
    element: etree._Element, choice: etree._Element | None = None
) -> Iterator[tuple[etree._Element, etree._Element | None]]:
    """The graphics below an element that belong to it, each with the `alternatives` around it."""
    for child in element:
        if child.tag == "graphic" or (child.tag == "media" and child.get("mimetype") == "image"):
            yield child, choice
        elif isinstance(child.tag, str) and child.tag not in OTHERS:
            yield from own_graphics(child, child if child.tag == "alternatives" else choice)


def shown_by(owners: Iterable[etree._Element]) -> dict[etree._Element, etree._Element]:
    """The figures without graphics that another one shows: the same figure in another language.

    SciELO puts a figure once for each language into a fig-group, and its graphic into one of them.
    """
    speaking: dict[etree._Element, dict[str, etree._Element]] = {}
    silent = []
    for owner in owners:
        group, language = owner.getparent(), owner.get(LANG)
        if owner.tag != "fig" or not language or group is None or group.tag != "fig-group":
            continue
        shown = speaking.setdefault(group, {})
        if next(own_graphics(owner), None) is None:
            silent.append((owner, shown, language))
        elif len(shown) < 2:  # two are enough: one of them is of another language
            shown.setdefault(language, owner)
    others = ((owner, [other for tag, other in shown.items() if tag != language]) for owner, shown, language in silent)
    return {owner: other[0] for owner, other in others if other}
