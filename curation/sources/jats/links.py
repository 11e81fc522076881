"""Which file a graphic's xlink:href means: the exact name, else the exact stem, else the stem in any case.

Publishers write names with and without the extension, or with one that the archive's own copy no longer has (`.tif`
for a `.jpg`); PubMed Central packs a thumbnail `.gif` beside each `.jpg`.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

RASTER = ("jpg", "jpeg", "png", "gif", "tif", "tiff", "webp", "bmp")  # which of several files is taken, best first
OTHER = ("eps", "pdf", "svg", "svgz", "ps", "ai", "emf", "wmf", "ppt", "pptx")  # images, but none that can be read
EXTENSION = re.compile(rf"\.({'|'.join(RASTER + OTHER)})$", re.IGNORECASE)
PLOS = "info:doi/10.1371/journal."  # PLOS calls pone.1.g001.tif info:doi/10.1371/journal.pone.1.g001
SAME_STEM = 100  # files of one stem that are looked at; more make no sense


def stem(name: str) -> str:
    """A name or href without the extension of an image; what else follows a dot is part of the stem.

    >>> stem("a/pone.0000133.g001"), stem("t-g001.JPG")
    ('a/pone.0000133.g001', 't-g001')
    """
    return EXTENSION.sub("", name)


def rank(name: str) -> int:
    """The place of a name's extension in the order of preference; what cannot be read comes last.

    >>> rank("a.gif") < rank("a.tif") < rank("a.eps") == rank("a")
    True
    """
    found = EXTENSION.search(name)
    return RASTER.index(found[1].lower()) if found and found[1].lower() in RASTER else len(RASTER)


def is_url(href: str) -> bool:
    """Whether an href is a web address, at which the image can be fetched."""
    return href.lower().startswith(("http://", "https://"))


class Files:
    """The files of a package or folder by stem. `home` is the article's folder in it ("" for the top).

    Files outside of `home` are looked at only where `alone`: else a file of the same name would be another article's.
    """

    def __init__(self, names: Iterable[str], home: str = "", alone: bool = True) -> None:
        self.home, self.alone = home, alone
        self.by_stem: dict[str, list[str]] = defaultdict(list)
        for name in names:
            same = self.by_stem[stem(name.rpartition("/")[2]).lower()]
            if len(same) < SAME_STEM:
                same.append(name)

    def find(self, href: str) -> str | None:
        """The name of the file that an href means, null where there is none."""
        try:
            path = urlsplit(href).path if is_url(href) else href.partition("#")[0]
        except ValueError:  # http://[URL]/a.jpg
            return None
        for written in dict.fromkeys((path, unquote(path), path.removeprefix(PLOS))):
            folder, _, base = written.replace("\\", "/").rpartition("/")
            meant = _joined(self.home, "" if is_url(href) else folder)
            keys = [(self._key(name, base, meant), name) for name in self.by_stem.get(stem(base).lower(), ())]
            best = min(((key, name) for key, name in keys if key is not None), default=None)
            if best is not None:
                return best[1]
        return None

    def _key(self, name: str, base: str, meant: str) -> tuple[int, ...] | None:
        """How well a file answers an href, less is better: by its folder, its kind, its name, its extension."""
        folder, _, own = name.rpartition("/")
        below = bool(self.home) and folder.startswith(self.home + "/")
        places = (folder == meant, folder == self.home, below, self.alone)
        place = next((number for number, holds in enumerate(places) if holds), None)
        if place is None:
            return None
        unreadable = rank(own) == len(RASTER) and (own != base or EXTENSION.search(own) is not None)
        likeness = 0 if own == base else 1 if stem(own) == stem(base) else 2
        return place, unreadable, likeness, rank(own)


def _joined(home: str, folder: str) -> str:
    """The folder that a relative path leads to; `..`, the name of none, where it leads out."""
    parts = [part for part in home.split("/") if part]
    for part in folder.split("/"):
        if part == "..":
            if not parts:
                return ".."
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
