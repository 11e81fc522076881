"""The paragraphs of an article that cite its figures."""

from collections.abc import Callable

from lxml import etree

from curation.sources.jats.text import text_of

# What is no part of the paragraph that holds it: the paragraph goes on after it.
APART = frozenset(("fig", "fig-group", "table-wrap", "table-wrap-group", "boxed-text", "fn"))
BOUNDS = APART | {"sec", "caption", "supplementary-material", "body", "abstract", "article", "sub-article", "response"}
CONTEXT_CHARS = 16_384  # assumption: a dozen paragraphs; bounds what a long paragraph adds to each figure it cites
RID_CHARS = 10_000  # assumption: no reference names a thousand figures


def citing(article: etree._Element, ids: set[str]) -> Callable[[str | None], str]:
    """A function that gives the paragraphs that cite one of `ids`, a line each, each once, in document order.

    A paragraph cites what the blank-separated list of a reference's rid names, at any depth in it; a range as "Figs
    1-3" names what is written there only. Where paragraphs lie in paragraphs (of a list) the outermost is taken. More
    than CONTEXT_CHARS characters tell that there is more.
    """
    paragraphs: dict[str, dict[etree._Element, None]] = {}
    for xref in article.iter("xref"):
        cited = ids.intersection(xref.get("rid", "")[:RID_CHARS].split())
        paragraph = _paragraph(xref) if cited else None
        for id in cited if paragraph is not None else ():
            paragraphs.setdefault(id, {})[paragraph] = None
    texts: dict[etree._Element, str] = {}

    def of(id: str | None) -> str:
        found: dict[str, None] = {}
        length = 0
        for paragraph in paragraphs.get(id or "", ()):
            if paragraph not in texts:
                texts[paragraph] = text_of(paragraph, APART)[: CONTEXT_CHARS + 1]
            found[texts[paragraph]] = None
            length += len(texts[paragraph]) + 1
            if length > CONTEXT_CHARS:
                break
        return "\n".join(filter(None, found))

    return of


def _paragraph(xref: etree._Element) -> etree._Element | None:
    """The outermost paragraph around a reference, not counting what goes on around a figure, a table or a note."""
    found = None
    for around in xref.iterancestors():
        if around.tag in BOUNDS:
            break
        if around.tag == "p":
            found = around
    return found
