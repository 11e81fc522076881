"""Where the images of an article are: members of its package, or files in its folder."""

import functools
import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import fsspec

from curation.errors import BadItemError
from curation.files import local_path
from curation.sources.found import IMAGE_BYTES, image_extension
from curation.sources.jats.graphics import Graphic, Panel
from curation.sources.jats.links import OTHER, RASTER, Files, is_url, rank
from curation.sources.packages import Package
from curation.sources.packing import tell_if_blameless
from curation.sources.pictures import is_file

HEAD_BYTES = 32  # enough to tell every image by its first bytes
FOLDERS = 4  # listings that are remembered, each perhaps of a million names: the folder, one in it, IMAGE_ROOT


class Picture(NamedTuple):
    """An image file that was found: its pointer, or else its bytes, which are not a byte range of any file."""

    name: str
    pointer: dict[str, Any] | None
    data: bytes | None
    extension: str


class Shelf(NamedTuple):
    """`find(href)` gives the name of an image file or null; `load(name)` the file, or raises BadItemError.

    Its codes: `too_large`, `not_an_image`, `unsupported_format`, `outside_root`, and those of `Package.head`.
    """

    find: Callable[[str], str | None]
    load: Callable[[str], Picture]


def in_package(package: Package, home: str, alone: bool) -> Shelf:
    """The images of a package; `home` is the folder of the article in it, `alone` whether it has no other article."""

    def load(name: str) -> Picture:
        extension = _checked(name, package.members[name], package.head(name, HEAD_BYTES))
        pointer = package.pointer(name)
        return Picture(name, pointer, None if pointer else package.read(name, IMAGE_BYTES), extension)

    return Shelf(Files(package.members, home, alone).find, load)


def in_folders(folders: Iterable[str]) -> Shelf:
    """The images in folders of a file system, and in folders below them that an href names; links lead nowhere else."""
    tops = [folder.rstrip("/") for folder in dict.fromkeys(folders)]

    def find(href: str) -> str | None:
        inside = "" if is_url(href) else href.replace("\\", "/").rpartition("/")[0].strip("/")
        for top in tops:
            for folder in dict.fromkeys((f"{top}/{inside}", top) if inside else (top,)):
                name = _listed(folder, _stamp(folder)).find(href) if _is_inside(folder, top) else None
                if name is not None:
                    return f"{folder}/{name}"
        return None

    def load(uri: str) -> Picture:
        top = next(top for top in tops if uri.startswith(f"{top}/"))
        if not _is_inside(uri, top):
            raise BadItemError("outside_root", f"{uri} leads out of {top}")
        if local_path(uri) is not None and not is_file(uri):  # a pipe or a device would block or never end
            raise BadItemError("not_a_file", uri)
        with fsspec.open(uri, "rb") as file:
            head = file.read(HEAD_BYTES)
            size = file.seek(0, 2)
        return Picture(uri, {"uri": uri, "offset": 0, "length": None}, None, _checked(uri, size, head))

    return Shelf(find, load)


def _is_inside(uri: str, top: str) -> bool:
    """Whether a place is a folder or in it, after all links."""
    path = local_path(uri)
    if path is None:
        return ".." not in uri.split("/")
    real, root = os.path.realpath(path), os.path.realpath(local_path(top))
    return real == root or real.startswith(root.rstrip("/") + "/")


def _checked(name: str, size: int, head: bytes) -> str:
    """The extension of an image file by its content. Raises BadItemError where it is none that can be read."""
    if size > IMAGE_BYTES:
        raise BadItemError("too_large", f"{name} of {size} bytes, at most {IMAGE_BYTES} are read")
    extension = image_extension(head)
    if extension is None:
        known = name.rpartition(".")[2].lower()
        raise BadItemError("unsupported_format" if known in OTHER else "not_an_image", f"{name} begins {head[:12]!r}")
    return extension


def _stamp(folder: str) -> int:
    path = local_path(folder)
    try:
        return os.stat(path).st_mtime_ns if path is not None else 0
    except (OSError, ValueError) as error:
        tell_if_blameless(error)
        return -1


@functools.lru_cache(FOLDERS)
def _listed(folder: str, stamp: int) -> Files:
    """The files of a folder as it was when `stamp` was taken; none where it cannot be listed."""
    if stamp < 0:
        return Files(())
    file_system, path = fsspec.core.url_to_fs(folder)
    try:
        names = file_system.ls(path, detail=False)
    except OSError as error:
        tell_if_blameless(error)
        return Files(())
    return Files(sorted(name.rstrip("/").rpartition("/")[2] for name in names))


def choose(panel: Panel, shelf: Shelf) -> tuple[Graphic, str | None]:
    """The graphic of a panel that is taken, and its file: no thumbnail, one with a file, the best format, the first."""

    def worth(graphic: Graphic, name: str | None) -> tuple[bool, bool, int]:
        shown = name if name is not None else graphic.href
        return graphic.thumbnail, name is None, rank(shown) if shown else len(RASTER)

    found = [(graphic, shelf.find(graphic.href)) for graphic in panel]
    return min(found, key=lambda each: worth(*each))
