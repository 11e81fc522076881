"""The text of a JATS element as a person would read it: one line, one blank between blocks, formulas in characters."""

import re
import unicodedata

import regex
from lxml import etree

from curation.sources.jats.mathml import SPACE, entity_text, math_text

TEXT_CHARS = 1 << 20  # characters that are read of one text at most; 4,096 of a caption are kept
TEX_CHARS, TEX_DEPTH = 4096, 20  # assumption: a formula in a caption is shorter, its brackets nest less deep
NON_STARTERS = regex.compile(r"(\p{M}{30})\p{M}+")  # UAX #15, stream-safe text: more than 30 belong to no real letter
NOTHING: frozenset[str] = frozenset()
# Elements that stand on lines of their own; all others are parts of a line.
BLOCKS = frozenset(
    (
        *("abstract", "attrib", "boxed-text", "break", "caption", "chem-struct-wrap", "code", "def", "def-item"),
        *("def-list", "disp-formula", "disp-formula-group", "disp-quote", "fn", "fn-group", "label", "list"),
        *("list-item", "p", "preformat", "sec", "speech", "statement", "subtitle", "table", "tbody", "td", "term"),
        *("tfoot", "th", "thead", "title", "tr", "verse-group", "verse-line"),
    )
)
PICTURES = ("graphic", "inline-graphic", "media", "inline-media")  # their alternative text alone is text
HIDDEN = ("index-term", "index-term-range-end", "object-id", "supplementary-material")  # of their own, or not shown
FORMULAS = (SPACE + "math", "tex-math", "textual-form")  # the forms of one formula, the most readable first
ALTERNATIVES = ("alternatives", "inline-formula", "disp-formula", "citation-alternatives", "name-alternatives")
TEX_BODY = re.compile(r"\\begin\s*\{document\}(.*?)(?:\\end\s*\{document\}|\Z)", re.DOTALL)


def text_of(element: etree._Element | None, without: frozenset[str] = NOTHING) -> str:
    """The text of an element in NFC, white space collapsed; "" for null. Elements named in `without` are left out.

    Inline elements add their text with the blanks of the source, blocks are set apart by one blank. Of a formula that
    is there in several forms one is taken: MathML, else TeX, else text; of a picture its alternative text.

    >>> text_of(etree.fromstring("<caption><title>One.</title><p>H<sub>2</sub>O\\n  two</p></caption>"))
    'One. H2O two'
    """
    if element is None:
        return ""
    parts = _Parts()
    _add(element, parts, without)
    return collapsed("".join(parts.texts))


def collapsed(raw: str) -> str:
    """The text in NFC with each run of white space as one blank, none at the ends.

    >>> collapsed(" a\\u00a0 b\\n")
    'a b'
    """
    text = " ".join(raw.split())
    # Sorting a long run of combining marks would take the square of its length.
    return text if text.isascii() else unicodedata.normalize("NFC", NON_STARTERS.sub(r"\1", text))


class _Parts:
    """The pieces of a text, up to TEXT_CHARS."""

    def __init__(self) -> None:
        self.texts, self.left = [], TEXT_CHARS

    def add(self, text: str | None) -> None:
        if text and self.left > 0:
            self.texts.append(text[: self.left])
            self.left -= len(text)


def _add(element: etree._Element, parts: _Parts, without: frozenset[str]) -> None:
    """The element's own text and that of its children, without what follows it."""
    tag = element.tag
    if tag in BLOCKS:
        parts.add(" ")
    parts.add(element.text)
    for child in _shown(element) if tag in ALTERNATIVES else element:
        kind = child.tag
        if kind is etree.Entity:
            parts.add(entity_text(child.text))
        elif kind == SPACE + "math":
            parts.add(math_text(child))
        elif kind == "tex-math":
            parts.add(tex_text(child.text or ""))
        elif kind in PICTURES:
            parts.add(" ".join(alt.text or "" for alt in child.iterchildren("alt-text")))
        elif isinstance(kind, str) and kind not in HIDDEN and kind not in without and parts.left > 0:
            _add(child, parts, without)
        parts.add(child.tail)
    if tag in BLOCKS:
        parts.add(" ")


def _shown(element: etree._Element) -> list[etree._Element]:
    """The children of an element that holds forms of one thing: of several forms the best one."""
    forms = [child for child in element if child.tag in FORMULAS]
    if forms:
        best = min(forms, key=lambda form: FORMULAS.index(form.tag))
        return [child for child in element if child not in forms or child is best]
    # Forms of a name or a citation; pictures are no text, so they are none of the forms.
    if element.tag.endswith("alternatives"):
        return [child for child in element if isinstance(child.tag, str) and child.tag not in PICTURES][:1]
    return list(element)


def tex_text(source: str) -> str:
    """A TeX formula in characters; as it stands where it is too long or nests too deep to be worth it.

    >>> tex_text("\\\\begin{document}$$\\\\alpha^2 \\\\leq \\\\frac{1}{2}$$\\\\end{document}")
    'α^2 ≤1/2'
    """
    from pylatexenc.latex2text import LatexNodes2Text
    from pylatexenc.latexwalker import LatexWalkerError

    body = TEX_BODY.search(source)
    formula = (body[1] if body else source).strip()
    if not formula or len(formula) > TEX_CHARS or _depth(formula) > TEX_DEPTH:
        return formula.strip("$")
    inside = formula if formula.startswith(("$", "\\[", "\\(", "\\begin")) else f"${formula}$"
    try:
        return " ".join(LatexNodes2Text(math_mode="text", keep_comments=False).latex_to_text(inside).split())
    except (LatexWalkerError, ValueError, LookupError, AttributeError, TypeError):  # it guesses where braces are lost
        return formula.strip("$")


def _depth(formula: str) -> int:
    depth = deepest = 0
    for bracket in re.findall(r"[{}\[\]]|\\(?:begin|left|end|right)\b", formula):
        depth += 1 if bracket in ("{", "[", "\\begin", "\\left") else -1
        deepest = max(deepest, depth)
    return deepest
