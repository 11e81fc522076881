"""Sources: one reader per kind, and how files are told apart. A new kind is one module and one line here."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import fsspec
import pyarrow as pa

from curation.errors import RecipeError, unknown
from curation.files import absolute, local_path
from curation.sources import crawl, jats, latex, tables, tars

HIDDEN = re.compile(r"(?:^|/)(?:\.|_temporary/|_SUCCESS$)")  # what Hadoop and editors leave in folders


class Source(NamedTuple):
    """A kind of source.

    `read(uri, images, *, settings...)` gives its record batches. A name that ends in one of `suffixes`, lower-case, may
    be of this kind; `looks(uri)` says from the content whether it is, or null where that cannot be told. Where it is a
    `guess` from the beginning of the file, KIND given by the user is more than that.
    """

    read: Callable[..., Iterator[pa.RecordBatch]]
    suffixes: tuple[str, ...]
    looks: Callable[[str], bool | None] | None = None
    guess: bool = False


SOURCES: dict[str, Source] = {
    "crawl": Source(crawl.read, crawl.SUFFIXES),
    "jats": Source(jats.read, jats.SUFFIXES, jats.looks),
    "latex": Source(latex.read, latex.SUFFIXES, latex.looks),
    "table": Source(tables.read, tables.SUFFIXES, tables.looks),
    "tar": Source(tars.read, tars.SUFFIXES, tars.looks, guess=True),
}


def expand(sources: list[str], kind: str | None = None) -> list[tuple[str, str]]:
    """The files to read, each once, with their kind: (URI, kind) in the order given, folders and globs sorted.

    Folders are searched to any depth; files of no known kind in them are passed over. Raises RecipeError, before any
    work, for an unknown KIND, a source that is not there, and one that holds nothing of a known kind.
    """
    if kind is not None and kind not in SOURCES:
        raise unknown("kind", [kind], SOURCES, "ingest")
    found: dict[str, str] = {}
    for source in sources:
        pairs = list(_expanded(source, kind))
        if not pairs:
            wanted = {kind: SOURCES[kind]} if kind else SOURCES
            known = "; ".join(f"{name} {' '.join(each.suffixes)}" for name, each in wanted.items())
            raise RecipeError(f"{source}: no file of a kind that can be told from its name and content; known: {known}")
        for uri, its_kind in pairs:
            found.setdefault(uri, its_kind)
    return list(found.items())


def _expanded(source: str, kind: str | None) -> Iterator[tuple[str, str]]:
    file_system, path = fsspec.core.url_to_fs(source if local_path(source) else absolute(source))
    if file_system.isfile(path):
        its_kind = kind or kind_of(_uri(file_system, path))
        yield from [(_uri(file_system, path), its_kind)] if its_kind else []
        return
    tops = [path] if file_system.isdir(path) else sorted(file_system.glob(path)) if re.search(r"[*?\[]", path) else []
    if not tops:
        raise RecipeError(f"{source}: no such file or folder, and no file matches it")
    for top in tops:
        inside = sorted(file_system.find(top)) if file_system.isdir(top) else [top]
        for file in inside:
            uri = _uri(file_system, file)
            name = file[len(top) :].lstrip("/") or file.rpartition("/")[2]
            its_kind = None if HIDDEN.search(name) else kind_of(uri, kind)
            if its_kind:
                yield uri, its_kind


def kind_of(uri: str, kind: str | None = None) -> str | None:
    """The kind of a file by its name and, where that is not enough, by its content; null for none.

    The longest suffix that a name ends in tells, unless the content says otherwise. With KIND, that kind or null.
    """
    name = uri.lower()
    longest: dict[str, int] = {}
    for each in [kind] if kind else SOURCES:
        longest[each] = max((len(suffix) for suffix in SOURCES[each].suffixes if name.endswith(suffix)), default=0)
    for length in sorted(set(longest.values()) - {0}, reverse=True):
        claims = [each for each in longest if longest[each] == length]
        looks = {each: SOURCES[each].looks(uri) if SOURCES[each].looks else None for each in claims}
        sure = [each for each, is_so in looks.items() if is_so]
        possible = [each for each, is_so in looks.items() if is_so is None or (kind and SOURCES[each].guess)]
        if sure or possible:
            return (sure + possible)[0]
    return None


def _uri(file_system: fsspec.AbstractFileSystem, path: str) -> str:
    is_local = "file" in (file_system.protocol if isinstance(file_system.protocol, tuple) else (file_system.protocol,))
    return path if is_local else file_system.unstrip_protocol(path)
