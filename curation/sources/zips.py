"""Zip files made by anyone: their members, each looked at before a byte of it is unpacked.

Format: PKWARE APPNOTE 6.3.10. The standard library reads the members; what it does not check is checked here: how much
of a directory it would load, encryption, links, and members that share their bytes.
"""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from curation.errors import BadItemError
from curation.sources.found import Reject

STARTS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")  # a member, the end of an empty zip, a split zip
END, END_BYTES = b"PK\x05\x06", 22
COMMENT_BYTES = 65_535  # the longest comment that may follow the end record
LOCATOR, LOCATOR_BYTES = b"PK\x06\x07", 20  # of the zip64 end record, just before the end record
END_64, END_64_BYTES = b"PK\x06\x06", 56
ENTRY_BYTES = 46  # of an entry of the directory, less its name
NAME_BYTES = 1024  # assumption: no entry of an honest archive needs more for its name and its extra fields
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # of others the standard library unpacks a piece without bound
# What the standard library raises on damaged files.
DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, ValueError, OverflowError)
READ_BYTES = 1 << 20


def open_zip(file: BinaryIO, most: int) -> tuple[zipfile.ZipFile, list[zipfile.ZipInfo], list[Reject]]:
    """An open zip, its sound members in their order, and a reject for each other one.

    Rejects: `encrypted`, `not_a_file` (a link or a device), `overlapping` (bytes shared with another member),
    `not_supported` (packed by another method than deflate), `too_many_members` for what comes after the first `most`.
    Raises BadItemError `bad_zip` where there is no directory, `too_many_members` where it is beyond all measure.
    """
    wanted = _directory_bytes(file)
    if wanted > most * (ENTRY_BYTES + NAME_BYTES):
        raise BadItemError("too_many_members", f"a directory of {wanted} bytes for at most {most} members")
    try:
        archive = zipfile.ZipFile(file)
    except DAMAGED as error:
        raise BadItemError("bad_zip", str(error)) from error
    entries = archive.infolist()
    shared, sound, rejects = _shared(entries), [], []
    if len(entries) > most:
        rejects.append(Reject("", "too_many_members", f"{len(entries)}, at most {most} are read"))
    for entry in entries[:most]:
        fault = _fault(entry, shared)
        if fault:
            rejects.append(Reject(entry.filename, *fault))
        elif not entry.is_dir():
            sound.append(entry)
    return archive, sound, rejects


def pieces(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """The unpacked bytes of a member, some at a time. Raises BadItemError `corrupt_member`."""
    try:
        with archive.open(entry) as member:
            while data := member.read(READ_BYTES):
                yield data
    except (*DAMAGED, RuntimeError) as error:  # RuntimeError: encrypted, where only the member's own header says so
        raise BadItemError("corrupt_member", f"{entry.filename}: {error}") from error


def _directory_bytes(file: BinaryIO) -> int:
    """How long the directory says it is, before anything of it is loaded."""
    size = file.seek(0, 2)
    start = max(0, size - COMMENT_BYTES - END_BYTES - LOCATOR_BYTES - END_64_BYTES)
    file.seek(start)
    tail = file.read(size - start)
    place = tail.rfind(END)
    if place < 0 or place + END_BYTES > len(tail):
        raise BadItemError("bad_zip", "no directory at its end")
    found = struct.unpack_from("<I", tail, place + 12)[0]
    before = tail[max(0, place - LOCATOR_BYTES - END_64_BYTES) : place]  # where the standard library looks for zip64
    if before[-LOCATOR_BYTES:].startswith(LOCATOR) and before.startswith(END_64):
        found = max(struct.unpack_from("<Q", before, 40)[0], found if found != 0xFFFFFFFF else 0)
    return found


def _shared(entries: list[zipfile.ZipInfo]) -> set[int]:
    """The identities of the entries whose bytes begin before the end of others, or end after the start of others."""
    spans = sorted((e.header_offset, e.header_offset + 30 + len(e.filename) + e.compress_size, id(e)) for e in entries)
    shared, end, last = set(), 0, None
    for start, stop, entry in spans:
        if start < end:
            shared |= {entry, last}
        if stop > end:
            end, last = stop, entry
    return shared


def _fault(entry: zipfile.ZipInfo, shared: set[int]) -> tuple[str, str] | None:
    if entry.flag_bits & 0x1:
        return "encrypted", "its bytes can only be read with a password"
    kind = stat.S_IFMT(entry.external_attr >> 16)  # where it was made on Unix, else 0
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "not_a_file", "symbolic_link" if kind == stat.S_IFLNK else f"kind {kind:o}"
    if id(entry) in shared:
        return "overlapping", f"its {entry.compress_size} bytes from {entry.header_offset} on belong to others as well"
    if entry.compress_type not in METHODS:
        return "not_supported", f"packed by method {entry.compress_type}"
    return None
