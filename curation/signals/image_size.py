"""Size of a picture in pixels, from its header alone."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import BadItemError
from curation.headers import Header, header
from curation.signal import signal


def _of_headers(encoded: pa.Array, read: Callable[[Header], int]) -> pa.Array:
    def one(data: bytes | None) -> int | None:
        try:
            return None if data is None else read(header(data))
        except BadItemError:
            return None

    return pa.array([one(data.as_py()) for data in encoded], pa.int32())


@signal(pa.int32())
def image_width_px(encoded: pa.Array) -> pa.Array:
    """Width in pixels after EXIF rotation, int32, shape (n,), 1 to 30,000; null if no image within the limits.

    >>> gif = b"GIF89a" + bytes([2, 0, 1, 0, 0, 0, 0, 44, 0, 0, 0, 0, 2, 0, 1, 0])
    >>> image_width_px(pa.array([gif, b"<html>", None])).to_pylist()
    [2, None, None]
    """
    return _of_headers(encoded, lambda found: found.width)


@signal(pa.int32())
def image_height_px(encoded: pa.Array) -> pa.Array:
    """Height in pixels after EXIF rotation, int32, shape (n,), 1 to 30,000; null if no image within the limits.

    >>> image_height_px(pa.array([b"<html>", None])).to_pylist()
    [None, None]
    """
    return _of_headers(encoded, lambda found: found.height)


@signal(pa.int32(), stored=False)
def image_min_side_px(image_width_px: pa.Array, image_height_px: pa.Array) -> pa.Array:
    """Shorter side in pixels, int32, shape (n,); null where a side is. DataComp keeps >= 200 (arXiv:2304.14108).

    >>> image_min_side_px(pa.array([300, None], pa.int32()), pa.array([100, 5], pa.int32())).to_pylist()
    [100, None]
    """
    return pc.min_element_wise(image_width_px, image_height_px, skip_nulls=False)


@signal(pa.float32(), stored=False)
def image_aspect(image_width_px: pa.Array, image_height_px: pa.Array) -> pa.Array:
    """Longer over shorter side, float32, shape (n,), at least 1; null where a side is. DataComp keeps <= 3.

    >>> image_aspect(pa.array([300, 100, None], pa.int32()), pa.array([100, 100, 5], pa.int32())).to_pylist()
    [3.0, 1.0, None]
    """
    longer = pc.max_element_wise(image_width_px, image_height_px, skip_nulls=False)
    shorter = pc.min_element_wise(image_width_px, image_height_px, skip_nulls=False)
    quotient = pc.divide(longer.cast(pa.float64()), shorter.cast(pa.float64()))
    return quotient.cast(pa.float32(), safe=False)
