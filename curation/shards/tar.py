"""Writing shards: tar archives with fixed ustar headers, so that equal samples give equal bytes.

Format: POSIX.1-2017, pax, "ustar Interchange Format". `read_members`, the walk over any archive, is in walk.py.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

import orjson

from curation.errors import BadItemError
from curation.shards.walk import BLOCK, NUL_BLOCK, Member, checksum, read_members

__all__ = ["Member", "Sample", "ShardRecord", "header", "read_members", "write_shard"]

RECORD = 20 * BLOCK  # GNU tar's default blocking factor of 20: archives are padded to 10,240 bytes
JOIN_BYTES = 4 << 20  # write() calls of 4 MB: measured within a few percent of a plain copy
KEY = re.compile(r"[0-9A-Za-z_-]{1,64}")  # no dot (webdataset splits keys there), no slash, no blank
EXTENSION = re.compile(r"[0-9a-z]{1,8}")
MAX_OCTAL = 8**11  # the 12-byte size field holds 11 octal digits and a terminator

_MODE_TO_GID = b"0000644\0" + b"0000000\0" + b"0000000\0"
_TAIL = bytes(100) + b"ustar\0" + b"00" + bytes(247)  # linkname, magic, version, names, device, prefix, padding
_BASE_SUM = sum(_MODE_TO_GID) + sum(b"00000000000\0") + sum(_TAIL) + 8 * ord(" ") + ord("0")


class Sample(NamedTuple):
    """What goes into a shard for one pair; `record` becomes the .json member."""

    key: str
    extension: str
    image: bytes
    caption: str
    record: dict[str, Any]


@dataclass(frozen=True)
class ShardRecord:
    """A written shard; `offsets` and `sizes` hold one {image, text, json} per sample, as schema.MEMBERS."""

    bytes: int
    sha256: str
    keys: list[str] = field(repr=False)
    offsets: list[dict[str, int]] = field(repr=False)
    sizes: list[dict[str, int]] = field(repr=False)

    @property
    def samples(self) -> int:
        return len(self.keys)


def header(name: str, size: int) -> bytes:
    """The header of a regular file as bytes, a multiple of 512: mode 0644, owner 0, time 0, no owner names.

    A name over 100 bytes or not in ASCII, or a size from 8 GiB on, is carried by a pax header before the ustar one.
    """
    raw = name.encode()
    if len(raw) <= 100 and raw.isascii() and size < MAX_OCTAL:
        return _ustar(raw, size)
    records = b"".join(_pax_record(k, v) for k, v in ((b"path", raw), (b"size", b"%d" % size)))
    extended = bytearray(_ustar(b"././@PaxHeader", len(records)))
    extended[156:157] = b"x"
    extended[148:156] = b"%06o\0 " % checksum(extended)
    short = raw.decode("ascii", "ignore").encode()[:100]
    return bytes(extended) + records + padding(len(records)) + _ustar(short, size % MAX_OCTAL)


def _ustar(name: bytes, size: int) -> bytes:
    digits = b"%011o\0" % size
    checksum = b"%06o\0 " % (_BASE_SUM + sum(name) + sum(digits))
    return b"".join((name.ljust(100, b"\0"), _MODE_TO_GID, digits, b"00000000000\0", checksum, b"0", _TAIL))


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


def write_shard(file: BinaryIO, samples: Iterable[Sample]) -> ShardRecord:
    """Write one tar and return its bytes, SHA-256 and where each member lies; equal samples give equal bytes.

    Raises BadItemError (`bad_key`, `duplicate_key`, `bad_extension`, `empty_image`, `empty_caption`) before anything
    of the sample is written.
    """
    digest = hashlib.sha256()
    record = ShardRecord(0, "", [], [], [])
    seen: set[str] = set()
    pending: list[bytes] = []
    position = flushed = 0
    for sample in samples:
        check_sample(sample, seen)
        seen.add(sample.key)
        offsets, sizes = [], []
        for name, data in members(sample):
            head = header(name, len(data))
            offsets.append(position + len(head))
            sizes.append(len(data))
            pending += (head, data, padding(len(data)))
            position += len(head) + len(data) + -len(data) % BLOCK
        record.keys.append(sample.key)
        record.offsets.append(dict(zip(("image", "text", "json"), offsets)))
        record.sizes.append(dict(zip(("image", "text", "json"), sizes)))
        if position - flushed >= JOIN_BYTES:
            _flush(file, digest, pending)
            flushed = position
    pending.append(end_of_archive(position))
    total = position + len(pending[-1])
    _flush(file, digest, pending)
    return ShardRecord(total, digest.hexdigest(), record.keys, record.offsets, record.sizes)


def members(sample: Sample) -> tuple[tuple[str, bytes], ...]:
    """Name and bytes of the three members of a sample, in the order in which a shard holds them."""
    return (
        (f"{sample.key}.{sample.extension}", sample.image),
        (f"{sample.key}.txt", sample.caption.encode()),
        (f"{sample.key}.json", json_member(sample.record)),
    )


def check_sample(sample: Sample, seen: set[str]) -> None:
    """Raise BadItemError unless the sample may enter a shard that already holds the keys `seen`."""
    if not KEY.fullmatch(sample.key):
        raise BadItemError("bad_key", f"{sample.key!r} does not match {KEY.pattern}")
    if sample.key in seen:
        raise BadItemError("duplicate_key", f"{sample.key} is already in this shard")
    if not EXTENSION.fullmatch(sample.extension) or sample.extension in ("txt", "json"):
        raise BadItemError("bad_extension", f"{sample.key}: {sample.extension!r}, wanted jpg, png or webp")
    if not sample.image:
        raise BadItemError("empty_image", sample.key)
    if not sample.caption.strip():
        raise BadItemError("empty_caption", sample.key)


def _flush(file: BinaryIO, digest: Any, pending: list[bytes]) -> None:
    data = memoryview(b"".join(pending))
    pending.clear()
    digest.update(data)
    while data:  # an unbuffered file may take less than it is given
        data = data[file.write(data) :]
