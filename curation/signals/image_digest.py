"""The encoded file of a picture: its size and its digest; and the digest of its pixels."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.signal import signal


@signal(pa.int64())
def image_bytes(encoded: pa.Array) -> pa.Array:
    """Bytes of the encoded image, int64, shape (n,), at least 0; null where there is none. Decodes nothing.

    >>> image_bytes(pa.array([b"abc", None])).to_pylist()
    [3, None]
    """
    return pc.binary_length(encoded).cast(pa.int64())


@signal(pa.string())
def image_sha256(encoded: pa.Array) -> pa.Array:
    """SHA-256 of the encoded image, 64 lower-case hex, shape (n,); null where there is none. Decodes nothing.

    >>> image_sha256(pa.array([b"abc", None])).to_pylist()[0][:16]
    'ba7816bf8f01cfea'
    """
    digests = [hashlib.sha256(data.as_buffer()).hexdigest() if data.is_valid else None for data in encoded]
    return pa.array(digests, pa.string())


@signal(pa.string())
def image_pixels_sha256(pixels: list[np.ndarray | None]) -> pa.Array:
    """SHA-256 of the decoded pixels, 64 lower-case hex, shape (n,); null where the picture is.

    Over "HEIGHTxWIDTH " and the RGB bytes in full resolution, turned as EXIF says: files that differ in format without
    loss, in compression or in metadata alone have the same.

    >>> one, other = np.zeros((2, 3, 3), np.uint8), np.zeros((3, 2, 3), np.uint8)
    >>> len(set(image_pixels_sha256([one, one.copy(), other]).to_pylist()))
    2
    """
    return pa.array([None if rows is None else _pixel_digest(rows) for rows in pixels], pa.string())


def _pixel_digest(pixels: np.ndarray) -> str:
    digest = hashlib.sha256(f"{pixels.shape[0]}x{pixels.shape[1]} ".encode())
    digest.update(np.ascontiguousarray(pixels))
    return digest.hexdigest()
