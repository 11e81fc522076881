"""A paper's files as one text: what it includes put in its place, own macros that lead to figures expanded.

Nothing outside the package is read: a name is only looked up among the package's own.
"""

import posixpath
import re
from collections.abc import Callable
from typing import NamedTuple

from curation.errors import BadItemError
from curation.sources.found import Reject
from curation.sources.latex.conditions import Conditions
from curation.sources.latex.expand import Expander, Frame
from curation.sources.latex.macros import DEFINING, Budget, Macros, definition, definitions
from curation.sources.latex.names import Names, plain_name
from curation.sources.latex.source import clean, decode
from curation.sources.latex.words import IMPORTS, INCLUDES
from curation.sources.packages import Package

MOST_FILES = 2_000  # per paper, included ones; our choice, as the next two
MOST_DEPTH = 20  # files inside files
MOST_CHARS = 64 << 20  # of the files and of all that macros stand for
MOST_EXPANSIONS = 20_000  # assumption: real papers need under 1,000
PREAMBLE_CHARS = 256 << 10  # kept to look for a title and a licence
TEX = (".tex", ".ltx", ".latex", "")
_BARE = re.compile(r"(?:\\[A-Za-z]+)?[^\s{}\\%#]+")  # \input without braces
_PATHS = re.compile(r"\{([^{}]*)\}")


class Flat(NamedTuple):
    """A paper as one text: `body` between the marks of the document, `preamble` before ("" where there are no marks, as
    in plain TeX), what its macros and switches are, the `folders` of \\graphicspath, the `places` of the files that it
    includes, and what could not be included."""

    body: str
    preamble: str
    macros: Macros
    switches: dict[str, bool]
    folders: list[str]
    places: list[str]
    rejects: list[Reject]


def flatten(package: Package, names: Names, main: str) -> Flat:
    """The paper whose main file is the member `main`. Raises BadItemError where that cannot be read."""
    flattener = _Flattener(package, names, main)
    text = flattener.read(main)
    body = flattener.expander.run(text, main)
    return Flat(
        body,
        (flattener.preamble or "")[:PREAMBLE_CHARS],
        flattener.macros,
        flattener.conditions.values,
        flattener.folders,
        sorted({posixpath.dirname(name) for name in flattener.seen}),
        flattener.rejects,
    )


class _Flattener:
    """The handlers of all commands that change which text follows, and what they need to know."""

    def __init__(self, package: Package, names: Names, main: str) -> None:
        self.package, self.names, self.main = package, names, main
        self.macros, self.conditions = Macros(), Conditions()
        self.budget = Budget(MOST_EXPANSIONS, MOST_CHARS)
        self.folders: list[str] = []  # of \graphicspath, the last given first
        self.imported = [""]  # of \import, the innermost last
        self.seen = {main}
        self.verbatim: set[str] = set()
        self.encoding: str | None = None
        self.preamble: str | None = None
        self.rejects: list[Reject] = []
        handlers: dict[str, Callable[[Expander, str], None]] = {
            **dict.fromkeys(DEFINING, self._define),
            **dict.fromkeys(INCLUDES, self._include),
            **dict.fromkeys(IMPORTS, self._import),
            **dict.fromkeys(("usepackage", "RequirePackage"), self._use),
            **{"graphicspath": self._path, "begin": self._begin, "end": self._end, "endinput": self._endinput},
        }
        self.conditions.handlers |= handlers
        self.expander = Expander(self.macros, self.budget, self.conditions.handlers, all_macros=False)

    def read(self, name: str) -> str:
        """The clean text of a file. Raises BadItemError `too_large`, and what reading the package raises."""
        data = self.package.read(name, min(MOST_CHARS, self.budget.chars))
        self.budget.chars -= len(data)
        raw, declared = decode(data, self.encoding)
        self.encoding = self.encoding or declared
        return clean(raw, self.verbatim)

    def _define(self, expander: Expander, name: str) -> None:
        frame = expander.top()
        found = definition(frame.scanner, name, frame.at)
        if found:
            self.macros.define(found[0])
            frame.at = found[1]

    def _argument(self, frame: Frame) -> str | None:
        found = frame.scanner.group(frame.at, 1000)
        if found:
            frame.at = found[1]
            return found[0]
        bare = _BARE.match(frame.scanner.text, frame.scanner.skip(frame.at))
        if bare:
            frame.at = bare.end()
        return bare and bare[0]

    def _include(self, expander: Expander, command: str) -> None:
        written = self._argument(expander.top())
        if written:
            self._push(expander, command, "", written)

    def _import(self, expander: Expander, command: str) -> None:
        frame = expander.top()
        frame.at = frame.scanner.star(frame.at)
        folder = frame.scanner.group(frame.at, 1000)
        file = frame.scanner.group(folder[1], 1000) if folder else None
        if file:
            frame.at = file[1]
            self._push(expander, command, folder[0], file[0])

    def _push(self, expander: Expander, command: str, folder: str, written: str) -> None:
        if len(self.rejects) > MOST_FILES:
            return
        shown = f"\\{command}{{{folder and folder + '/'}{written}}}"[:200]
        folder, file = (plain_name(text, self.macros, self.conditions.values) for text in (folder, written))
        open_files = [frame.file for frame in expander.stack if frame.file is not None]
        inside = [posixpath.dirname(open_files[-1]), *reversed(self.imported[-3:])] if open_files else []
        places = [posixpath.join(place, folder) for place in (posixpath.dirname(self.main), "", *inside)]
        try:
            if len(self.rejects) == MOST_FILES:
                raise BadItemError("too_many_files", f"{MOST_FILES} could not be included; no more is")
            name = self.names.find(file, places, TEX)
            if name in self.seen:
                if name in open_files:
                    raise BadItemError("include_cycle", f"{name} is being read")
                return
            if len(open_files) >= MOST_DEPTH:
                raise BadItemError("too_deep", f"{name} is more than {MOST_DEPTH} files deep")
            if len(self.seen) >= MOST_FILES:
                raise BadItemError("too_many_files", f"more than {MOST_FILES}")
            self.seen.add(name)
            text = self.read(name)
        except BadItemError as error:
            self.rejects.append(Reject(shown, error.code, error.detail))
            return
        if folder:
            self.imported.append(posixpath.dirname(name))
        expander.push(text, name)

    def _use(self, expander: Expander, command: str) -> None:
        """Take the definitions of a style file that comes with the paper; the command stays, for some tell licences."""
        frame = expander.top()
        start = frame.at
        frame.at = frame.scanner.option(frame.at)[1]
        used = self._argument(frame)
        expander.emit(f"\\{command}{frame.scanner.text[start : frame.at]}")
        for written in (used or "").split(",")[:50]:
            try:
                name = self.names.find(written.strip(), [posixpath.dirname(self.main), ""], (".sty",))
                if name not in self.seen and len(self.seen) < MOST_FILES:
                    self.seen.add(name)
                    self.macros.define(definitions(self.read(name)))
            except BadItemError:
                continue  # a style file of TeX's own, as nearly all are

    def _path(self, expander: Expander, _: str) -> None:
        frame = expander.top()
        found = frame.scanner.group(frame.at)
        if found:
            frame.at = found[1]
            folders = _PATHS.findall(found[0]) or [found[0]]
            self.folders[:0] = [plain_name(text, self.macros, self.conditions.values) for text in folders[:100]]
            del self.folders[100:]

    def _begin(self, expander: Expander, _: str) -> None:
        frame = expander.top()
        found = frame.scanner.group(frame.at, 1000)
        name = found[0].strip() if found else ""
        if name == "document":
            frame.at = found[1]
            start = next((f.pieces for f in reversed(expander.stack) if f.file is not None), 0)
            if self.preamble is None:
                self.preamble = "".join(expander.pieces[start:])
            del expander.pieces[start:]
        elif f"begin {name}" in self.macros.known:
            frame.at = found[1]
            expander.expand(f"begin {name}", f"\\begin{{{name}}}")
        else:
            expander.emit("\\begin")

    def _end(self, expander: Expander, _: str) -> None:
        frame = expander.top()
        found = frame.scanner.group(frame.at, 1000)
        name = found[0].strip() if found else ""
        if name == "document":
            self._endinput(expander, name)
        elif f"end {name}" in self.macros.known:
            frame.at = found[1]
            expander.expand(f"end {name}", f"\\end{{{name}}}")
        else:
            expander.emit("\\end")

    def _endinput(self, expander: Expander, _: str) -> None:
        """Read no more of the present file."""
        while expander.stack and expander.stack[-1].file is None:
            expander.stack.pop()
        if expander.stack:
            frame = expander.stack[-1]
            frame.at = len(frame.scanner.text)
