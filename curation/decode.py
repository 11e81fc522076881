"""Encoded bytes -> RGB pixels, by fixed rules, within curation.headers.Limits.

Rules: EXIF orientation is applied (XMP's is not, as in browsers). CMYK and YCCK JPEG follow Adobe's inverted
convention. 16-bit samples keep their high byte. Transparency (palette, LA, RGBA, tRNS) is composed on white. Greyscale
is repeated three times. Of an animation the first frame counts, of a multi-page TIFF the first page. ICC profiles
and gamma are ignored. Samples without an agreed range (32-bit integers, floats, LAB) are refused.
"""

import io
import struct
import zlib

import numpy as np
import simplejpeg
from PIL import BmpImagePlugin, GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from curation.errors import BadItemError
from curation.headers import Header, header, jpeg_segments

# The plugins are imported by name, so that opening a picture never loads the others.
_PLUGINS = {
    "bmp": BmpImagePlugin.BmpImageFile.format,
    "gif": GifImagePlugin.GifImageFile.format,
    "jpg": JpegImagePlugin.JpegImageFile.format,
    "png": PngImagePlugin.PngImageFile.format,
    "tiff": TiffImagePlugin.TiffImageFile.format,
    "webp": WebPImagePlugin.WebPImageFile.format,
}
# What Pillow and its codecs raise on damaged files: OSError (truncated, unidentified), SyntaxError (broken chunk),
# ValueError (bad sizes, text bombs), EOFError (no frame), the rest from parsing nonsense numbers.
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    AssertionError,
    RuntimeError,
    ZeroDivisionError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "I;16", "I;16L", "I;16B")
_BAND_PIXELS = 1 << 20  # of a conversion at a time: 4 MB, about a core's cache
# px: twice the 224 px that CLIP models read. Resized to those, a scaled and a full decode differ by 40 dB (fine
# texture, line drawings) to 55 dB.
SMALL_SIDE = 448
_SCALES = (8, 4, 2)  # libjpeg's scaled decodes that drop whole octaves of the DCT
# Of a batch of at most 64 Mpx (curation.images) 16 pictures fit: as many as a model on a CPU takes at a time.
BOUNDED_PIXELS = 4 << 20


def decode(data: bytes) -> np.ndarray:
    """Pixels of an encoded image at full resolution, uint8 RGB, shape (height, width, 3), EXIF-rotated, read-only.

    Raises BadItemError: the codes of `header`, decode_error (truncated or damaged), not_supported (sample type).
    """
    return decode_at(data, header(data), 1)


def decode_at(data: bytes, found: Header, scale: int) -> np.ndarray:
    """Pixels as `decode` gives them, of a greyscale or colour JPEG scaled by 1/`scale`: 1, 2, 4 or 8.

    `found` is the picture's header. A scaled decode reads the whole file, so it finds the same faults. Raises as
    `decode`.
    """
    pixels = _turbo(data, found, scale)
    return _upright(_pillow(data, found) if pixels is None else pixels, found)


def decode_small(data: bytes) -> np.ndarray:
    """Pixels as `decode` gives them, of a JPEG scaled by 1/8, 1/4 or 1/2: the smallest whose shorter side is >= 448 px.

    The scale is a function of the picture's size alone, so that the result is one of its bytes. Anything else, and a
    JPEG that only the tolerant decoder can read, is decoded in full. Raises as `decode`.
    """
    found = header(data)
    return decode_at(data, found, small_scale(found))


def decode_bounded(data: bytes) -> np.ndarray:
    """Pixels as `decode` gives them, of a JPEG of more than 4 Mpx scaled by 1/2, 1/4 or 1/8 to at most that.

    Otherwise as `decode_small`.
    """
    found = header(data)
    return decode_at(data, found, bounded_scale(found))


def bounded_scale(found: Header) -> int:
    """The divisor of that decode: 1, 2, 4 or 8; 1 for all but greyscale and colour JPEG.

    >>> bounded_scale(Header(2048, 2048, "jpg", components=3)), bounded_scale(Header(2049, 2048, "jpg", components=3))
    (1, 2)
    >>> bounded_scale(Header(4000, 3000, "jpg", components=3)), bounded_scale(Header(30000, 30000, "jpg", components=3))
    (2, 8)
    """
    if found.components not in (1, 3):
        return 1
    sizes = ((scale, -(-found.width // scale) * -(-found.height // scale)) for scale in (1, *reversed(_SCALES)))
    return next((scale for scale, size in sizes if size <= BOUNDED_PIXELS), max(_SCALES))


def small_scale(found: Header) -> int:
    """The divisor of the scaled decode: 8, 4, 2 or 1; 1 for all but greyscale and colour JPEG.

    >>> small_scale(Header(4000, 1792, "jpg", components=3)), small_scale(Header(4000, 1790, "jpg", components=3))
    (4, 4)
    >>> small_scale(Header(4000, 1788, "jpg", components=3)), small_scale(Header(4000, 1792, "png"))
    (2, 1)
    """
    if found.components not in (1, 3):
        return 1
    shorter = min(found.width, found.height)
    return next((scale for scale in _SCALES if -(-shorter // scale) >= SMALL_SIDE), 1)


def _turbo(data: bytes, found: Header, scale: int) -> np.ndarray | None:
    """A greyscale or colour JPEG by libjpeg-turbo, strictly; None where it is none or has the slightest fault."""
    if found.components not in (1, 3):
        return None
    width, height = (-(-side // scale) for side in _stored(found))
    try:
        pixels = simplejpeg.decode_jpeg(data, "RGB", min_width=width, min_height=height)
    except ValueError:
        return None
    # A picture of another size inside is left to Pillow, whose result is checked.
    return pixels if pixels.shape == (height, width, 3) else None


def _stored(found: Header) -> tuple[int, int]:
    """(width, height) before rotation."""
    return (found.height, found.width) if found.orientation >= 5 else (found.width, found.height)


def _pillow(data: bytes, found: Header) -> np.ndarray:
    data = _without_metadata(data) if found.format == "jpg" else data
    try:
        with Image.open(io.BytesIO(data), formats=(_PLUGINS[found.format],)) as image:
            image.info.pop("xmp", None)  # Pillow would turn a TIFF by it
            pixels = _rgb(image)
    except _DECODE_ERRORS as error:
        raise BadItemError("decode_error", f"{found.format}: {type(error).__name__}: {error}") from error
    # Pillow turns a TIFF itself; the header has turned sizes.
    width, height = (found.width, found.height) if found.format == "tiff" else _stored(found)
    if pixels.shape != (height, width, 3):
        raise BadItemError("decode_error", f"{found.format}: {pixels.shape} pixels, header says {(height, width)}")
    return pixels


def _without_metadata(data: bytes) -> bytes:
    """A JPEG without EXIF, XMP, ICC and comments, which Pillow would parse: hostile ones claim gigabytes.

    JFIF (APP0) and Adobe (APP14) segments stay: the decoder tells the colour space by them.
    """
    segments = jpeg_segments(data)
    kept = [data[a:b] for marker, a, b in segments[:-1] if marker < 0xE0 or marker in (0xE0, 0xEE)]
    return b"".join([data[:2], *kept, data[segments[-1][1] :]])


def _rgb(image: Image.Image) -> np.ndarray:
    """RGB of the loaded picture, converted in bands: Pillow's own four bytes a pixel are not held several times."""
    image.load()
    if image.mode not in _MODES:
        raise BadItemError("not_supported", f"{image.format} samples of mode {image.mode}")
    width, height = image.size
    rows = max(1, _BAND_PIXELS // width)
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        pixels[top : top + rows] = _rgb_band(image.crop((0, top, width, min(top + rows, height))))
    return pixels


def _rgb_band(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I;16"):
        return (np.asarray(image) >> 8).astype(np.uint8)[..., None]
    if not image.has_transparency_data:
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    if image.mode in ("La", "RGBa"):  # premultiplied
        image = image.convert(image.mode.upper())
    image = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return np.asarray(white)


def _upright(pixels: np.ndarray, found: Header) -> np.ndarray:
    """The pixels turned by the EXIF orientation (tag 0x0112) and made read-only: many signals share them."""
    if found.format != "tiff" and found.orientation > 1:
        pixels = np.ascontiguousarray(_TURNS[found.orientation](pixels))
    pixels.flags.writeable = False
    return pixels


_TURNS = {
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: p[::-1].transpose(1, 0, 2),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: p[:, ::-1].transpose(1, 0, 2),
}
