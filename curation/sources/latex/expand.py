"""Reading a text command by command: macros replaced by what they stand for, commands given to handlers."""

import re
from collections.abc import Callable

from curation.sources.latex.macros import Budget, Macros, expansion
from curation.sources.latex.scan import COMMAND, Scanner

DEEPEST = 200  # macros inside macros; TeX's own stacks are not much deeper
MOST_COMMANDS = 5_000_000  # in one text, more than 64 MiB of a real one has; what is behind them is not expanded


class Frame:
    """A text that is being read: a file (`file` is its name) or what a macro stands for."""

    def __init__(self, text: str, file: str | None = None, pieces: int = 0) -> None:
        self.scanner, self.at, self.file, self.pieces = Scanner(text), 0, file, pieces


class Expander:
    """A text, and the files and expansions that are read in between, on their way to one flat text.

    A handler gets the expander and the name of the command; it takes arguments from `top()`, and may emit text or push
    a frame that is read next. A command that has no handler and is no macro stays as it is.
    """

    def __init__(
        self, macros: Macros, budget: Budget, handlers: dict[str, Callable[["Expander", str], None]], all_macros: bool
    ) -> None:
        self.macros, self.budget, self.handlers, self.all_macros = macros, budget, handlers, all_macros
        self.stack: list[Frame] = []
        self.commands = 0
        self.pieces: list[str] = []

    def run(self, text: str, file: str | None = None) -> str:
        """The flat text."""
        self.push(text, file)
        while self.stack:
            frame = self.stack[-1]
            command = self._next(frame)
            if command is None:
                self.emit(frame.scanner.text[frame.at :])
                if self.stack and self.stack[-1] is frame:
                    self.stack.pop()
                continue
            self.emit(frame.scanner.text[frame.at : command.start()])
            frame.at = command.end()
            name = command[1] or command[2]
            handler = self.handlers.get(name)
            if handler:
                handler(self, name)
            else:
                self.expand(name, command[0])
        return "".join(self.pieces)

    def push(self, text: str, file: str | None = None) -> None:
        """Read this text before the rest of the present one."""
        self.stack.append(Frame(text, file, len(self.pieces)))

    def emit(self, text: str) -> None:
        """Add to the flat text."""
        if text:
            self.pieces.append(text)

    def top(self) -> Frame:
        """The text in which the arguments of the present command stand: a macro may end with a command that takes what
        follows the macro."""
        while len(self.stack) > 1 and self.stack[-1].file is None and self._is_done(self.stack[-1]):
            self.stack.pop()
        return self.stack[-1]

    def expand(self, name: str, written: str) -> None:
        """Read what a macro stands for next; where it cannot be had, the command stays as it is."""
        macro = self.macros.known.get(name)
        frame = self.top()
        found = expansion(macro, frame.scanner, frame.at) if macro else None
        if found is None or len(self.stack) >= DEEPEST or not self.budget.take(len(found[0])):
            self.emit(written)
            return
        frame.at = found[1]
        self.push(found[0])

    def _next(self, frame: Frame) -> re.Match | None:
        handlers, known = self.handlers, self.macros.known if self.budget.expansions else ()
        seen = 0
        for seen, command in enumerate(COMMAND.finditer(frame.scanner.text, frame.at)):
            name = command[1] or command[2]
            if name in handlers or (name in known and (self.all_macros or self.macros.is_structural(name))):
                self.commands += seen
                return command
            if self.commands + seen > MOST_COMMANDS:
                break
        self.commands += seen
        return None

    @staticmethod
    def _is_done(frame: Frame) -> bool:
        return not frame.scanner.text[frame.at : frame.at + 100].strip() and len(frame.scanner.text) - frame.at < 100
