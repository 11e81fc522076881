"""LaTeX to readable text, by pylatexenc with its quirks handled: accents, symbols, mathematics, references.

As in the reference extractor (nopperl/clip_arxiv_pmc), a reference becomes `<ref>` and a citation `<cit.>`.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

from curation.sources.latex.conditions import Conditions
from curation.sources.latex.expand import Expander
from curation.sources.latex.macros import Budget, Macros
from curation.sources.latex.symbols import (
    ACCENTS,
    ACRONYMS,
    CITATIONS,
    COMMANDS,
    FUNCTIONS,
    REFERENCES,
    SYMBOLS,
    TWO_REFERENCES,
    UNITS,
)

TEXT_CHARS = 16 << 10  # of LaTeX that are read: four times the longest caption that is kept
EXPANSIONS = 1000  # in one text; assumption: captions use a few dozen
MOST_NESTING = 40  # groups inside groups that pylatexenc is given; it recurses
BROKEN = (RecursionError, IndexError, KeyError, ValueError, TypeError, AttributeError)  # raised on odd input

_LINK = re.compile(r"\\(?:href|url|nolinkurl|email)(?![A-Za-z])")  # reference rule, with \nolinkurl added
_URL = re.compile(r"\\(?:url|nolinkurl|email)\s*\{[^{}]*\}")
_SCRIPT = re.compile(r"(?<!\\)([_^])\s*\{")
_XSPACE = re.compile(r"\\xspace(?![A-Za-z@])\s*(?=[\w($\\`])")  # a blank, unless punctuation follows
_NO_DELIMITER = re.compile(r"\\(?:left|right)\s*\.")
_MATH_SPACE = re.compile(
    r"(?:\\[,;:> ]|~|\\q?quad(?![A-Za-z]))\s*\$(?!\$)"
)  # pylatexenc strips what is between $ and $
_LINE_END = re.compile(r"\\\\\*?\s*+\[\s*+-?[\d.]++\s*+(?:\\?[a-z]++\s*+)?\]")  # with a distance
_FUNCTION = re.compile(rf"(?<=[(\[|/√^_]) (?=(?:{'|'.join(FUNCTIONS)})\b)")
_SIMPLE = re.compile(r"[+\-−–±]?(?:[^\W_]|[.,*'′°∗†⋆∞%])*|<ref>|<cit\.>|\([^()]*\)|\{[^{}]*\}")
_DEGREES = re.compile(r"\^\(?[°∘]\)?")
_TIKZ = re.compile(r"\\tikz(?![A-Za-z])\s*+(?:\[[^\[\]]{0,400}\]\s*+)?\\[^;]{0,1000};")  # a line drawn as in the legend
_ORDINAL = re.compile(r"(?<=\d)\^\(?(st|nd|rd|th)\)?(?![a-z])")
_COMMAND = re.compile(r"\\([A-Za-z@]+)\*?|\\(.)", re.DOTALL)
_ACCENTED = re.compile(r"(?:[^\W_]|[^\w\s(){}\[\]])[\u0300-\u036f\u20d0-\u20ff]*")
_MARKS = re.compile(r"<(?:ref|cit\.)>")
_EMPTY = re.compile(r"[\[(](?:\s|[,;–-]|and\b|see\b|e\.g\.)*[\])]")
_BEFORE = re.compile(r"\s+([,.;:)\]])")


class Text(NamedTuple):
    """A readable text; `has_link` where its source holds a URL; `chars` of LaTeX that it was, macros expanded."""

    text: str
    has_link: bool
    chars: int = 0


def readable(latex: str, macros: Macros, switches: dict[str, bool], *, urls: bool = True) -> Text:
    """What LaTeX prints, white space collapsed, NFC; URLs themselves only where `urls`.

    >>> readable("Energy $E=mc^2$ for $\\\\alpha$ in Fig.~\\\\ref{b} \\\\cite{x}", Macros(), {}).text
    'Energy E=mc^2 for α in Fig. <ref> <cit.>'
    """
    latex = latex[:TEXT_CHARS]
    if "\\" in latex:
        handlers = Conditions(switches).handlers | dict.fromkeys(ACRONYMS, _acronym)
        latex = Expander(macros, Budget(EXPANSIONS, TEXT_CHARS), handlers, all_macros=True).run(latex)
    has_link = bool(_LINK.search(latex))
    if has_link and not urls:
        latex = _URL.sub("", latex)
    latex = _MATH_SPACE.sub(" $ ", latex)
    latex = _LINE_END.sub(" ", _NO_DELIMITER.sub("", _TIKZ.sub(" ", _XSPACE.sub(" ", latex))))
    text = _converted(latex[: 2 * TEXT_CHARS])
    text = _ORDINAL.sub(r"\1", _DEGREES.sub("°", _FUNCTION.sub("", text)))
    return Text(unicodedata.normalize("NFC", " ".join(text.split())), has_link, len(latex))


def stripped(text: str) -> str:
    """A readable text without `<ref>` and `<cit.>`, and without the brackets that held nothing else.

    >>> stripped("Red, as found before (see <cit.>, <cit.>).")
    'Red, as found before.'
    """
    return " ".join(_BEFORE.sub(r"\1", _EMPTY.sub("", _MARKS.sub("", text))).split())


def _acronym(expander: Expander, name: str) -> None:
    """Read the short or long form of an abbreviation in its place, its name where it is not declared."""
    frame = expander.top()
    scanner = frame.scanner
    found = scanner.group(scanner.option(scanner.star(frame.at))[1], 200)
    if found is None:
        return
    frame.at = found[1]
    key = found[0].strip()
    forms = {form: expander.macros.known.get(f"{form} {key}") for form in ("short", "long")}
    if expander.budget.take(len(key)):
        expander.push(ACRONYMS[name].format(**{form: macro.body if macro else key for form, macro in forms.items()}))


def _converted(latex: str) -> str:
    if _nesting(latex) > MOST_NESTING:
        return _plain(latex)
    converter, context = _converter()
    from pylatexenc.latexwalker import LatexWalkerError

    try:
        return converter.latex_to_text(_SCRIPT.sub(r"\1\\curationscript{", latex), latex_context=context)
    except (LatexWalkerError, *BROKEN):
        return _plain(latex)


def _nesting(latex: str) -> int:
    depth = deepest = 0
    for mark in re.finditer(r"\\(?:begin|left|.)|[{}\[]", latex, re.DOTALL):
        depth += mark[0] in ("{", "[", r"\begin") or -(mark[0] == "}")
        deepest = max(deepest, depth)
    return deepest


def _plain(latex: str) -> str:
    """Text where pylatexenc gives up: commands dropped, what is in groups kept."""
    return re.sub(r"[{}$~&]", " ", _COMMAND.sub(lambda m: m[2] if m[2] and m[2] in "%&$#_{}" else " ", latex))


@cache
def _converter() -> tuple[Any, Any]:
    """pylatexenc's converter, and the context in which it parses."""
    import logging

    from pylatexenc import latex2text, latexwalker, macrospec

    logging.getLogger("pylatexenc").setLevel(logging.CRITICAL)  # it reports each unbalanced brace
    said = _said()
    arguments = macrospec.MacroSpec
    walker = latexwalker.get_default_latex_context_db()
    walker.add_context_category("curation", [arguments(name, spec) for name, (spec, _) in said.items()], prepend=True)
    texts = latex2text.get_default_latex_context_db()
    replacements = [latex2text.MacroTextSpec(name, say or "", discard=not say) for name, (_, say) in said.items()]
    environments = [
        latex2text.EnvironmentTextSpec(name, discard=True) for name in ("tikzpicture", "comment", "picture")
    ]
    texts.add_context_category("curation", replacements, environments, prepend=True)
    # Blanks between two commands would else be dropped, and the words beside them merged.
    spaces = {"between-macro-and-chars": True, "between-latex-constructs": True, "after-comment": True}
    spaces["in-equations"] = spaces | {"between-macro-and-chars": False, "in-equations": None}
    return latex2text.LatexNodes2Text(texts, math_mode="text", strict_latex_spaces=spaces), walker


def _said() -> dict[str, tuple[str, Callable[..., str] | str]]:
    """Arguments of every command that pylatexenc is told about, and what it prints."""
    said: dict[str, tuple[str, Callable[..., str] | str]] = {}
    for name, (spec, template) in COMMANDS.items():
        printed = partial(_format, template=template) if "{" in template else template
        said[name] = spec, _callback(printed) if callable(printed) else printed
    said |= {name: ("", symbol) for name, symbol in SYMBOLS.items()}
    said |= {name: ("", f" {name}") for name in FUNCTIONS}
    said |= {name: ("*[[{", "<cit.>") for name in CITATIONS}
    said |= {name: ("*[{" + "{" * (name in TWO_REFERENCES), "<ref>") for name in REFERENCES}
    said["eqref"] = "*{", "(<ref>)"
    said["curationscript"] = "{", _callback(lambda parts: _grouped(parts[0]))
    said |= {
        name: ("{{", _callback(lambda parts: "/".join(map(_grouped, parts)))) for name in ("frac", "tfrac", "dfrac")
    }
    said["nicefrac"] = said["sfrac"] = ("[{{", _callback(lambda parts: "/".join(map(_grouped, parts[1:]))))
    said["sqrt"] = "[{", _callback(lambda parts: f"{parts[0].strip('[]')}√{_grouped(parts[1])}")
    for name, mark in ACCENTS.items():  # pylatexenc sets one on each character, also on other accents
        said[name] = "{", _callback(lambda parts, mark=mark: _ACCENTED.sub(rf"\g<0>{mark}", parts[0], count=1))
    for name, mark in (("textsuperscript", "^"), ("textsubscript", "_")):
        said[name] = (
            "{",
            _callback(lambda parts, mark=mark: parts[0] if parts[0].isalpha() else mark + _grouped(parts[0])),
        )
    for name, place in (("si", 1), ("unit", 1), ("SI", 3), ("qty", 2), ("SIrange", 3), ("qtyrange", 3)):
        said[name] = COMMANDS[name][0], _callback(partial(_format, template=COMMANDS[name][1]), unit=place)
    return said


def _callback(say: Callable[[list[str]], str], unit: int | None = None) -> Callable[..., str]:
    """What pylatexenc calls: the arguments as texts go to `say`; that at `unit` is a unit of siunitx."""

    def printed(node: Any, l2tobj: Any) -> str:
        nodes = node.nodeargd.argnlist or []
        parts = [l2tobj.nodelist_to_text([n]) if n is not None else "" for n in nodes]
        written = nodes[unit].latex_verbatim() if unit is not None and nodes[unit] is not None else ""
        if any(command[1] in UNITS for command in _COMMAND.finditer(written)):
            parts[unit] = _unit(written)
        return say(parts)

    return printed


def _format(parts: list[str], template: str) -> str:
    return template.format(*parts)


def _grouped(text: str) -> str:
    """A numerator, index or the like as it can stand in a line: in brackets where it is not one word."""
    text = " ".join(text.split())
    return text if _SIMPLE.fullmatch(text) else f"({text})"


def _unit(latex: str) -> str:
    """A unit of siunitx as text.

    >>> _unit("{\\\\micro\\\\metre\\\\per\\\\second}")
    'µm/s'
    """
    names = UNITS | {"curationscript": ""}
    text = _COMMAND.sub(lambda m: names.get(m[1], m[1] or " "), latex)
    return re.sub(r"(?<=\w)[.~](?=\w)", " ", text).replace("{", "").replace("}", "").replace("~", " ").strip()
