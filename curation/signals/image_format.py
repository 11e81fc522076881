"""The format of an encoded picture, told by content."""

import pyarrow as pa

from curation.errors import BadItemError
from curation.headers import header
from curation.signal import signal


@signal(pa.string())
def image_format(encoded: pa.Array) -> pa.Array:
    """jpg, png, webp, gif, bmp or tiff by content, never by name, string, shape (n,); null if no image in the limits.

    Decodes nothing. LAION-400M takes JPEG and PNG (arXiv:2111.02114).

    >>> gif = b"GIF89a" + bytes([2, 0, 1, 0, 0, 0, 0, 44, 0, 0, 0, 0, 2, 0, 1, 0])
    >>> image_format(pa.array([gif, b"<html>", None])).to_pylist()
    ['gif', None, None]
    """

    def one(data: bytes | None) -> str | None:
        try:
            return None if data is None else header(data).format
        except BadItemError:
            return None

    return pa.array([one(data.as_py()) for data in encoded], pa.string())
