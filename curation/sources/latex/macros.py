"""Authors' own macros, where they are simple: their definitions, and a bounded expansion. Nothing is executed."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from curation.sources.latex.scan import Scanner, commands, names
from curation.sources.latex.words import KEPT, REFERENCE, STRUCTURAL

MOST_PARAMETERS = 9  # TeX's own limit
MOST_DEFINITIONS = 20_000  # assumption: the largest collections of macros define under 2,000
MOST_LEADS = 200  # macros looked through to see where one leads
MOST_INSIDE = 100  # commands in a macro that are looked at for that
BODY_CHARS = 16 << 10  # assumption: what is longer is no abbreviation

# Programs, not abbreviations: what they print cannot be told without running them.
_PROGRAM = re.compile(
    r"\\(?:[gex]?def|let|futurelet|(?:re)?newcommand|providecommand|expandafter|csname|catcode|lccode|uccode|afterassignment"
    r"|aftergroup|loop|write|openin|openout|read|newread|newwrite|special|number|advance|global|scantokens|directlua"
    r"|[A-Za-z]*@[A-Za-z@]+)(?![A-Za-z])"
)
_PARAMETERS = re.compile(r"((?:\s*#\d)*)\s*\{")
_NAME = re.compile(r"\s*(?:\{\s*\\([A-Za-z@]+|.)\s*\}|\\([A-Za-z@]+|.))\s*", re.DOTALL)
_LET = re.compile(r"\s*\\([A-Za-z@]+)\s*=?\s?\\([A-Za-z@]+)")
_SPEC = re.compile(r"\s*+(?:(m|o|O\s*\{([^{}]*)\})\s*+)?((?:m\s*+)*+)")
_KEY = re.compile(r"\b(\w++)\s*+=\s*+(\{[^{}]*\}|[^,{}]*)")
_ARGUMENT = re.compile(r"#(#|\d)")
_IS_REFERENCE = re.compile(REFERENCE)

COMMANDS = names("newcommand renewcommand providecommand DeclareRobustCommand newrobustcmd")
TEX = frozenset(("def", "gdef", "edef", "xdef"))
DOCUMENT_COMMANDS = names("NewDocumentCommand RenewDocumentCommand DeclareDocumentCommand")
ENVIRONMENTS = frozenset(("newenvironment", "renewenvironment"))
OPERATORS = frozenset(("DeclareMathOperator", "DeclareTextMathOperator"))
ACRONYMS = frozenset(("newacronym", "acrodef", "newacro", "acro", "DeclareAcronym"))
DEFINING = COMMANDS | TEX | DOCUMENT_COMMANDS | ENVIRONMENTS | OPERATORS | ACRONYMS | {"let"}


class Macro(NamedTuple):
    """What a macro stands for: `body` with #1 to #`parameters` in it; the first is an option if it has a `default`."""

    body: str
    parameters: int = 0
    default: str | None = None


@dataclass
class Budget:
    """What expanding may still cost: expansions, and characters of text that they give."""

    expansions: int
    chars: int

    def take(self, chars: int) -> bool:
        """Whether one more expansion of that size is allowed; nothing is, after the first that is not."""
        self.expansions -= 1
        self.chars -= chars
        if self.expansions < 0 or self.chars < 0:
            self.expansions = self.chars = 0
            return False
        return True


class Macros:
    """The macros of one paper by name; environments are kept as `begin NAME` and `end NAME`, abbreviations as
    `short NAME` and `long NAME`."""

    def __init__(self) -> None:
        self.known: dict[str, Macro] = {}
        self._inside: dict[str, tuple[bool, list[str]]] = {}  # whether it leads there itself, and the commands in it
        self._leads: dict[str, bool] = {}
        self._definitions = 0

    def define(self, found: dict[str, Macro | None]) -> None:
        """Add definitions; a name whose definition is too involved stands for itself from then on."""
        for name, macro in found.items():
            self.known.pop(name, None)
            self._definitions += 1
            if macro is not None and name not in KEPT and self._definitions <= MOST_DEFINITIONS:
                inside = [n for n, _, _ in commands(macro.body)]
                direct = any(n in STRUCTURAL or _IS_REFERENCE.fullmatch(n) for n in inside)
                self.known[name], self._inside[name] = macro, (direct, inside[:MOST_INSIDE])
                self._leads.clear()

    def is_structural(self, name: str) -> bool:
        """Whether a macro leads to figures, references or included files, so that the whole text needs it expanded."""
        if name not in self._leads:
            seen, todo, found = {name}, [name], False
            while todo and not found and len(seen) < MOST_LEADS:
                found, inside = self._inside[todo.pop()]
                new = {n for n in inside if n in self.known} - seen
                todo += new
                seen |= new
            self._leads[name] = found
        return self._leads[name]


def expansion(macro: Macro, scanner: Scanner, at: int) -> tuple[str, int] | None:
    """What a macro stands for where it is used, its arguments beginning at `at`, and the position behind them."""
    arguments: list[str] = []
    if macro.default is not None:
        option, at = scanner.option(at)
        arguments.append(macro.default if option is None else option)
    while len(arguments) < macro.parameters:
        argument = scanner.argument(at)
        if argument is None:
            return None
        arguments.append(argument[0])
        at = argument[1]

    def value(found: re.Match) -> str:
        number = found[1]
        return "#" if number == "#" else arguments[int(number) - 1] if 0 < int(number) <= len(arguments) else ""

    return (_ARGUMENT.sub(value, macro.body) if arguments else macro.body), at


def definition(scanner: Scanner, command: str, at: int) -> tuple[dict[str, Macro | None], int] | None:
    """What a defining command behind which `at` stands defines, and the position behind it; null where it is broken.

    A macro that is no simple abbreviation is null.
    """
    at = scanner.star(at)
    if command in ENVIRONMENTS or command in ACRONYMS:
        return (_environment if command in ENVIRONMENTS else _acronym)(scanner, at)
    if command == "let":
        let = _LET.match(scanner.text, at)
        return ({let[1]: Macro("\\" + let[2])} if let[1] != let[2] else {}, let.end()) if let else None
    name = _NAME.match(scanner.text, at)
    if name is None:
        return None
    found = _parameters(scanner, command, name.end())
    body = scanner.group(found[2]) if found else None
    if body is None:
        return None
    text = rf"\operatorname{{{body[0]}}}" if command in OPERATORS else body[0]
    return {name[1] or name[2]: _simple(Macro(text, *found[:2])) if found[0] >= 0 else None}, body[1]


def _parameters(scanner: Scanner, command: str, at: int) -> tuple[int, str | None, int] | None:
    """Number of parameters (-1 where they are not simple), default of the first, and where the body begins."""
    if command in TEX:
        found = _PARAMETERS.match(scanner.text, at)
        if found:
            return found[1].count("#"), None, found.end() - 1
        body = scanner.text.find("{", at, at + 200)
        return (-1, None, body) if body >= 0 else None
    if command in DOCUMENT_COMMANDS:
        spec = scanner.group(at)
        simple = _SPEC.fullmatch(spec[0]) if spec else None
        if simple is None:
            return (-1, None, spec[1]) if spec else None
        first = simple[1] or ""
        default = None if first in ("", "m") else simple[2] or ""
        return bool(first) + simple[3].count("m"), default, spec[1]
    number, at = scanner.option(at)
    default, at = scanner.option(at)
    number = (number or "0").strip()
    is_number = number.isascii() and number.isdigit()
    return (int(number) if is_number and int(number) <= MOST_PARAMETERS else -1), default, at


def _environment(scanner: Scanner, at: int) -> tuple[dict[str, Macro | None], int] | None:
    name = scanner.group(at)
    found = _parameters(scanner, "newenvironment", name[1]) if name else None
    begin = scanner.group(found[2]) if found else None
    end = scanner.group(begin[1]) if begin else None
    if end is None:
        return None
    simple = found[0] >= 0 and _simple(Macro(end[0])) is not None
    opening = _simple(Macro(begin[0], *found[:2])) if simple else None
    closing = Macro(end[0]) if opening else None
    return {f"begin {name[0].strip()}": opening, f"end {name[0].strip()}": closing}, end[1]


def _acronym(scanner: Scanner, at: int) -> tuple[dict[str, Macro | None], int] | None:
    """{name}{short}{long}, {name}[short]{long} or {name}{short=..., long=...}."""
    name = scanner.group(scanner.option(at)[1], 200)
    if name is None:
        return None
    option, at = scanner.option(name[1])
    first = scanner.group(at)
    if first is None:
        return None
    second = scanner.group(first[1]) if option is None else None
    keys = dict(_KEY.findall(first[0])) if option is None and second is None else {}
    short = option or keys.get("short", "").strip("{}") or (first[0] if second else name[0])
    long = keys.get("long", "").strip("{}") or (second or first)[0]
    found = {f"short {name[0].strip()}": Macro(short.strip()), f"long {name[0].strip()}": Macro(long.strip())}
    return found, (second or first)[1]


def _simple(macro: Macro) -> Macro | None:
    return None if len(macro.body) > BODY_CHARS or _PROGRAM.search(macro.body) else macro


def definitions(text: str) -> dict[str, Macro | None]:
    """All that a style file defines, without names of its inside (with an @), which authors do not use."""
    scanner, found, at = Scanner(text), {}, 0
    for name, start, end in commands(text):
        if start >= at and name in DEFINING:
            parsed = definition(scanner, name, end)
            found |= parsed[0] if parsed else {}
            at = parsed[1] if parsed else end
    return {name: macro for name, macro in found.items() if "@" not in name and macro is not None}
