"""zstd files frame by frame (RFC 8878), so that a damaged frame costs what it holds and no more."""

import contextlib
import io
import re
import tempfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from fastwarc.stream_io import ZstdReader

from curation.errors import BadItemError
from curation.sources.packing import tell_if_blameless

MAGIC = b"\x28\xb5\x2f\xfd"
SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
DICTIONARY = b"\x5d\x2a\x4d\x18"  # the WARC zstd proposal (iipc/warc-specifications, zstd): a dictionary comes first
DICTIONARY_BYTES = 32 << 20  # assumption: dictionaries in use have 1 MiB
PIECE_BYTES = 64 << 10
FRAMES = 10_000  # assumption: whatever holds more damaged ones is no archive any more
RLE, RESERVED = 1, 3  # block types: RFC 8878, 3.1.1.2.2


class Frame(NamedTuple):
    """Where a frame lies; `error` says why it has no end that can be told, null where it has."""

    offset: int
    bytes: int
    is_data: bool
    error: str | None = None


class _Window:
    """A part of a file as a file of its own, after some bytes that come first."""

    def __init__(self, file: BinaryIO, frame: Frame, first: bytes) -> None:
        self.file, self.left, self.first, self.given = file, frame.bytes, io.BytesIO(first), 0
        file.seek(frame.offset)

    def tell(self) -> int:
        """Bytes that were read."""
        return self.given

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, b"" at the end."""
        data = self.first.read(size)
        if not data:
            data = self.file.read(self.left if size < 0 else min(size, self.left))
            self.left -= len(data)
        self.given += len(data)
        return data


@contextlib.contextmanager
def unpacked_frames(file: BinaryIO, limit: int, bad: list[tuple[int, BadItemError]]) -> Iterator[BinaryIO]:
    """A temporary file with all that a zstd file holds; BadItemError `too_large` above `limit` bytes.

    What cannot be unpacked is left out and added to `bad`: where the frame begins, and why. Of a file that is one frame
    all is kept that comes before the damage.
    """
    with tempfile.TemporaryFile() as plain:
        dictionary = _dictionary(file)
        for frame in frames(file):
            begun = plain.tell()
            error = frame.error
            try:
                _copy(file, frame, dictionary, plain, limit)
            except (OSError, EOFError, ValueError) as raised:
                tell_if_blameless(raised)
                error = error or str(raised)
            if error and frame.is_data:
                bad.append((frame.offset, BadItemError("corrupt_record", f"zstd frame: {error}")))
            if error and begun:
                plain.seek(begun)
                plain.truncate()
            if len(bad) >= FRAMES:
                bad.append(
                    (frame.offset, BadItemError("too_damaged", f"nothing is read after {FRAMES} damaged frames"))
                )
                break
        plain.seek(0)
        yield plain


def _copy(file: BinaryIO, frame: Frame, dictionary: bytes, plain: BinaryIO, limit: int) -> None:
    if not frame.is_data:
        return
    reader = ZstdReader(_Window(file, frame, dictionary))
    while data := reader.read(PIECE_BYTES):
        if plain.tell() + len(data) > limit:
            raise BadItemError("too_large", f"unpacks to more than {limit} bytes")
        plain.write(data)


def _dictionary(file: BinaryIO) -> bytes:
    """The skippable frame that the file begins with, where it is a dictionary; else b""."""
    file.seek(0)
    head = file.read(8)
    size = int.from_bytes(head[4:], "little")
    return head + file.read(size) if head[:4] == DICTIONARY and size <= DICTIONARY_BYTES else b""


def frames(file: BinaryIO) -> Iterator[Frame]:
    """The frames of a file in order; where one has no end, the next begins at the next magic number."""
    end = file.seek(0, 2)
    position = 0
    while position < end:
        file.seek(position)
        magic = file.read(4)
        is_data = magic == MAGIC
        try:
            length = _frame_bytes(file) if is_data else _skippable_bytes(file, magic)
            if position + length > end:
                raise ValueError("the file ends within it")
        except ValueError as error:
            behind = _next_magic(file, position + 1)
            behind = end if behind is None else behind
            yield Frame(position, behind - position, True, str(error))
            position = behind
            continue
        yield Frame(position, length, is_data)
        position += length


def _frame_bytes(file: BinaryIO) -> int:
    """Bytes of the frame whose magic number has just been read (RFC 8878, 3.1.1)."""
    flags = (file.read(1) or b"\0")[0]
    is_single = flags >> 5 & 1
    content = (1 if is_single else 0, 2, 4, 8)[flags >> 6]
    header = (0 if is_single else 1) + (0, 1, 2, 4)[flags & 3] + content
    length = 5 + header
    file.seek(header, 1)
    while True:
        block = file.read(3)
        if len(block) < 3:
            raise ValueError("the file ends within it")
        number = int.from_bytes(block, "little")
        sort, size = number >> 1 & 3, number >> 3
        if sort == RESERVED:
            raise ValueError("a block of no kind")
        size = 1 if sort == RLE else size
        file.seek(size, 1)
        length += 3 + size
        if number & 1:
            return length + (4 if flags & 4 else 0)


def _skippable_bytes(file: BinaryIO, magic: bytes) -> int:
    size = file.read(4)
    if not SKIPPABLE.fullmatch(magic) or len(size) < 4:
        raise ValueError("no zstd frame")
    return 8 + int.from_bytes(size, "little")


def _next_magic(file: BinaryIO, position: int) -> int | None:
    while True:
        file.seek(position)
        block = file.read(PIECE_BYTES)
        found = block.find(MAGIC)
        if found >= 0:
            return position + found
        if len(block) < PIECE_BYTES:
            return None
        position += len(block) - len(MAGIC) + 1
