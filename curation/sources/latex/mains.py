"""Which files of a package are papers: the main files, from which all others are included."""

import posixpath
import re

from curation.errors import BadItemError
from curation.sources.latex.source import clean, decode
from curation.sources.packages import Package

SOURCES = (".tex", ".ltx", ".latex")
LOOK_BYTES = 1 << 20  # of a file, to see what it is: a preamble is shorter
MOST_LOOKED = 500  # files of a package that are looked at
CLASS = re.compile(r"\\document(?:class|style)\s*+(?:\[[^\[\]]*+\]\s*+)?\{([^{}]{0,200})\}")
BEGIN = re.compile(r"\\begin\s*\{document\}")
INPUT = re.compile(r"\\(?:input|include)(?![A-Za-z])")
PARTS = frozenset(("subfiles", "standalone", "letter", "beamerposter"))  # classes of what is no paper by itself
LATEX = re.compile(
    r"\\(?:document(?:class|style)|begin\s*\{|input\b|magnification|baselineskip|centerline|section\b|def\\)"
)
README = re.compile(r"(?:.*/)?00README(?:\.XXX|\.txt|\.json|\.yaml)?$", re.IGNORECASE)
_TOP = re.compile(r"^[ \t]*+(\S++)[ \t]++toplevelfile[ \t\r]*+$", re.MULTILINE)  # 00README.XXX
_TOP_JSON = re.compile(
    r'"filename"\s*+:\s*+"([^"]+)"[^{}]{0,1000}"usage"\s*+:\s*+"toplevel"'
    r'|"usage"\s*+:\s*+"toplevel"[^{}]{0,1000}"filename"\s*+:\s*+"([^"]+)"'
)
_TOP_YAML = re.compile(
    r"filename:\s*+(\S{1,1000}+)\s++usage:\s*+toplevel|usage:\s*+toplevel\s++filename:\s*+(\S{1,1000}+)"
)


def is_main(data: bytes) -> bool:
    """Whether a file, seen from its start, is a whole document: of a class (which may stand in a file that it includes
    first), with a body, and no part of another."""
    text = clean(decode(data)[0])
    found, begin = CLASS.search(text), BEGIN.search(text)
    if not found:
        return bool(begin and INPUT.search(text, 0, begin.start()))
    return found[1].strip() not in PARTS and (begin is not None or len(data) >= LOOK_BYTES)


def mains(package: Package) -> list[str]:
    """The main files of a package, at least one.

    What arXiv's 00README calls top-level; else all whole documents that lie nearest to the top, as arXiv compiles them
    all; else, for plain TeX and parts, the largest source. Raises BadItemError `no_main_file` where no source is TeX,
    `withdrawn` where it only says so.
    """
    stated = _stated(package)
    if stated:
        return stated
    sources = [name for name in package.members if name.lower().endswith(SOURCES)]
    if not sources:
        sources = [name for name in package.members if "." not in posixpath.basename(name) or len(package.members) == 1]
    by_depth = sorted(sources, key=lambda name: (name.count("/"), -package.members[name], name))[:MOST_LOOKED]
    found: list[str] = []
    tex: list[str] = []
    for name in by_depth:
        if found and name.count("/") > found[0].count("/"):
            break
        head = package.head(name, LOOK_BYTES)
        if is_main(head):
            found.append(name)
        elif LATEX.search(decode(head)[0]):
            tex.append(name)
    if found:
        return sorted(found)
    if tex:
        return tex[:1]
    _check_withdrawn(package, by_depth)
    raise BadItemError("no_main_file", f"no LaTeX source among {sorted(package.members)[:10]}")


def _stated(package: Package) -> list[str]:
    found: list[str] = []
    for name in package.members:
        if README.fullmatch(name):
            text = package.head(name, LOOK_BYTES).decode("utf-8", "replace")
            groups = [_TOP.findall(text), *(map("".join, p.findall(text)) for p in (_TOP_JSON, _TOP_YAML))]
            named = [posixpath.join(posixpath.dirname(name), top) for group in groups for top in group]
            found += [top for top in named if top in package.members and top.lower().endswith(SOURCES)]
    return list(dict.fromkeys(found))


def _check_withdrawn(package: Package, names: list[str]) -> None:
    for name in names[:1]:
        head = package.head(name, 1000)
        if b"%auto-ignore" in head:
            raise BadItemError("withdrawn", head.decode("utf-8", "replace"))
        if head.startswith((b"%!", b"%PDF")):
            raise BadItemError("no_main_file", f"{name} is PostScript or PDF, not its source")
