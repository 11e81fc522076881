"""Reading tar archives made by anyone: a walk over the headers that never extracts and never seeks backwards.

Format: POSIX.1-2017, pax; GNU long names and base-256 numbers as in the GNU tar manual, "Basic Tar Format".
Understands ustar, pax (also global), GNU long names and base-256 numbers. Sparse files are skipped: their bytes do not
lie in one piece.
"""

import mmap
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from curation.errors import BadItemError, RecipeError

BLOCK = 512  # POSIX ustar: headers and data are padded to blocks of 512 bytes
NUL_BLOCK = bytes(BLOCK)
PADDING_BYTES = 1 << 20  # assumption: no end mark is padded to more; GNU tar takes 10,240 bytes unless told otherwise
MAX_EXTENDED_BYTES = 1 << 20  # assumption: no honest name or pax header needs 1 MiB; bounds memory on hostile input
KINDS = {
    b"0": "file",
    b"\0": "file",  # archives older than POSIX
    b"7": "file",  # "contiguous", to be read as a regular file
    b"1": "hard_link",
    b"2": "symbolic_link",
    b"3": "character_device",
    b"4": "block_device",
    b"5": "directory",
    b"6": "fifo",
    b"S": "sparse_file",
}
TEXT_BYTES = 1 << 16  # read of a member that holds captions or a label
SPARSE = "GNU.sparse."  # how the keys of a sparse file's pax header begin
MAX_NAME_CHARS = 4096  # the longest path of Linux (PATH_MAX); bounds memory where many names are kept
NO_DATA = {"hard_link", "symbolic_link", "character_device", "block_device", "directory", "fifo"}


class Member(NamedTuple):
    """One member: `offset` and `bytes` of its data in the archive, `kind` as in KINDS (`file` unless skipped).

    A name above MAX_NAME_CHARS is cut, its kind `name_too_long`.
    """

    name: str
    offset: int
    bytes: int
    kind: str = "file"


def read_members(
    file: BinaryIO | mmap.mmap | bytes, skipped: list[Member] | None = None, most: int | None = None
) -> Iterator[Member]:
    """Yield the regular files of an archive in order; whatever else it holds is added to `skipped`.

    `file` is an open binary file that can seek forwards (also a gzip file), a memory map, or bytes. Names come as
    they stand in the archive (`..` and leading slashes too: never use one as a path); bytes that are not UTF-8
    are escaped. Archives joined by `cat` are read on, as by `tar --ignore-zeros`. What comes before a fault is yielded
    before it is raised: BadItemError `truncated_tar` where the file ends without its end mark (also where it was cut
    between two members), `bad_tar` for a wrong header, `too_many_members` where it holds more than `most` of any kind.
    An open file cannot say where it ends, so the member that was cut is itself yielded: compare the bytes read from it.
    """
    archive = _Archive(file)
    everywhere: dict[str, str] = {}
    position = seen = 0
    while True:
        position, extended, block = _extended(archive, position, everywhere)
        if block == NUL_BLOCK:
            position, everywhere = archive.next_header(position + BLOCK), {}
            if position is None:
                return
            continue
        if seen == most:
            raise BadItemError("too_many_members", f"more than {most}")
        seen += 1
        size = _size(block, extended, position)
        name, kind = _name(block, extended), _kind(block, extended)
        member = Member(name, position + BLOCK, size, kind)
        if len(name) > MAX_NAME_CHARS:
            member = member._replace(name=name[:MAX_NAME_CHARS], kind="name_too_long")
        position += BLOCK + (0 if kind in NO_DATA else size + -size % BLOCK)
        if member.kind == "file":
            archive.check_end(member)
            yield member
        elif skipped is not None:
            skipped.append(member)


class _Archive:
    """The bytes of an archive by position, whether it is a file or already in memory."""

    def __init__(self, file: BinaryIO | mmap.mmap | bytes) -> None:
        self.memory = file if isinstance(file, bytes | bytearray | memoryview | mmap.mmap) else None
        self.file = file if self.memory is None else None
        self.last: tuple[int, int, bytes] = (-1, 0, b"")  # place and size of the last read, and what it gave

    def read(self, position: int, size: int, what: str) -> bytes:
        found = self._at(position, size)
        if len(found) < size:
            raise BadItemError("truncated_tar", f"{what} at byte {position}: wanted {size} bytes, found {len(found)}")
        return found

    def _at(self, position: int, size: int) -> bytes:
        if self.memory is not None:
            return bytes(self.memory[position : position + size])
        if self.last[:2] != (position, size):  # to go back costs a packed file all that comes before
            self.file.seek(position)
            self.last = position, size, self.file.read(size)
        return self.last[2]

    def next_header(self, position: int) -> int | None:
        """Where another archive begins behind the first block of an end mark; null where none does."""
        for place in range(position, position + PADDING_BYTES, BLOCK):
            block = self._at(place, BLOCK)
            if block != NUL_BLOCK:
                break
        try:
            _check(block.ljust(BLOCK, b"\0"), place)
        except BadItemError:
            return None
        return place

    def check_end(self, member: Member) -> None:
        if self.memory is not None and member.offset + member.bytes > len(self.memory):
            found = len(self.memory) - member.offset
            raise BadItemError("truncated_tar", f"{member.name}: wanted {member.bytes} bytes, found {found}")


def _extended(archive: _Archive, position: int, everywhere: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    """Position and block of the next header that stands for a member, and what the headers before it say of it."""
    local: dict[str, str] = {}
    while True:
        block = archive.read(position, BLOCK, "header or end mark")
        if block == NUL_BLOCK:
            return position, local, block
        _check(block, position)
        kind = block[156:157]
        if kind not in (b"x", b"g", b"X", b"L", b"K"):
            return position, {**everywhere, **local}, block
        size = _number(block[124:136], position)
        if size > MAX_EXTENDED_BYTES:
            raise BadItemError("bad_tar", f"extended header of {size} bytes at byte {position}")
        data = archive.read(position + BLOCK, size, "extended header")
        if kind == b"L":
            local["path"] = _text(data.partition(b"\0")[0])
        elif kind != b"K":
            (everywhere if kind == b"g" else local).update(_pax(data, position))
        position += BLOCK + size + -size % BLOCK


def checksum(block: bytes | bytearray) -> int:
    """Sum of the 512 header bytes, the checksum field itself counted as blanks."""
    # Dropping the zeros first makes the sum about four times faster.
    return sum(block[:148].replace(b"\0", b"")) + sum(block[156:].replace(b"\0", b"")) + 8 * ord(" ")


def _check(block: bytes, position: int) -> None:
    wanted, found = _number(block[148:156], position), checksum(block)
    # Some old writers summed signed bytes; tar readers accept either.
    if wanted != found and wanted != found - 256 * sum(byte > 127 for byte in block):
        raise BadItemError("bad_tar", f"header at byte {position}: checksum {wanted}, but its bytes sum to {found}")


def _size(block: bytes, extended: dict[str, str], position: int) -> int:
    if "size" not in extended:
        return _number(block[124:136], position)
    if not (extended["size"].isascii() and extended["size"].isdigit() and len(extended["size"]) < 20):
        raise BadItemError("bad_tar", f"header at byte {position}: size {extended['size'][:40]!r} in its pax header")
    return int(extended["size"])


def _number(raw: bytes, position: int) -> int:
    if raw[0] == 0x80:  # GNU: base 256 for what 11 octal digits cannot hold
        return int.from_bytes(raw[1:], "big")
    digits = raw.partition(b"\0")[0].strip()
    if digits and digits.strip(b"01234567"):
        raise BadItemError("bad_tar", f"header at byte {position}: {raw!r} is no octal number")
    return int(digits or b"0", 8)


def _name(block: bytes, extended: dict[str, str]) -> str:
    if "path" in extended:
        return extended["path"]
    name = block[:100].partition(b"\0")[0]
    # GNU tar keeps times where POSIX keeps the prefix; its magic ends in a blank.
    prefix = block[345:500].partition(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    return _text(prefix + b"/" + name if prefix else name)


def _kind(block: bytes, extended: dict[str, str]) -> str:
    if SPARSE in extended:
        return "sparse_file"
    if block[156:157] == b"\0" and block[:100].partition(b"\0")[0].endswith(b"/"):
        return "directory"
    return KINDS.get(block[156:157], f"type_{block[156]}")


def tar_samples(path: str) -> dict[str, dict[str, Member]]:
    """The members of a plain local tar by key and lower-case extension, as webdataset tells samples.

    RecipeError, naming the file, where it is packed or broken: an evaluation set is whole or of no use.
    """
    found: dict[str, dict[str, Member]] = {}
    with open(path, "rb") as file:
        try:
            for member in read_members(file):
                key, _, extension = member.name.rpartition(".")
                found.setdefault(key, {})[extension.lower()] = member
        except BadItemError as error:
            raise RecipeError(f"{path}: {error}; wanted a whole tar that is not packed") from error
    return found


def member_text(path: str, member: Member) -> str:
    """The text of a member, its first TEXT_BYTES."""
    with open(path, "rb") as file:
        file.seek(member.offset)
        return file.read(min(member.bytes, TEXT_BYTES)).decode("utf-8", "replace")


def _pax(data: bytes, position: int) -> dict[str, str]:
    """What is read of records of the form "LENGTH KEY=VALUE\\n", LENGTH counting itself: path, size, and SPARSE."""
    records, data = {}, data.rstrip(b"\0")
    start = 0
    while start < len(data):
        blank = data.find(b" ", start, start + 8)
        size = int(data[start:blank]) if data[start:blank].isdigit() else 0
        key, equals, value = data[blank + 1 : start + size].partition(b"=")
        if blank < 0 or not equals or not value.endswith(b"\n") or start + size > len(data):
            raise BadItemError("bad_tar", f"pax header at byte {position}: {data[start : start + 40]!r} is no record")
        if key in (b"path", b"size"):
            records[_text(key)] = _text(value[:-1])
        elif key.startswith(SPARSE.encode()):
            records[SPARSE] = ""
        start += size
    return records


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
