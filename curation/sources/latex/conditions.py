"""TeX's conditionals, as far as they can be decided without running anything: \\iffalse and authors' own switches."""

import re
from collections.abc import Callable

from curation.sources.latex.expand import Expander
from curation.sources.latex.macros import Macros
from curation.sources.latex.scan import COMMAND, names

# Of TeX and its engines; what they ask is not known here, so that both branches are read.
UNKNOWN = names(
    "if ifx ifnum ifdim ifodd ifcat ifcase ifvmode ifhmode ifinner ifvoid ifhbox ifvbox ifeof ifdefined ifcsname "
    "iffontchar if@twocolumn if@twoside if@titlepage if@filesw if@compatibility"
)
# As a run of pdfLaTeX on a finished manuscript, in text, would decide.
DECIDED = {
    **dict.fromkeys(("iftrue", "ifpdf", "ifPDFTeX", "ifpdftex"), True),
    **dict.fromkeys(("iffalse", "ifxetex", "ifXeTeX", "ifluatex", "ifLuaTeX", "ifmmode", "ifdraft", "ifvtex"), False),
}
MOST_UNMATCHED = 20  # conditionals without an end after which no further end is searched for
_CHARACTERS = re.compile(  # behind \if; a blank or a brace is a character that equals none before it
    r"\s*+(\\[A-Za-z@]++\s*+|[^\s\\{}])(\\[A-Za-z@]++\s*+|[^\s\\{}]|(?=[\s\\{}]))"
)
_NUMBERS = re.compile(r"\s*(-?\d{1,9})\s*([<=>])\s*(-?\d{1,9})(?!\d)")  # behind \ifnum
_NEW = re.compile(r"\s*+(?:\{\s*+)?\\if([A-Za-z@]+)\s*\}?")
_COMPARED = re.compile(r"\s*(?:\\[A-Za-z@]+|\\?[^\s{}])\s*(?:\\[A-Za-z@]+|\\?[^\s{}])")  # behind \ifx


class Conditions:
    """The handlers of conditionals for one text; `switches` holds the values that are known before, by name."""

    def __init__(self, switches: dict[str, bool] | None = None) -> None:
        self.values = dict(DECIDED)
        self.open: list[bool | None] = []
        self.unmatched = 0
        self.handlers: dict[str, Callable[[Expander, str], None]] = {
            **dict.fromkeys((*UNKNOWN, *DECIDED), self._if),
            **{"else": self._else, "or": self._pass, "fi": self._fi, "newif": self._newif},
        }
        for name, value in (switches or {}).items():
            self._declare(name.removeprefix("if"))
            self.values[name] = value

    def _declare(self, name: str) -> None:
        if f"if{name}" not in self.handlers:
            self.values.setdefault(f"if{name}", False)  # as \newif has it
            self.handlers.update({f"if{name}": self._if, f"{name}true": self._set, f"{name}false": self._set})

    def _newif(self, expander: Expander, _: str) -> None:
        frame = expander.top()
        found = _NEW.match(frame.scanner.text, frame.at)
        if found:
            frame.at = found.end()
            self._declare(found[1])

    def _set(self, _: Expander, name: str) -> None:
        value = name.endswith("true")
        self.values[f"if{name.removesuffix('true' if value else 'false')}"] = value

    def _if(self, expander: Expander, name: str) -> None:
        value = self.values.get(name)
        if name in ("if", "ifnum", "ifx"):
            value = self._compared(expander, name)
        if value is False:
            self._skip(expander, to_else=True)
        else:
            self.open.append(value)

    def _compared(self, expander: Expander, name: str) -> bool | None:
        frame = expander.top()
        pattern = {"if": _CHARACTERS, "ifnum": _NUMBERS, "ifx": _COMPARED}[name]
        found = pattern.match(frame.scanner.text, frame.at)
        if found is None:
            return None
        if name == "if":
            left, right = (_character(expander.macros, written) for written in found.groups())
            if not left or right is None:
                return None
            frame.at = found.end() if left == right else found.start(2)  # which may be the \fi
            return left == right
        frame.at = found.end()
        if name == "ifx":
            return None
        left, right = int(found[1]), int(found[3])
        return {"<": left < right, "=": left == right, ">": left > right}[found[2]]

    def _else(self, expander: Expander, _: str) -> None:
        if self.open and self.open[-1] is True:
            self.open.pop()
            self._skip(expander, to_else=False)

    def _fi(self, *_: object) -> None:
        if self.open:
            self.open.pop()

    def _pass(self, *_: object) -> None:
        return

    def _skip(self, expander: Expander, *, to_else: bool) -> None:
        """Go on behind the matching \\fi, or \\else; where there is none in this text, nothing is skipped."""
        frame = expander.stack[-1]
        depth = 0
        for command in COMMAND.finditer(frame.scanner.text, frame.at) if self.unmatched < MOST_UNMATCHED else ():
            name = command[1] or command[2]
            if not depth and (name == "fi" or (name == "else" and to_else)):
                frame.at = command.end()
                self.open += [None] if name == "else" else []
                return
            depth += (name in self.values or name in UNKNOWN) - (name == "fi")
        self.unmatched += 1


def _character(macros: Macros, written: str) -> str | None:
    """The character that TeX compares: that which an own macro begins with, null where it is not known without
    running it, "" for a blank, a brace and LaTeX's own commands, which are no characters."""
    if not written.startswith("\\"):
        return written
    macro = macros.known.get(written[1:].rstrip())
    first = macro.body.lstrip()[:1] if macro else ""
    return None if macro and first in ("", "\\", "{", "}", "#") else first
