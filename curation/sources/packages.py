"""Packages of files: a folder, a tar (also packed), a zip or a single file, read by name and never extracted.

    with open_package(uri) as package:
        for name in package.members:               # safe relative names with slashes, in the order of the archive
            data = package.read(name, 20 << 20)    # BadItemError where it is larger, cut or damaged
        package.rejects                            # what is no member: links, devices, bad names, too many, ...

Names are only names: nothing is written under them. Whatever is read from a packed package counts against a budget, so
that no package can unpack to more than `Limits` says.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

import fsspec

from curation.errors import BadItemError
from curation.files import local_path
from curation.shards.walk import BLOCK, NUL_BLOCK, Member, checksum, read_members
from curation.sources.folders import list_folder
from curation.sources.found import Reject
from curation.sources.packing import UNPACKED_BYTES, packing, unpacked, unpacking
from curation.sources.zips import STARTS, open_zip, pieces

PACKED = (".gz", ".zst")  # endings that a single packed file loses
ARCHIVES = (".zip", ".meca", ".tar", ".tar.gz", ".tgz", ".tar.zst")
NAME_CHARS = 1024  # assumption: paths are no longer, on any file system in use
SHOWN_CHARS = 200  # of a name in a reject
READ_BYTES = 1 << 20
SAFE_KINDS = ("file", "directory")


class Limits(NamedTuple):
    """The most that a package may hold; each is inclusive."""

    members: int = 10_000  # of any kind, as folders and links; our choice, far above any paper's
    unpacked: int = 1 << 30  # bytes that may be read from a packed package; our choice
    ratio: int = 200  # and as a multiple of its own bytes, with UNPACKED_BYTES always allowed; as for other sources
    nesting: int = 1  # packages inside packages: a tar of tars is one, as bulk downloads of papers are


LIMITS = Limits()


class Package(NamedTuple):
    """An open package. `members`: bytes of each file by name; `pointer(name)`: its raw byte range, where it has one."""

    uri: str
    members: dict[str, int]
    rejects: list[Reject]
    pieces: Callable[[str], Iterator[bytes]]
    pointer: Callable[[str], dict[str, Any] | None]
    nesting: int = 0
    single: bool = False  # whether it is a file by itself, no archive

    def read(self, name: str, most: int) -> bytes:
        """A whole member. Raises BadItemError `too_large` above `most` bytes, and what `head` raises."""
        if self.members[name] > most:
            raise BadItemError("too_large", f"{name} of {self.members[name]} bytes, at most {most} are read")
        data = self.head(name, most + 1)
        if len(data) > most:
            raise BadItemError("too_large", f"{name} unpacks to more than {most} bytes")
        return data

    def head(self, name: str, most: int) -> bytes:
        """The first `most` bytes of a member. Raises BadItemError `truncated_member`, `corrupt_member`, `too_large`."""
        parts, size = [], 0
        for part in self.pieces(name):
            parts.append(part)
            size += len(part)
            if size >= most:
                break
        return b"".join(parts)[:most]


@contextlib.contextmanager
def open_package(uri: str, limits: Limits = LIMITS) -> Iterator[Package]:
    """Open a folder, an archive or a single file (packed or not, then under its own name) as a package.

    Raises BadItemError `bad_zip`, `too_large` (unpacks to too much), `too_many_members` (a zip beyond all measure). A
    tar is read up to its first fault, which is the last of `rejects` with item "": `truncated_tar`, `bad_tar`,
    `too_many_members`.
    """
    path = local_path(uri)
    with contextlib.ExitStack() as stack:
        if path is not None and os.path.isdir(path):
            yield _folder(path, limits)
        else:
            yield _opened(stack.enter_context(fsspec.open(uri, "rb")), uri, limits, stack, 0)


@contextlib.contextmanager
def open_nested(package: Package, name: str, limits: Limits = LIMITS) -> Iterator[Package]:
    """Open a member that is itself an archive. Raises as `open_package`, and `nested_archive` where it is too deep."""
    nesting = package.nesting + 1
    if nesting > limits.nesting:
        raise BadItemError("nested_archive", f"{name} is {nesting} deep, at most {limits.nesting} are opened")
    parts = package.pieces(name)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(unpacked(lambda _: next(parts, b""), limits.unpacked))
        yield _opened(file, f"{package.uri}/{name}", limits, stack, nesting)


def is_archive(name: str) -> bool:
    """Whether a name is that of an archive.

    >>> is_archive("a/b.TAR.GZ"), is_archive("b.gz")
    (True, False)
    """
    return name.lower().endswith(ARCHIVES)


def safe_name(raw: str) -> str:
    """A member's name as a relative path with slashes. Raises BadItemError `bad_name` where it is none.

    >>> safe_name("./a//b.xml"), safe_name("a\\\\b.xml")
    ('a/b.xml', 'a/b.xml')
    """
    name = raw.replace("\\", "/")
    if len(name) > NAME_CHARS:
        raise BadItemError("bad_name", f"{len(name)} characters, at most {NAME_CHARS}")
    if name.startswith("/") or name[1:2] == ":":
        raise BadItemError("bad_name", "an absolute path")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in name or not parts:
        raise BadItemError("bad_name", "leads out of the archive" if ".." in parts else "no name")
    return "/".join(parts)


def _opened(file: BinaryIO, uri: str, limits: Limits, stack: contextlib.ExitStack, nesting: int) -> Package:
    packed, size = packing(file), file.seek(0, 2)
    most = min(limits.unpacked, max(UNPACKED_BYTES, limits.ratio * size))
    file.seek(0)
    if packed:
        file = stack.enter_context(unpacked(unpacking(file, packed).read1, most))
    raw = None if packed or nesting else uri
    if file.read(4) in STARTS:
        return _zip(file, uri, limits, most, nesting)
    file.seek(0)
    if _is_tar(file.read(BLOCK)):
        return _tar(file, uri, limits, raw, nesting)
    name = uri.rpartition("/")[2] or "file"
    name = name[: -len(name.rpartition(".")[2]) - 1] if packed and name.lower().endswith(PACKED) else name
    return _windows(file, uri, [Member(name, 0, file.seek(0, 2))], [], raw, nesting)._replace(single=True)


def _is_tar(block: bytes) -> bool:
    if len(block) < BLOCK or block == NUL_BLOCK or block[257:262] == b"ustar":
        return len(block) == BLOCK
    digits = block[148:156].strip(b"\0 ")
    return digits.isdigit() and not digits.strip(b"01234567") and int(digits, 8) == checksum(block)


def _tar(file: BinaryIO, uri: str, limits: Limits, raw: str | None, nesting: int) -> Package:
    found: list[Member] = []
    skipped: list[Member] = []
    fault = []
    try:
        found.extend(read_members(file, skipped, limits.members))
    except BadItemError as error:
        fault.append(Reject("", error.code, error.detail))
    rejects = [Reject(m.name[:SHOWN_CHARS], "not_a_file", m.kind) for m in skipped if m.kind not in SAFE_KINDS]
    size = file.seek(0, 2)
    if found and found[-1].offset + found[-1].bytes > size:
        cut = found.pop()
        rejects.append(Reject(cut.name[:SHOWN_CHARS], "truncated_member", f"of {cut.bytes} bytes the last are missing"))
    return _windows(file, uri, found, rejects + fault, raw, nesting)


def _windows(
    file: BinaryIO, uri: str, found: list[Member], rejects: list[Reject], raw: str | None, nesting: int
) -> Package:
    """A package whose members are byte ranges of an open file; of the file at `raw` itself, where that is not null."""
    members, bad = _named([(member.name, member) for member in found])

    def pieces(name: str) -> Iterator[bytes]:
        start, left = members[name].offset, members[name].bytes
        while left:
            file.seek(start)  # each time, for another member may be read between
            data = file.read(min(left, READ_BYTES))
            if not data:
                raise BadItemError("truncated_member", f"{name}: {left} of {members[name].bytes} bytes are missing")
            start, left = start + len(data), left - len(data)
            yield data

    def pointer(name: str) -> dict[str, Any] | None:
        return {"uri": raw, "offset": members[name].offset, "length": members[name].bytes} if raw else None

    sizes = {name: member.bytes for name, member in members.items()}
    return Package(uri, sizes, bad + rejects, pieces, pointer, nesting)


def _zip(file: BinaryIO, uri: str, limits: Limits, most: int, nesting: int) -> Package:
    archive, entries, rejects = open_zip(file, limits.members)
    members, bad = _named([(entry.filename, entry) for entry in entries])
    spent = [0]

    def counted(name: str) -> Iterator[bytes]:
        for data in pieces(archive, members[name]):
            spent[0] += len(data)
            if spent[0] > most:
                raise BadItemError("too_large", f"{name}: the archive unpacks to more than {most} bytes")
            yield data

    sizes = {name: entry.file_size for name, entry in members.items()}
    rejects = [reject._replace(item=reject.item[:SHOWN_CHARS]) for reject in rejects]
    return Package(uri, sizes, bad + rejects, counted, lambda name: None, nesting)


def _named(found: list[tuple[str, Any]]) -> tuple[dict[str, Any], list[Reject]]:
    """The members by safe name, the first of each, and a reject for each other."""
    members: dict[str, Any] = {}
    rejects = []
    for raw, member in found:
        try:
            name = safe_name(raw)
        except BadItemError as error:
            rejects.append(Reject(raw[:SHOWN_CHARS], error.code, error.detail))
            continue
        if name in members:
            rejects.append(Reject(name, "duplicate_member"))
        members.setdefault(name, member)
    return members, rejects


def _folder(path: str, limits: Limits) -> Package:
    members, rejects = list_folder(path, limits.members)

    def pieces(name: str) -> Iterator[bytes]:
        with open(os.path.join(path, name), "rb") as file:
            while data := file.read(READ_BYTES):
                yield data

    def pointer(name: str) -> dict[str, Any]:
        return {"uri": os.path.join(path, name), "offset": 0, "length": None}

    return Package(path, members, rejects, pieces, pointer)
