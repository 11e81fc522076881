"""File lists of PubMed Central's Open Access subset: a path, a citation, ids and a licence for each package.

`oa_file_list.csv` and its parts have a header, `oa_file_list.txt` begins with a date and has tabs; in both the path is
the first column, relative to the folder of the list.
"""

import csv
import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from curation.errors import BadItemError
from curation.files import local_path
from curation.sources.found import Reject
from curation.sources.lines import open_text
from curation.sources.pictures import is_file

SUFFIXES = ("file_list.csv", "file_list.txt", "filelist.csv", "filelist.txt")
LINE_CHARS = 64 << 10  # assumption: citations are far shorter
PATH = re.compile(r"[\w./ -]+\.(?:tar\.gz|tgz|zip|n?xml)", re.IGNORECASE)
LOOK_LINES = 3  # a date, a header, a row
LICENSE, RETRACTED = "license", "retracted"  # columns by their names, as all are, in lower case


class Listed(NamedTuple):
    """A package of a list: where it is, what the list calls it, and the licence and retraction that the list states."""

    uri: str
    path: str
    license: str | None
    retracted: str | None


def looks_like_list(uri: str) -> bool:
    """Whether the first lines of a file are those of such a list."""
    with open_text(uri) as file:
        lines = [file.readline(LINE_CHARS) for _ in range(LOOK_LINES)]
    return any(PATH.fullmatch(fields[0]) for fields in map(_fields, lines) if len(fields) > 1)


def listed(uri: str, root: str | None) -> Iterator[Listed | Reject]:
    """The packages of a list; relative to `root`, else to its own folder, and never outside of it.

    Rejects: `missing_file`, `outside_root`, `bad_row`.
    """
    root = (root or uri.rpartition("/")[0] or ".").rstrip("/")
    columns: list[str] = []
    with open_text(uri) as file:
        while line := file.readline(LINE_CHARS):
            fields = _fields(line)
            if not PATH.fullmatch(fields[0]):
                columns = columns or [name.strip().lower() for name in fields if len(fields) > 1]
                if columns and [name.strip().lower() for name in fields] != columns:
                    yield Reject(fields[0][:200], "bad_row", "no path of a package")
                continue
            row = dict(zip(columns, fields))
            stated = row.get(LICENSE) or (fields[-1] if not columns and len(fields) > 3 else None)
            try:
                yield Listed(_inside(root, fields[0]), fields[0], stated, row.get(RETRACTED))
            except BadItemError as error:
                yield Reject(fields[0], error.code, error.detail)


def _fields(line: str) -> list[str]:
    line = line.strip("\r\n")
    if "\t" in line:
        return line.split("\t")
    try:
        return next(csv.reader([line.replace("\0", "")]), None) or [""]
    except csv.Error:
        return [line]


def _inside(root: str, path: str) -> str:
    if path.startswith("/") or ".." in path.split("/"):
        raise BadItemError("outside_root", f"leads out of {root}")
    uri = f"{root}/{path}"
    if not is_file(uri):
        raise BadItemError("missing_file", uri)
    local = local_path(uri)
    if local is not None and not os.path.realpath(local).startswith(os.path.realpath(local_path(root)) + "/"):
        raise BadItemError("outside_root", f"leads out of {root}")
    return uri
