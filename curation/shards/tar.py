"""Writing shards: tar archives with fixed ustar headers, so that equal samples give equal bytes.

Format: POSIX.1-2017, pax, "ustar Interchange Format". `read_members`, the walk over any archive, is in walk.py.
"""

import functools
import hashlib
import io
import os
import re
import zlib
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

import orjson

from curation.errors import BadItemError
from curation.shards.walk import BLOCK, NUL_BLOCK, Member, checksum, read_members

__all__ = ["Member", "Sample", "ShardRecord", "header", "read_members", "write_shard"]

RECORD = 20 * BLOCK  # GNU tar's default blocking factor of 20: archives are padded to 10,240 bytes
JOIN_BYTES = 1 << 20  # a system call a megabyte: measured as fast as larger ones, and what is written is still cached
KEY = re.compile(r"[0-9A-Za-z_-]{1,64}")  # no dot (webdataset splits keys there), no slash, no blank
EXTENSION = re.compile(r"[0-9a-z]{1,8}")
MEMBERS = ("image", "text", "json")  # of a sample, in their order
MAX_OCTAL = 8**11  # the 12-byte size field holds 11 octal digits and a terminator
MAX_PIECES = 1000  # of one writev; Linux takes 1,024 (IOV_MAX)
NAME_BYTES = 100

_AFTER_NAME = [bytes(n) + b"0000644\0" + b"0000000\0" + b"0000000\0" for n in range(NAME_BYTES + 1)]  # mode, owners
_TAIL = b" 0" + bytes(100) + b"ustar\0" + b"00" + bytes(247)  # type, linkname, magic, version, names, device, prefix
_BASE_SUM = sum(_AFTER_NAME[0]) + sum(b"00000000000\0") + sum(_TAIL) + 7 * ord(" ")


class Sample(NamedTuple):
    """What goes into a shard for one pair; `record` becomes the .json member, bytes as they are."""

    key: str
    extension: str
    image: bytes
    caption: str
    record: dict[str, Any] | bytes


@dataclass(frozen=True)
class ShardRecord:
    """A written shard; `places` and `lengths` hold three numbers per sample, for its MEMBERS in order."""

    bytes: int
    sha256: str
    keys: list[str] = field(repr=False)
    places: list[int] = field(repr=False)
    lengths: list[int] = field(repr=False)

    @property
    def samples(self) -> int:
        return len(self.keys)

    @property
    def offsets(self) -> list[dict[str, int]]:
        """Where the data of each member begins, as schema.MEMBERS."""
        return [dict(zip(MEMBERS, three)) for three in zip(*(self.places[n::3] for n in range(3)))]

    @property
    def sizes(self) -> list[dict[str, int]]:
        """Bytes of each member's data, as schema.MEMBERS."""
        return [dict(zip(MEMBERS, three)) for three in zip(*(self.lengths[n::3] for n in range(3)))]


def header(name: str, size: int) -> bytes:
    """The header of a regular file as bytes, a multiple of 512: mode 0644, owner 0, time 0, no owner names.

    A name over 100 bytes or not in ASCII, or a size from 8 GiB on, is carried by a pax header before the ustar one.
    """
    raw = name.encode()
    if len(raw) <= NAME_BYTES and raw.isascii() and size < MAX_OCTAL:
        return _ustar(raw, size)
    records = b"".join(_pax_record(k, v) for k, v in ((b"path", raw), (b"size", b"%d" % size)))
    extended = bytearray(_ustar(b"././@PaxHeader", len(records)))
    extended[156:157] = b"x"
    extended[148:156] = b"%06o\0 " % checksum(extended)
    short = raw.decode("ascii", "ignore").encode()[:NAME_BYTES]
    return bytes(extended) + records + padding(len(records)) + _ustar(short, size % MAX_OCTAL)


def _ustar(name: bytes, size: int) -> bytes:
    digits = b"%011o\0" % size
    # adler32 begins with 1 plus the sum of all bytes, in 16 bits, which is enough for a name; Python's sum is slower.
    total = _BASE_SUM + (zlib.adler32(name) & 0xFFFF) + (zlib.adler32(digits) & 0xFFFF) - 2
    return b"".join((name, _AFTER_NAME[NAME_BYTES - len(name)], digits, b"00000000000\0%06o\0" % total, _TAIL))


def _pax_record(key: bytes, value: bytes) -> bytes:
    # The length counts itself: try until it no longer changes.
    length = 0
    while len(record := b"%d %s=%s\n" % (length, key, value)) != length:
        length = len(record)
    return record


def padding(size: int) -> bytes:
    """The zero bytes that follow `size` bytes of member data."""
    return NUL_BLOCK[: -size % BLOCK]


def end_of_archive(size: int) -> bytes:
    """The zero bytes that end an archive of `size` bytes so far: two blocks, then up to a multiple of 10,240."""
    return bytes(2 * BLOCK + -(size + 2 * BLOCK) % RECORD)


def json_member(record: dict[str, Any]) -> bytes:
    """A record as UTF-8 JSON bytes with sorted keys and no blanks; NaN and infinity become null, bytes become hex."""
    return orjson.dumps(record, default=_hex, option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY)


def _hex(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"no JSON form for {type(value).__name__}")


def write_shard(file: BinaryIO, samples: Iterable[Sample], *, checksum: bool = True) -> ShardRecord:
    """Write one tar and return its bytes, SHA-256 and where each member lies; equal samples give equal bytes.

    Without CHECKSUM the SHA-256 is left out (empty). Raises BadItemError (`bad_key`, `duplicate_key`, `bad_extension`,
    `empty_image`, `empty_caption`) before anything of the sample is written.
    """
    sink = _Sink(file, checksum)
    places: list[int] = []
    lengths: list[int] = []
    seen: dict[str, None] = {}
    for sample in samples:
        check_sample(sample, seen)
        seen[sample.key] = None
        (image, data), (text, caption), (record, told) = members(sample)
        sizes = (len(data), len(caption), len(told))
        heads = (header(image, sizes[0]), header(text, sizes[1]), header(record, sizes[2]))
        first = sink.position + len(heads[0])
        second = first + sizes[0] + -sizes[0] % BLOCK + len(heads[1])
        places += (first, second, second + sizes[1] + -sizes[1] % BLOCK + len(heads[2]))
        lengths += sizes
        small = (padding(sizes[0]), heads[1], caption, padding(sizes[1]), heads[2], told, padding(sizes[2]))
        sink.add(heads[0], data, b"".join(small))
    sink.add(end_of_archive(sink.position))
    sink.flush()
    return ShardRecord(sink.position, sink.hexdigest(), list(seen), places, lengths)


class _Sink:
    """A file that is written a megabyte at a time, pieces from where they lie in memory; hashes them on the way."""

    def __init__(self, file: BinaryIO, checksum: bool) -> None:
        self.file, self.digest = file, hashlib.sha256() if checksum else None
        self.position = self.held = 0
        self.pieces: list[bytes] = []
        on_disk = isinstance(file, io.FileIO | io.BufferedWriter)
        if on_disk:
            file.flush()
        self.write = functools.partial(_write_pieces, file.fileno()) if on_disk else self._write_joined

    def add(self, *pieces: bytes) -> None:
        self.pieces += pieces
        for piece in pieces:
            self.held += len(piece)
            self.position += len(piece)
            if self.digest is not None:
                self.digest.update(piece)
        if self.held >= JOIN_BYTES or len(self.pieces) >= MAX_PIECES:
            self.flush()

    def flush(self) -> None:
        self.write(self.pieces)
        self.pieces.clear()
        self.held = 0

    def hexdigest(self) -> str:
        return self.digest.hexdigest() if self.digest is not None else ""

    def _write_joined(self, pieces: list[bytes]) -> None:
        data = memoryview(b"".join(pieces))
        while data:  # an unbuffered file may take less than it is given
            data = data[self.file.write(data) :]


def _write_pieces(descriptor: int, pieces: list[bytes]) -> None:
    written = os.writev(descriptor, pieces)
    if written < sum(map(len, pieces)):  # interrupted, or a disk about to be full, which the next call says
        data = memoryview(b"".join(pieces))[written:]
        while data:
            data = data[os.write(descriptor, data) :]


def members(sample: Sample) -> tuple[tuple[str, bytes], ...]:
    """Name and bytes of the three members of a sample, in the order in which a shard holds them."""
    key, extension, image, caption, record = sample
    told = record if isinstance(record, bytes) else json_member(record)
    return (f"{key}.{extension}", image), (f"{key}.txt", caption.encode()), (f"{key}.json", told)


def check_sample(sample: Sample, seen: Container[str]) -> None:
    """Raise BadItemError unless the sample may enter a shard that already holds the keys `seen`."""
    if not KEY.fullmatch(sample.key):
        raise BadItemError("bad_key", f"{sample.key!r} does not match {KEY.pattern}")
    if sample.key in seen:
        raise BadItemError("duplicate_key", f"{sample.key} is already in this shard")
    if not EXTENSION.fullmatch(sample.extension) or sample.extension in ("txt", "json"):
        raise BadItemError("bad_extension", f"{sample.key}: {sample.extension!r}, wanted jpg, png or webp")
    if not sample.image:
        raise BadItemError("empty_image", sample.key)
    if not sample.caption or sample.caption.isspace():
        raise BadItemError("empty_caption", sample.key)
