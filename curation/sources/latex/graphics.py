"""The image of a graphics command: which file of the package it is, and its bytes as something that can be decoded."""

import hashlib
import posixpath
import re
from typing import Any, NamedTuple

from curation.errors import BadItemError
from curation.sources.found import IMAGE_BYTES, image_extension
from curation.sources.latex.names import Names
from curation.sources.latex.raster import Rasteriser
from curation.sources.packages import Package

# Where no extension is given, in this order: our specification; then what else TeX distributions can show.
EXTENSIONS = (".pdf", ".png", ".jpg", ".jpeg", ".eps", ".ps", ".gif", ".tif", ".tiff", ".bmp", ".webp", ".svg", ".mps")
CONVERTED = ("-eps-converted-to.pdf", "_eps-converted-to.pdf", "_svg-tex.pdf")  # as epstopdf and svg name them
DRAWN_BYTES = 64 << 20  # of a PDF or EPS file; larger ones exist, but not for one figure
_HEAD_BYTES = 1024  # a PDF's mark comes within these
_SVG = re.compile(rb"\s*(?:<\?xml|<!--|<!DOCTYPE svg|<svg)", re.IGNORECASE)


class Image(NamedTuple):
    """An image that can be decoded: a raw byte range of the source (`pointer`), or bytes to be copied (`data`).

    `identity` is the SHA-256 of the file in the source; `drawn` says from what it was drawn, `pdf` or `eps`, if it was.
    """

    identity: str
    pointer: dict[str, Any] | None
    data: bytes
    extension: str
    drawn: str | None = None


def find(graphic: str, names: Names, folders: list[str]) -> str:
    """The file that a graphics command means by a plain name. Raises BadItemError `missing_file`, `outside_package`."""
    stem, extension = posixpath.splitext(graphic)
    known = extension.lower() in EXTENSIONS
    wanted = ("", *EXTENSIONS, *CONVERTED)
    try:
        return names.find(graphic, folders, wanted)
    except BadItemError as error:
        if not known or error.code != "missing_file":
            raise
        # The name of a figure as it was before it was converted: arXiv and latexmk keep both or only the other.
        return names.find(stem, folders, (*EXTENSIONS[:5], *CONVERTED))


def image(package: Package, name: str, page: int, rasteriser: Rasteriser) -> Image:
    """The image in a member; PDF and EPS are drawn.

    Raises BadItemError `too_large`, `not_an_image`, `not_supported` (SVG and other programs), what reading the package
    raises and what drawing raises.
    """
    head = package.head(name, _HEAD_BYTES)
    if not head:
        raise BadItemError("no_image", f"{name} is empty")
    extension = image_extension(head)
    if extension:
        data = package.read(name, IMAGE_BYTES)
        pointer = package.pointer(name)
        return Image(_digest(data), pointer, b"" if pointer else data, extension)
    if b"%PDF-" in head:
        data = package.read(name, DRAWN_BYTES)
        return Image(_digest(data), None, rasteriser.pdf(data, page), "jpg", "pdf")
    start = _eps_start(head)
    if start is not None:
        data = package.read(name, DRAWN_BYTES)
        return Image(_digest(data), None, rasteriser.eps(data[start[0] : start[1]]), "jpg", "eps")
    if _SVG.match(head):
        raise BadItemError("not_supported", f"{name} is SVG or XML, which is not drawn")
    raise BadItemError("not_an_image", f"{name} begins with {head[:20]!r}")


def _eps_start(head: bytes) -> tuple[int, int | None] | None:
    """Where PostScript begins and ends in a file; null where it is none."""
    if head.startswith(b"\xc5\xd0\xd3\xc6"):  # EPS with a preview: Encapsulated PostScript 3.0, section 5.2
        start, size = (int.from_bytes(head[i : i + 4], "little") for i in (4, 8))
        return start, start + size
    text = head.lstrip(b"\x04\r\n \t\xef\xbb\xbf")  # what old printer drivers and editors put before
    return (len(head) - len(text), None) if text.startswith(b"%!") else None


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
