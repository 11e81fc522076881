"""A picture as it goes into a shard: byte for byte as found, unless it is asked for smaller, encoded or blurred."""

import hashlib
from typing import Literal, NamedTuple

import numpy as np

from curation.decode import decode_at
from curation.download.images import OVERSAMPLING, SCALES, encode
from curation.errors import BadItemError
from curation.headers import Header, header
from curation.shards.blur import QUALITY, Box, blurred, encoded

KEPT_FORMATS = ("jpg", "png", "webp")  # what trainers read; anything else becomes a PNG, which loses nothing
PNG_LEVEL = 6  # of compression: zlib's own default
Encoded = Literal["jpg", "webp"]


class Form(NamedTuple):
    """What pictures are made to be; as it stands they stay as they are.

    `max_side_px` and `short_side_px`: the longer and the shorter side at most, the ratio kept, nothing made larger.
    `encode`: every picture is encoded anew as this; else only one that has to be, in its own format. `quality` of JPEG
    and WebP.
    """

    max_side_px: int | None = None
    short_side_px: int | None = None
    encode: Encoded | None = None
    quality: int = QUALITY
    blur_faces: bool = False

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of a picture of that size.

        >>> Form(512).size(1024, 300), Form(None, 256).size(1024, 300), Form(512, 256).size(100, 90)
        ((512, 150), (874, 256), (100, 90))
        """
        longer = (self.max_side_px or width + height) / max(width, height)
        shorter = (self.short_side_px or width + height) / min(width, height)
        factor = min(1.0, longer, shorter)
        return max(1, round(width * factor)), max(1, round(height * factor))


class Picture(NamedTuple):
    """The bytes of an image member and what the manifest says of them; `blurred` boxes of faces."""

    data: bytes
    width: int
    height: int
    format: str
    sha256: str
    blurred: int = 0


def picture(data: bytes | BadItemError, form: Form, boxes: list[Box] | BadItemError = ()) -> Picture:
    """The picture in FORM, blurred in the boxes of faces; one that this changes nothing of as it is, byte for byte.

    Raises what it is given instead of bytes or boxes, and BadItemError as curation.decode does.
    """
    if isinstance(boxes, BadItemError):
        raise boxes
    if isinstance(data, BadItemError):
        raise data
    found = header(data)
    size = form.size(found.width, found.height)
    smaller = size != (found.width, found.height)
    if not (smaller or boxes or form.encode) and found.format in KEPT_FORMATS:
        return _described(data, found)
    # Boxes are places in the full picture.
    pixels = decode_at(data, found, 1 if boxes else _scale(found, size))
    pixels = blurred(pixels, boxes) if boxes else pixels
    if smaller:
        from curation.download.area_kernel import shrink

        pixels = shrink(np.ascontiguousarray(pixels), size[1], size[0])
    own = "jpg" if boxes else found.format if found.format in KEPT_FORMATS else "png"
    data = _encoded(pixels, form.encode or own, form.quality)
    return _described(data, header(data))._replace(blurred=len(boxes))


def _scale(found: Header, size: tuple[int, int]) -> int:
    """By how much a JPEG may be decoded smaller on the way to that size; 1 for other formats, which cannot be."""
    if found.components not in (1, 3):
        return 1
    sides = ((found.width, size[0]), (found.height, size[1]))
    return next((s for s in SCALES if all(-(-full // s) >= OVERSAMPLING * wanted for full, wanted in sides)), 1)


def _encoded(pixels: np.ndarray, extension: str, quality: int) -> bytes:
    if extension == "jpg" and quality >= QUALITY:
        return encoded(pixels, quality)
    return encode(np.ascontiguousarray(pixels), extension, PNG_LEVEL if extension == "png" else quality)


def _described(data: bytes, found: Header) -> Picture:
    return Picture(data, found.width, found.height, found.format, hashlib.sha256(data).hexdigest())
