"""The images of a table's rows: bytes are copied into the pool once, files are pointed to where they are."""

import hashlib
import os
import stat
from typing import Any, NamedTuple

import fsspec

from curation.errors import BadItemError
from curation.files import local_path
from curation.sources.found import IMAGE_BYTES, ImageSink, image_extension
from curation.sources.packing import tell_if_blameless


class Picture(NamedTuple):
    """An image and what identifies it: `sha256:` and the digest of its bytes."""

    identity: str
    pointer: dict[str, Any]


class Pictures:
    """The images of one table. The last one is remembered, for rows that share it."""

    def __init__(self, images: ImageSink, uri: str, image_root: str | None) -> None:
        self.images, self.root = images, root_of(uri, image_root)
        self.row, self.last = -1, None

    def of_row(self, row: int, value: Any) -> Picture | BadItemError:
        """The image of a row, or why there is none; `value` is what the table holds: bytes, a path, {bytes, path} or
        a list with one of them."""
        if row != self.row:
            try:
                self.last = self._read(value)
            except BadItemError as error:
                self.last = error
            self.row = row
        return self.last

    def _read(self, value: Any) -> Picture:
        if isinstance(value, list):
            if len(value) > 1:
                raise BadItemError("several_images", f"{len(value)} images for one caption")
            value = value[0] if value else None
        if isinstance(value, dict):
            value = value.get("bytes") or value.get("path")
        if not value:
            raise BadItemError("no_image")
        if not isinstance(value, bytes | str):
            raise BadItemError("no_image", f"wanted bytes or a path, found {type(value).__name__}")
        return from_bytes(value, self.images) if isinstance(value, bytes) else from_path(value, self.root)


def root_of(uri: str, image_root: str | None) -> str:
    """The folder in which a table's relative paths begin and which no path may leave; by default the table's own."""
    root = image_root or uri.rpartition("/")[0] or "."
    path = local_path(root)
    return root.rstrip("/") if path is None else os.path.abspath(path)


def from_bytes(data: bytes, images: ImageSink) -> Picture:
    """Copy an image file into the pool. Raises BadItemError `no_image` where it is empty, `too_large` over 20 MiB."""
    if not data:
        raise BadItemError("no_image", "no bytes")
    if len(data) > IMAGE_BYTES:
        raise BadItemError("too_large", f"an image of {len(data)} bytes, at most {IMAGE_BYTES} are read")
    pointer = images.add(data, image_extension(data) or "bin")
    return Picture(f"sha256:{hashlib.sha256(data).hexdigest()}", pointer)


def from_path(path: str, root: str) -> Picture:
    """Point to an image file inside `root`; a path that is not absolute begins there.

    Raises BadItemError `outside_root` where it leads elsewhere, `missing_file` where there is no such regular file.
    """
    local = local_path(path)
    if local is not None and "://" not in root:
        uri = os.path.normpath(os.path.join(root, local))
    else:
        uri = path if "://" in path else f"{root}/{path}"
    if not uri.startswith(root.rstrip("/") + "/") or ".." in uri.split("/"):
        raise BadItemError("outside_root", f"{path} is not inside {root}: name its folder with image_root")
    try:
        if "://" not in uri and not is_file(uri):  # a pipe or a device would block or never end
            raise BadItemError("missing_file", uri)
        with fsspec.open(uri, "rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            size = file.tell()
    except (OSError, ValueError) as error:
        tell_if_blameless(error)
        raise BadItemError("missing_file", f"{uri}: {error}") from error
    if not size:
        raise BadItemError("no_image", f"{uri} is empty")
    return Picture(f"sha256:{digest.hexdigest()}", {"uri": uri, "offset": 0, "length": None})


def is_file(uri: str) -> bool:
    """Whether there is a regular file, also in an object store; PermissionError where that is not to be known."""
    try:
        path = local_path(uri)
        if path is not None:
            return stat.S_ISREG(os.stat(path).st_mode)
        file_system, path = fsspec.core.url_to_fs(uri)
        return file_system.info(path)["type"] == "file"
    except (OSError, ValueError) as error:
        tell_if_blameless(error)
        return False
