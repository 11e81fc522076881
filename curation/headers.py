"""What an image file says about itself, read from its first bytes before anything is allocated or decoded.

The format is told by content, never by name. Seven bounds are checked here, so that a decoder never sees a bomb:
bytes, pixels, side, aspect, segments, scans and the inflated size of metadata.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from curation.errors import BadItemError
from curation.tiff import exif_orientation, tiff_frame


@dataclass(frozen=True)
class Limits:
    """The largest picture that is read; each bound is inclusive."""

    bytes: int = 20 << 20  # our choice; the largest photographs of common crawls are an order below
    pixels: int = 89_478_485  # Pillow's MAX_IMAGE_PIXELS: a quarter GiB at three bytes each
    side: int = 30_000  # our choice; keeps a row of RGB below 100 kB
    aspect: int = 20  # longer over shorter side; beyond it resizing to a square keeps nothing
    inflated: int = 1 << 20  # bytes of one compressed PNG text or ICC chunk; Pillow's MAX_TEXT_CHUNK
    segments: int = 10_000  # markers, chunks or blocks; a 20 MiB file in 4 kB chunks has 5,120
    scans: int = 100  # of a progressive JPEG; encoders write about 10, and each costs a pass over all pixels


LIMITS = Limits()


@dataclass(frozen=True)
class Header:
    """Size in pixels after EXIF rotation; format jpg, png, webp, gif, bmp or tiff; EXIF orientation 1 to 8.

    `components` is the number of colour components of a JPEG (4 is CMYK), 0 for other formats.
    """

    width: int
    height: int
    format: str
    orientation: int = 1
    components: int = 0


def header(data: bytes, limits: Limits = LIMITS) -> Header:
    """Size, format and orientation of an encoded image, within `limits`.

    Raises BadItemError with code not_an_image (no known signature), too_large (bytes), too_many_pixels, too_long_side,
    too_elongated, decompression_bomb (metadata that inflates, endless chunks or scans), not_supported (12-bit and
    lossless JPEG), or decode_error (a known signature, then nonsense or a cut).

    >>> header(b"<html>")
    Traceback (most recent call last):
    curation.errors.BadItemError: not_an_image: no signature of bmp, gif, jpg, png, tiff, webp
    """
    if len(data) > limits.bytes:
        raise BadItemError("too_large", f"{len(data)} bytes, limit {limits.bytes}")
    name = _format(data)
    try:
        stored = _READERS[name](data, limits)
    except (struct.error, IndexError, OverflowError, zlib.error) as error:
        raise BadItemError("decode_error", f"{name} header: {error}") from error
    _check_size(stored.width, stored.height, limits)
    if stored.orientation < 5:
        return stored
    return replace(stored, width=stored.height, height=stored.width)  # EXIF 2.3, tag 0x0112: 5 to 8 exchange the axes


def _check_size(width: int, height: int, limits: Limits) -> None:
    if min(width, height) < 1:
        raise BadItemError("decode_error", f"{width}x{height} pixels")
    if max(width, height) > limits.side:
        raise BadItemError("too_long_side", f"{width}x{height}, limit {limits.side}")
    if width * height > limits.pixels:
        raise BadItemError("too_many_pixels", f"{width}x{height}, limit {limits.pixels}")
    if max(width, height) > limits.aspect * min(width, height):
        raise BadItemError("too_elongated", f"{width}x{height}, limit {limits.aspect} to 1")


def _format(data: bytes) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    for signatures, name in _SIGNATURES:
        if data.startswith(signatures):
            return name
    raise BadItemError("not_an_image", f"no signature of {', '.join(sorted(_READERS))}")


def _endless(what: str, limits: Limits) -> BadItemError:
    return BadItemError("decompression_bomb", f"more than {limits.segments} {what}")


def jpeg_segments(data: bytes, limits: Limits = LIMITS) -> list[tuple[int, int, int]]:
    """(marker, start, end) of every segment of a JPEG before its first scan; the last one is the scan's marker."""
    found, at = [], 2
    for _ in range(limits.segments):
        at = data.find(b"\xff", at)  # decoders skip what stands between segments
        if at < 0:
            raise IndexError("no scan")
        marker = data[at + 1]
        if marker in (0x00, 0xFF) or 0xD0 <= marker <= 0xD8 or marker == 0x01:  # stuffing, fill, markers without body
            at += 1 if marker == 0xFF else 2
            continue
        length = struct.unpack_from(">H", data, at + 2)[0]
        found.append((marker, at, at + 2 + length))
        if marker == 0xDA:
            return found
        if marker == 0xD9:
            raise IndexError("ends before its first scan")
        at += 2 + length
    raise _endless("JPEG segments", limits)


def _jpeg(data: bytes, limits: Limits) -> Header:
    frame, orientation = None, 0
    for marker, start, end in jpeg_segments(data, limits):
        if marker == 0xE1 and data[start + 4 : start + 10] == b"Exif\0\0" and not orientation:
            orientation = exif_orientation(data[start + 10 : end])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and frame is None:
            frame = (marker, *struct.unpack_from(">BHHB", data, start + 4))
    if frame is None:
        raise IndexError("no frame")
    marker, bits, height, width, components = frame
    if bits != 8 or marker not in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA) or components not in (1, 3, 4):
        raise BadItemError("not_supported", f"JPEG process {marker:02x}, {bits} bits, {components} components")
    # In coded data 0xFF is always followed by 0x00 or a restart, so only real scans (and those of thumbnails) count.
    if marker in (0xC2, 0xCA) and data.count(b"\xff\xda") > limits.scans:
        raise BadItemError("decompression_bomb", f"more than {limits.scans} JPEG scans")
    return Header(width, height, "jpg", orientation or 1, components)


def _png(data: bytes, limits: Limits) -> Header:
    if data[12:16] != b"IHDR":
        raise IndexError("first chunk is not IHDR")
    width, height = struct.unpack_from(">II", data, 16)
    orientation, at = 1, 8
    for _ in range(limits.segments):
        if at + 8 > len(data):
            return Header(width, height, "png", orientation)
        length, kind = struct.unpack_from(">I4s", data, at)
        body = at + 8
        if kind == b"eXIf":
            orientation = exif_orientation(data[body : body + length])
        elif kind in _PNG_COMPRESSED:
            _check_inflated(kind, data[body : body + length], limits)
        elif kind == b"IEND":
            return Header(width, height, "png", orientation)
        at = body + length + 4
    raise _endless("PNG chunks", limits)


def _check_inflated(kind: bytes, chunk: bytes, limits: Limits) -> None:
    _, _, rest = chunk.partition(b"\0")  # keyword or profile name
    if kind == b"iTXt":
        if rest[:1] != b"\1":  # not compressed
            return
        rest = rest[2:].split(b"\0", 2)[-1]  # language, translated keyword
    else:
        rest = rest[1:]  # compression method
    inflater = zlib.decompressobj()
    inflater.decompress(rest, limits.inflated)
    if inflater.unconsumed_tail:
        raise BadItemError("decompression_bomb", f"PNG {kind.decode()} inflates beyond {limits.inflated} bytes")


def _gif(data: bytes, limits: Limits) -> Header:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + (3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0)  # a global colour table, where there is one
    for _ in range(limits.segments):
        kind = data[at]
        if kind == 0x2C:  # image descriptor: a first frame beyond the screen enlarges it
            left, top, wide, high = struct.unpack_from("<HHHH", data, at + 1)
            return Header(max(width, left + wide), max(height, top + high), "gif")
        if kind != 0x21:
            raise IndexError("ends before its first frame")
        at += 2
        for _ in range(limits.segments):
            size = data[at]
            at += 1 + size
            if size == 0:
                break
        else:
            raise _endless("GIF blocks", limits)
    raise _endless("GIF extensions", limits)


def _bmp(data: bytes, limits: Limits) -> Header:
    size = struct.unpack_from("<I", data, 14)[0]
    if size == 12:  # OS/2's BITMAPCOREHEADER
        return Header(*struct.unpack_from("<HH", data, 18), "bmp")
    if size not in _BMP_HEADERS:
        raise BadItemError("not_an_image", f"BMP header of {size} bytes")
    width, height = struct.unpack_from("<ii", data, 18)
    return Header(width, abs(height), "bmp")  # a negative height: rows run from the top


def _webp(data: bytes, limits: Limits) -> Header:
    kind = data[12:16]
    if kind == b"VP8 ":
        if data[23:26] != b"\x9d\x01\x2a":
            raise IndexError("no VP8 start code")
        width, height = struct.unpack_from("<HH", data, 26)
        return Header(width & 0x3FFF, height & 0x3FFF, "webp")
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return Header((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, "webp")
    if kind != b"VP8X":
        raise IndexError("no VP8 chunk")
    width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    return Header(width, height, "webp", _webp_orientation(data, limits) if data[20] & 0x08 else 1)


def _webp_orientation(data: bytes, limits: Limits) -> int:
    at = 12
    for _ in range(limits.segments):
        if at + 8 > len(data):
            return 1
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"EXIF":
            return exif_orientation(data[at + 8 : at + 8 + length].removeprefix(b"Exif\0\0"))
        at += 8 + length + (length & 1)
    raise _endless("WebP chunks", limits)


def _tiff(data: bytes, limits: Limits) -> Header:
    width, height, orientation = tiff_frame(data, limits.pixels)
    return Header(width, height, "tiff", orientation)


_PNG_COMPRESSED = (b"zTXt", b"iTXt", b"iCCP")
_BMP_HEADERS = (16, 40, 52, 56, 64, 108, 124)  # OS/2 2 short, INFO, V2, V3, OS/2 2, V4, V5
_SIGNATURES = (
    ((b"\xff\xd8\xff",), "jpg"),
    ((b"\x89PNG\r\n\x1a\n",), "png"),
    ((b"GIF87a", b"GIF89a"), "gif"),
    ((b"BM",), "bmp"),
    ((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "tiff"),  # classic and BigTIFF, either byte order
)
_READERS: dict[str, Callable[[bytes, Limits], Header]] = {
    "jpg": _jpeg,
    "png": _png,
    "webp": _webp,
    "gif": _gif,
    "bmp": _bmp,
    "tiff": _tiff,
}
