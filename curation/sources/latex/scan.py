"""The few rules of TeX's syntax that are needed to read a source without running it: commands, groups, options.

All functions take a text and a position and look no further than a limit, so that a brace that is never closed costs
little wherever it stands.
"""

import re
from collections.abc import Iterator

# A control word with the star that often belongs to it, or a control symbol.
COMMAND = re.compile(r"\\(?:([A-Za-z@]+)|(.))", re.DOTALL)
ARGUMENT_CHARS = 64 << 10  # assumption: no caption and no macro is longer; what is, is taken for an unclosed brace
OPTION_CHARS = 4 << 10  # assumption, as above: options are short
UNCLOSED = 1000  # unclosed braces after which no more than CLOSE_BY characters are searched for the next ones
CLOSE_BY = 256
SPACE = re.compile(r"[ \t]*\n?[ \t]*")  # what may stand before an argument; an empty line may not
_STAR = re.compile(r"\*?(?:<[\w,.|+-]{1,40}>)?")
_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
_OPTION = re.compile(r"\\.|[{}\]]", re.DOTALL)


def names(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


class Scanner:
    """A text, and how often a brace in it was not closed, which bounds the time spent on searching for ends."""

    def __init__(self, text: str) -> None:
        self.text, self.unclosed = text, 0

    def skip(self, at: int) -> int:
        """The position behind blanks and at most one line end."""
        return SPACE.match(self.text, at).end()

    def star(self, at: int) -> int:
        """The position behind a star, where one stands there, or behind the slides that beamer's commands name."""
        return _STAR.match(self.text, at).end()

    def group(self, at: int, limit: int = ARGUMENT_CHARS) -> tuple[str, int] | None:
        """The content of the group `{...}` that begins at `at`, blanks skipped, and the position behind it."""
        at = self.skip(at)
        return self._closed(_BRACES, at, limit) if self.text.startswith("{", at) else None

    def option(self, at: int) -> tuple[str | None, int]:
        """The content of the option `[...]` that begins at `at`, null where none does, and the position behind it."""
        start = self.skip(at)
        found = self._closed(_OPTION, start, OPTION_CHARS) if self.text.startswith("[", start) else None
        return found or (None, at)

    def options(self, at: int) -> tuple[list[str], int]:
        """All options that stand at `at` one after another, and the position behind them."""
        found: list[str] = []
        while True:
            option, end = self.option(at)
            if option is None:
                return found, at
            found, at = [*found, option], end

    def argument(self, at: int) -> tuple[str, int] | None:
        """A group, or else the single command or character that TeX takes for an argument."""
        at = self.skip(at)
        if self.text.startswith("{", at):
            return self.group(at)
        command = COMMAND.match(self.text, at)
        end = command.end() if command else at + 1
        return (self.text[at:end], end) if self.text[at:end].strip("}") else None

    def _closed(self, marks: re.Pattern[str], at: int, limit: int) -> tuple[str, int] | None:
        limit = limit if self.unclosed < UNCLOSED else min(limit, CLOSE_BY)
        depth = 0 if marks is _OPTION else -1
        for mark in marks.finditer(self.text, at + 1 + depth, at + limit):
            if mark[0] == "{":
                depth += 1
            elif mark[0] == "}" and depth:
                depth -= 1
            elif mark[0] in "}]" and not depth:
                if (mark[0] == "]") == (marks is _OPTION):
                    return self.text[at + 1 : mark.start()], mark.end()
                break  # an option ends with the group around it
        self.unclosed += 1
        return None


def commands(text: str) -> Iterator[tuple[str, int, int]]:
    """Name, start and end of every command of a text."""
    for found in COMMAND.finditer(text):
        yield found[1] or found[2], found.start(), found.end()
