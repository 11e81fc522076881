"""File names as they stand in a source, and the files of the package that they mean."""

import posixpath
import re
from collections.abc import Iterable

from curation.errors import BadItemError
from curation.sources.latex.conditions import Conditions
from curation.sources.latex.expand import Expander
from curation.sources.latex.macros import Budget, Macros

NAME_EXPANSIONS, NAME_CHARS = 100, 2000  # assumption: names are made of a folder or two
_WRAPPED = re.compile(r"\\(?:string|detokenize|protect|unexpanded|expandafter|noexpand)(?![A-Za-z])")
_QUOTES = str.maketrans("", "", "\"{}\n\t'")


class Names:
    """The names of a package's files, in which a name is also found where only its case differs."""

    def __init__(self, members: Iterable[str]) -> None:
        self.exact = set(members)
        self.folded: dict[str, str] = {}
        for name in members:
            self.folded.setdefault(name.lower(), name)

    def find(self, written: str, folders: Iterable[str], extensions: Iterable[str]) -> str:
        """The file that is meant: in the first folder that has it, with the first extension that is there.

        Raises BadItemError `outside_package` where the name leads out of the package in all folders, else
        `missing_file`.
        """
        paths = [path for folder in folders if (path := _inside(posixpath.join(folder, written))) is not None]
        if not paths:
            raise BadItemError("outside_package", written[:200])
        candidates = [path + extension for path in paths for extension in extensions]
        exact = (name for name in candidates if name in self.exact)
        folded = (self.folded[name.lower()] for name in candidates if name.lower() in self.folded)
        name = next(exact, None) or next(folded, None)
        if name is None:
            raise BadItemError("missing_file", written[:200])
        return name


def plain_name(written: str, macros: Macros, switches: dict[str, bool]) -> str:
    """A file or folder name as TeX would ask for it: macros expanded, braces and quotes removed."""
    text = written
    if "\\" in text:
        text = _WRAPPED.sub("", text)
        budget = Budget(NAME_EXPANSIONS, NAME_CHARS)
        text = Expander(macros, budget, Conditions(switches).handlers, all_macros=True).run(text)
        text = re.sub(r"\\space(?![A-Za-z])\s*", " ", text)
        text = re.sub(r"\\([_#&%~ ])", r"\1", text)
        text = text[:1] + text[1:].replace("\\", "/")  # as written on Windows
    return text.translate(_QUOTES).strip().replace("~", " ")


def _inside(path: str) -> str | None:
    """A relative path without dots and double slashes, null where it leads out of the package."""
    if path.startswith("/"):
        return None
    normal = posixpath.normpath(path)
    return None if normal == ".." or normal.startswith("../") else normal
