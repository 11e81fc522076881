"""LaTeX papers: figures with their captions, from folders, archives, single files and arXiv's bulk tars.

Sources are read, never run. A paper is a main file and what it includes from its own package; which graphic a caption
belongs to follows from the boxes in which they stand (`captions`). We differ from the reference extractor
(nopperl/clip_arxiv_pmc) where it finds nothing: several graphics under one caption become a row each, minipages and
authors' own macros are seen through, and PDF and EPS figures are drawn.
"""

import os
from collections.abc import Iterator
from itertools import chain
from typing import Any

import fsspec
import pyarrow as pa

from curation.errors import BadItemError, RecipeError
from curation.files import local_path
from curation.shards.walk import read_members
from curation.sources.found import Found, ImageSink, Reject, batches, until_broken
from curation.sources.latex.identity import arxiv_id, stem
from curation.sources.latex.mains import LATEX, SOURCES, is_main, mains
from curation.sources.latex.paper import Pictured, Settings, Source, pairs
from curation.sources.latex.raster import Rasteriser
from curation.sources.packages import ARCHIVES, LIMITS, Limits, Package, open_nested, open_package
from curation.sources.packing import CUT, packing, tell_if_blameless, unpacking

SUFFIXES = (*SOURCES, *ARCHIVES, ".gz")
NESTED = (*ARCHIVES, ".gz")
LOOK_BYTES = 1 << 20
LOOK_ZSTD_BYTES = 16 << 20  # assumption: a source comes within these
LOOK_MEMBERS = 2_000  # of a tar, to see whether there is LaTeX in it; assumption: papers hold fewer pictures
SIDE = 512  # pixels: the longest side in arXiv+PMC (nopperl/clip_arxiv_pmc)
SIDES = (16, 4096)  # assumption: nothing smaller can be read, nothing larger is trained on


def read(
    uri: str,
    images: ImageSink,
    *,
    image_root: str | None = None,
    keep_links: bool = False,
    raster_side: int = SIDE,
    archive_members: int = LIMITS.members,
    archive_bytes: int = LIMITS.unpacked,
    archive_nesting: int = LIMITS.nesting,
) -> Iterator[pa.RecordBatch]:
    """The pairs of one paper or of a tar of papers as FOUND batches, and REJECTED ones; items are figures.

    A paper is a main .tex file with the folder it lies in (or IMAGE_ROOT: what it includes must lie in there), a tar or
    zip, or a packed .tex. Images stay where they are in folders and plain tars, else they are copied; PDF and EPS
    figures are drawn as JPEG with a longer side of RASTER_SIDE pixels. ARCHIVE_MEMBERS, ARCHIVE_BYTES (unpacked) and
    ARCHIVE_NESTING bound what is read of one archive. A caption with a URL is rejected as in the reference, unless
    KEEP_LINKS, which removes only the URL. Of several graphics under one caption each is a row of kind `group_caption`.

    Reasons: `no_caption`, `no_graphic` (drawn in TeX), `not_in_figure`, `missing_file`,
    `outside_package`, `link_in_caption`, `no_letters`, `no_ghostscript`, `bad_pdf`, `bad_eps`, `timeout`,
    `decoder_crash`, `not_supported`, `not_an_image`, `too_large`, `include_cycle`, `too_deep`, `too_many_files`,
    `no_main_file`, `withdrawn`, and those of packages.
    """
    if not SIDES[0] <= raster_side <= SIDES[1]:
        raise RecipeError(f"raster_side: {raster_side}, wanted {SIDES[0]} to {SIDES[1]} pixels")
    limits = Limits(archive_members, archive_bytes, LIMITS.ratio, archive_nesting)
    return batches(_items(uri, images, Settings(keep_links, image_root, limits), raster_side))


def looks(uri: str) -> bool | None:
    """Whether a file is a paper, or an archive with LaTeX in it or of papers; false where it cannot be read."""
    try:
        if uri.lower().endswith(".zip"):
            with open_package(uri) as package:
                return any(map(_is_latex, package.members))
        with fsspec.open(uri, "rb") as file:
            packed = packing(file)
            start = unpacking(file, packed) if packed else file
            head = start.read(LOOK_BYTES)
            if head[257:262] != b"ustar" and _is_paper(stem(uri), head):
                return True
            # Arrow's stream cannot seek.
            rest = head + start.read(LOOK_ZSTD_BYTES) if packed == "zstd" else start
            names = (member.name for member, _ in zip(read_members(rest), range(LOOK_MEMBERS)))
            return any(map(_is_latex, names))
    except (*CUT, BadItemError):
        return False


def _is_paper(name: str, head: bytes) -> bool:
    """Whether a single file is a paper; arXiv's may be in plain TeX, which is hard to tell from other texts."""
    if head.startswith((b"%!", b"%PDF")):
        return False
    return is_main(head) or (arxiv_id(name) is not None and bool(LATEX.search(head.decode("latin-1"))))


def _is_latex(name: str) -> bool:
    """Whether a member of an archive is a source, or a paper packed as arXiv's bulk tars have them."""
    folder = name.rpartition("/")[0]
    return name.lower().endswith(SOURCES) or (name.endswith(".gz") and arxiv_id(stem(name), folder) is not None)


def _items(uri: str, images: ImageSink, settings: Settings, side: int) -> Iterator[Found | Reject]:
    document, copied = "", {}  # of the present paper: pointers to what was copied, by identity
    with Rasteriser(side) as rasteriser:
        for item in until_broken(_papers(uri, rasteriser, settings)):
            if isinstance(item, Reject):
                yield item
                continue
            if item.found.document != document:
                document, copied = item.found.document, {}
            yield item.found._replace(image=_pointer(item, images, copied))


def _pointer(item: Pictured, images: ImageSink, copied: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if item.image.pointer:
        return item.image.pointer
    if item.found.identity not in copied:
        copied[item.found.identity] = images.add(item.image.data, item.image.extension)
    return copied[item.found.identity]


def _papers(uri: str, rasteriser: Rasteriser, settings: Settings) -> Iterator[Pictured | Reject]:
    path = local_path(uri)
    if path is not None and path.lower().endswith(SOURCES):
        yield from _in_folder(os.path.abspath(path), rasteriser, settings)
        return
    with open_package(uri, settings.limits) as package:
        yield from package.rejects
        if _is_bulk(package):
            for name in package.members:
                yield from _nested(package, name, rasteriser, settings)
        else:
            yield from _package(package, uri, rasteriser, settings)


def _in_folder(path: str, rasteriser: Rasteriser, settings: Settings) -> Iterator[Pictured | Reject]:
    folder = os.path.dirname(path)
    root = os.path.abspath(local_path(settings.image_root) or settings.image_root) if settings.image_root else folder
    name = os.path.relpath(path, root).replace(os.sep, "/")
    with open_package(root, settings.limits) as package:
        yield from package.rejects
        if name not in package.members:
            raise BadItemError("missing_file", f"{name} is not in {root}")
        above, own = os.path.split(folder)
        arxiv = arxiv_id(own, os.path.basename(above))
        yield from pairs(Source(package, name, arxiv or f"{own}/{stem(name)}", arxiv), rasteriser, settings)


def _is_bulk(package: Package) -> bool:
    names = [name.lower() for name in package.members]
    return any(name.endswith(NESTED) for name in names) and not any(name.endswith(SOURCES) for name in names)


def _nested(package: Package, name: str, rasteriser: Rasteriser, settings: Settings) -> Iterator[Pictured | Reject]:
    """One paper of a tar of papers: whatever is wrong with it costs that paper."""
    if not name.lower().endswith(NESTED):
        yield Reject(name, "not_latex", "a paper without its source")
        return
    try:
        with open_nested(package, name, settings.limits) as paper:
            for item in chain(paper.rejects, _package(paper, name, rasteriser, settings)):
                yield item._replace(item=f"{name}: {item.item}") if isinstance(item, Reject) else item
    except BadItemError as error:
        yield Reject(name, error.code, error.detail)
    except (OSError, EOFError) as error:
        tell_if_blameless(error)
        yield Reject(name, "bad_file", str(error))


def _package(package: Package, name: str, rasteriser: Rasteriser, settings: Settings) -> Iterator[Pictured | Reject]:
    """The papers of one archive: one, or as many as it has main files."""
    folder = name.rpartition("/")[0]
    arxiv = arxiv_id(stem(name), folder)
    main_files = mains(package)
    several = len(main_files) > 1
    for main in main_files:
        document = f"{arxiv or stem(name)}/{stem(main)}" if several and not arxiv else arxiv or stem(name)
        items = pairs(Source(package, main, document, arxiv), rasteriser, settings)
        for item in until_broken(items) if several else items:
            is_named = isinstance(item, Reject) and several
            yield item._replace(item=f"{main}: {item.item}".rstrip(": ")) if is_named else item
