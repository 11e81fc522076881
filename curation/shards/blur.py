"""Pictures with faces made unrecognisable: the same pixels and boxes give the same bytes."""

import numpy as np
import simplejpeg
from PIL import Image, ImageFilter

WIDER = 0.15  # of a box's sides, added on each side: detectors cut ears and chin; ours
STRENGTH = 0.15  # standard deviation of the blur over the longer side of the box: no feature of a face is left; ours
QUALITY = 95  # of the JPEG that is written, without subsampling: what is outside the boxes changes little
Box = tuple[int, int, int, int]


def blurred(pixels: np.ndarray, boxes: list[Box]) -> np.ndarray:
    """A copy of `pixels` (H, W, 3) uint8 RGB with each box (r0, c0, r1, c1), a little widened, blurred (Gaussian).

    What is blurred is what the picture shows, so that boxes that overlap do not depend on their order.

    >>> picture = np.zeros((8, 8, 3), np.uint8)
    >>> picture[3, 3] = 255
    >>> int(blurred(picture, [(2, 2, 5, 5)]).max()) < 255, int(blurred(picture, []).max())
    (True, 255)
    """
    height, width = pixels.shape[:2]
    found = pixels.copy()
    for top, left, bottom, right in sorted(boxes, key=lambda box: (box[2] - box[0]) * (box[3] - box[1])):
        high, wide = round((bottom - top) * WIDER), round((right - left) * WIDER)
        r0, c0, r1, c1 = max(0, top - high), max(0, left - wide), min(height, bottom + high), min(width, right + wide)
        region = Image.fromarray(pixels[r0:r1, c0:c1])
        radius = max(1.0, STRENGTH * max(bottom - top, right - left))
        found[r0:r1, c0:c1] = np.asarray(region.filter(ImageFilter.GaussianBlur(radius)))
    return found


def encoded(pixels: np.ndarray, quality: int = QUALITY) -> bytes:
    """The pixels as a JPEG, colour at full size."""
    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=quality, colorsubsampling="444")
