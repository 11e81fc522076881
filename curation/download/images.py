"""What a server sent -> an image that is really one, told by its content alone: as it came, or resized and encoded.

The header is checked before anything is decoded (curation.headers); the whole picture is decoded once, so that a file
cut short is found here and not by the fifth reader of the pool.
"""

import hashlib
import io
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
from PIL import Image

from curation.decode import decode_at
from curation.download.settings import Settings
from curation.errors import BadItemError
from curation.headers import Header, header
from curation.sources.http import decoded

CODINGS = 2  # content codings of one answer, one in the other; servers use one
# A JPEG is decoded at a half, a quarter or an eighth where that leaves at least so many times the side wanted. Measured
# against the exact average of areas: at 1 the result is 30 dB away, from 1.5 on 44 dB, as with a full decode.
OVERSAMPLING = 1.5
SCALES = (8, 4, 2)
WHITE = 255  # of the border, as img2dataset's
FITS_SHORTER = ("keep_ratio", "center_crop")  # max_side is the shorter side; else the longer one


class Picture(NamedTuple):
    """An image as it is stored. Width and height in pixels as it is to be seen (EXIF-rotated); sha256 64 hex.

    `original` describes what was sent, where that is something else.
    """

    data: bytes
    width: int
    height: int
    format: str
    sha256: str
    original: dict[str, Any] | None = None


def picture(body: bytes, encoding: str | None, settings: Settings) -> Picture:
    """The image in an answer's body, whose Content-Encoding is `encoding`, in the form that the settings ask for.

    Raises BadItemError: too_large, bad_encoding, the codes of curation.headers.header, decode_error, not_supported.
    """
    data = unpacked(body, encoding, settings.max_bytes)
    found = header(data)
    if settings.format == "original":
        decode_at(data, found, SCALES[0])
        return _described(data, found.width, found.height, found.format)
    pixels = resized(decode_at(data, found, _scale(found, settings)), (found.width, found.height), settings)
    encoded = encode(pixels, settings.format, settings.encode_quality)
    sent = _described(data, found.width, found.height, found.format)
    original = {"bytes": len(data)} | {k: v for k, v in sent._asdict().items() if k not in ("data", "original")}
    height, width = pixels.shape[:2]
    return _described(encoded, width, height, settings.format)._replace(original=original)


def unpacked(body: bytes, encoding: str | None, limit: int) -> bytes:
    """The body with its content codings undone, within `limit` bytes. Raises BadItemError too_large, bad_encoding."""
    if (encoding or "").count(",") >= CODINGS:
        raise BadItemError("bad_encoding", f"over {CODINGS} codings")
    return decoded(body, None, encoding, limit)


def _described(data: bytes, width: int, height: int, extension: str) -> Picture:
    return Picture(data, width, height, extension, hashlib.sha256(data).hexdigest())


def _scale(found: Header, settings: Settings) -> int:
    if settings.resize == "no":
        return 1
    side = (min if settings.resize in FITS_SHORTER else max)(found.width, found.height)
    return next((s for s in SCALES if -(-side // s) >= OVERSAMPLING * settings.max_side), 1)


def resized(pixels: np.ndarray, size: tuple[int, int], settings: Settings) -> np.ndarray:
    """Pixels of a picture whose full size is (width, height) in the resize mode asked for, uint8 RGB.

    The modes are img2dataset's, and so are the mean of areas to make smaller and Lanczos to make larger.
    """
    mode, side = settings.resize, settings.max_side
    shorter = mode in FITS_SHORTER
    measured = min(size) if shorter else max(size)
    if mode == "no" or (settings.resize_only_if_bigger and measured <= side):
        return pixels
    width, height = (max(1, round(length * side / measured)) for length in size)
    pixels = _at(pixels, height, width)
    if mode == "center_crop":
        top, left = (height - side) // 2, (width - side) // 2
        pixels = pixels[top : top + side, left : left + side]
    elif mode == "border":
        framed = np.full((side, side, 3), WHITE, np.uint8)
        top, left = (side - height) // 2, (side - width) // 2
        framed[top : top + height, left : left + width] = pixels
        pixels = framed
    return np.ascontiguousarray(pixels)


def _at(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    if pixels.shape[0] >= height and pixels.shape[1] >= width:
        from curation.download.area_kernel import shrink

        return shrink(np.ascontiguousarray(pixels), height, width)
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def encode(pixels: np.ndarray, extension: str, quality: int) -> bytes:
    """An encoded image: jpg and webp of quality 0 to 100, png of compression 0 to 9; JPEG with colour at half size.

    Raises BadItemError not_supported where a side is longer than the format can have.
    """
    try:
        if extension == "jpg":
            return simplejpeg.encode_jpeg(pixels, quality, "RGB", "420", fastdct=False)
        file = io.BytesIO()
        options = {"compress_level": quality} if extension == "png" else {"quality": quality}
        Image.fromarray(pixels).save(file, extension, **options)
    except ValueError as error:
        height, width = pixels.shape[:2]
        raise BadItemError("not_supported", f"{extension} of {width} x {height}: {error}") from error
    return file.getvalue()
