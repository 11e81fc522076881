"""Presentation MathML as a line of readable text (W3C MathML 3.0, chapter 3)."""

import html
import unicodedata

from lxml import etree

SPACE = "{http://www.w3.org/1998/Math/MathML}"
UNSEEN = str.maketrans("", "", "\u2061\u2062\u2063\u2064\u200b")  # function application, invisible times, comma, plus
ACCENTS = {  # what stands over a letter, as the combining character that puts it there
    **dict.fromkeys(("¯", "‾", "ˉ", "_", "―", "̄", "̅"), "\u0304"),
    **dict.fromkeys(("^", "ˆ", "̂"), "\u0302"),
    **dict.fromkeys(("~", "˜", "∼", "̃"), "\u0303"),
    **dict.fromkeys(("˙", ".", "̇"), "\u0307"),
    **dict.fromkeys(("¨", "..", "̈"), "\u0308"),
    **dict.fromkeys(("→", "⃗", "⟶"), "\u20d7"),
}
NOT_SHOWN = {"annotation", "annotation-xml", "mphantom", "maligngroup", "malignmark", "mprescripts", "none"}
PARTS = "+-−±∓×·*/=≠<>≤≥≈∼,;| "  # signs that part what stands around them
FENCES = ("(", ")")  # of mfenced, where it does not say


def math_text(element: etree._Element) -> str:
    """The text of a MathML element: x^2, a_i, (a+b)/c, √(x), accents on their letters; no blanks of the source.

    >>> math_text(etree.fromstring("<math><mfrac><mi>a</mi><msup><mi>x</mi><mn>2</mn></msup></mfrac></math>"))
    'a/x^2'
    """
    name = element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
    if name in NOT_SHOWN:
        return ""
    if isinstance(element.tag, str) and len(element) == 0:
        return " " if name == "mspace" else _token(name, element.text)
    parts = []
    for child in element:
        if isinstance(child.tag, str):
            parts.append(math_text(child))
        elif child.tag is etree.Entity:
            parts.append(entity_text(child.text))
    if name in ("mi", "mn", "mo", "mtext", "ms"):  # a token that holds entities or glyphs
        tails = [child.tail or "" for child in element]
        return _token(name, (element.text or "") + "".join(a + b for a, b in zip(parts, tails)))
    return _LAID_OUT[name](parts, element) if name in _LAID_OUT else "".join(parts)


def entity_text(reference: str) -> str:
    """What a reference to an entity stands for, by HTML's names; itself where nobody knows.

    >>> entity_text("&eacute;")
    'é'
    """
    return html.unescape(reference)


def _token(name: str, raw: str | None) -> str:
    text = (raw or "").translate(UNSEEN)
    inner = " ".join(text.split())
    if name in ("mtext", "ms") and inner:  # words: the blanks around them count
        return " " * text[0].isspace() + inner + " " * text[-1].isspace()
    return inner


def _grouped(text: str, joins: str) -> str:
    """The text in brackets where one of `joins` parts it, unless it has brackets around it."""
    text = text.strip()
    parted = any(sign in joins for sign in text[1:])
    return f"({text})" if parted and not (text[0] == "(" and text.find(")") == len(text) - 1) else text


def _script(mark: str, text: str) -> str:
    text = text.strip()
    return text if not text or set(text) <= set("′″‴'*∗†‡°∘") else mark + _grouped(text, PARTS + "^_")


def _over(parts: list[str], element: etree._Element) -> str:
    base, over = (part.strip() for part in (*parts, "", "")[:2])
    if over in ACCENTS and len(base) == 1:
        return unicodedata.normalize("NFC", base + ACCENTS[over])
    return base + _script("^", over)


def _under_over(parts: list[str], element: etree._Element) -> str:
    base, under, over = (*parts, "", "", "")[:3]
    return base + _script("_", under) + _script("^", over)


def _fraction(parts: list[str], element: etree._Element) -> str:
    return "/".join(_grouped(part, PARTS) for part in parts)


def _fenced(parts: list[str], element: etree._Element) -> str:
    begin, end = (element.get(side, sign) for side, sign in zip(("open", "close"), FENCES))
    return begin + ", ".join(parts) + end


def _root(parts: list[str], element: etree._Element) -> str:
    return f"({parts[0]})^(1/{parts[1]})" if len(parts) == 2 else f"√({''.join(parts)})"


_LAID_OUT = {
    "mfrac": _fraction,
    "msup": lambda parts, element: "".join(parts[:1]) + _script("^", "".join(parts[1:])),
    "msub": lambda parts, element: "".join(parts[:1]) + _script("_", "".join(parts[1:])),
    "msubsup": _under_over,
    "munder": _under_over,
    "munderover": _under_over,
    "mover": _over,
    "msqrt": lambda parts, element: f"√{_grouped(''.join(parts), PARTS + '^_')}",
    "mroot": _root,
    "mfenced": _fenced,
    "mtr": lambda parts, element: ", ".join(parts),
    "mtable": lambda parts, element: "; ".join(parts),
    "semantics": lambda parts, element: "".join(parts[:1]),
}
