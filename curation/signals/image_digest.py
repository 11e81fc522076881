"""The encoded file of a picture: its size and its digest."""

import hashlib

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
