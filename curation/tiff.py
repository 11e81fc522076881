"""The directory of a TIFF file, which is also the form of EXIF data: size, orientation, and what the tags claim."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from curation.errors import BadItemError

# TIFF 6.0 section 2, TIFF technical note 1 (13), BigTIFF (16 to 18): type -> (bytes, struct code of whole numbers).
_TYPES = {
    1: (1, "B"), 2: (1, ""), 3: (2, "H"), 4: (4, "I"), 5: (8, ""), 6: (1, "b"), 7: (1, ""), 8: (2, "h"), 9: (4, "i"),
    10: (8, ""), 11: (4, ""), 12: (8, ""), 13: (4, "I"), 16: (8, "Q"), 17: (8, "q"), 18: (8, "Q"),
}  # fmt: skip
_WIDTH, _HEIGHT, _ORIENTATION, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 274, 322, 323  # TIFF 6.0 section 8 and 15
_NESTED = (34665, 34853, 40965)  # EXIF, GPS and interoperability directories (EXIF 2.3, section 4.6.3)
_MAX_ENTRIES = 1000  # of one directory; the registries list about 600 tags


@dataclass(frozen=True)
class _Layout:
    """Byte order, and the widths that BigTIFF doubles."""

    order: str
    count: str  # entries of a directory
    entry: int  # bytes of an entry
    word: str  # counts and offsets


def _layout(data: bytes) -> tuple[_Layout, int]:
    """The layout and the offset of the first directory. Raises struct.error or IndexError else."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        raise IndexError("no TIFF byte order")
    version = struct.unpack_from(order + "H", data, 2)[0]
    if version == 42:
        return _Layout(order, "H", 12, "I"), struct.unpack_from(order + "I", data, 4)[0]
    if version == 43:
        return _Layout(order, "Q", 20, "Q"), struct.unpack_from(order + "Q", data, 8)[0]
    raise IndexError(f"TIFF version {version}")


def _entries(data: bytes, layout: _Layout, at: int) -> Iterator[tuple[int, int | None, int]]:
    """(tag, its first whole number or None, bytes it claims outside its entry) of each entry of a directory."""
    (count,) = struct.unpack_from(layout.order + layout.count, data, at)
    if count > _MAX_ENTRIES:
        raise BadItemError("decompression_bomb", f"{count} TIFF tags, limit {_MAX_ENTRIES}")
    at += struct.calcsize(layout.count)
    inline = struct.calcsize(layout.word)
    for entry in range(at, at + count * layout.entry, layout.entry):
        tag, kind, values = struct.unpack_from(layout.order + "HH" + layout.word, data, entry)
        size, code = _TYPES.get(kind, (0, ""))
        value = entry + 4 + inline
        outside = size * values if size * values > inline else 0
        if outside:
            (value,) = struct.unpack_from(layout.order + layout.word, data, value)
        number = struct.unpack_from(layout.order + code, data, value)[0] if code and values else None
        yield tag, number, outside


def exif_orientation(data: bytes) -> int:
    """Orientation 1 to 8 of EXIF data (tag 0x0112); 1 where it is absent, damaged or out of range.

    >>> exif_orientation(bytes.fromhex("49492a0008000000 0100 1201 0300 01000000 06000000"))
    6
    """
    try:
        layout, at = _layout(data)
        for tag, number, _ in _entries(data, layout, at):
            if tag == _ORIENTATION:
                return number if number in range(1, 9) else 1
    except (struct.error, IndexError, OverflowError, BadItemError):
        return 1
    return 1


def tiff_frame(data: bytes, max_pixels: int) -> tuple[int, int, int]:
    """(width, height, orientation) of the first page, as stored.

    Raises struct.error, IndexError or OverflowError (an offset beyond 63 bits) on damage.

    Raises BadItemError decompression_bomb where tags together claim more bytes than the file has (each would be
    copied), or where a tile, which is allocated whole, exceeds `max_pixels`.
    """
    layout, at = _layout(data)
    found, claimed = {}, 0
    directories = [at]
    while directories:
        top = not found
        for tag, number, outside in _entries(data, layout, directories.pop()):
            claimed += outside
            if top:
                found[tag] = number
                directories += [number] if tag in _NESTED and number else []
    if claimed > len(data):
        raise BadItemError("decompression_bomb", f"TIFF tags claim {claimed} of {len(data)} bytes")
    width, height = found.get(_WIDTH), found.get(_HEIGHT)
    if width is None or height is None:
        raise IndexError("no size")
    if (found.get(_TILE_WIDTH) or 0) * (found.get(_TILE_HEIGHT) or 0) > max_pixels:
        raise BadItemError("decompression_bomb", f"TIFF tile of {found[_TILE_WIDTH]}x{found[_TILE_HEIGHT]}")
    orientation = found.get(_ORIENTATION)
    return width, height, orientation if orientation in range(1, 9) else 1
