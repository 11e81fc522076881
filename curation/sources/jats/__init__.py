"""JATS articles (NISO Z39.96, also NLM's DTDs before it): figures with their captions, licences and citing paragraphs.

A file is an XML article with its images beside it, an archive of one or more articles (a tar.gz of PubMed Central, a
zip of SciELO, a MECA zip, as bioRxiv's .meca), or a file list of PubMed Central's Open Access subset.
"""

import contextlib
from collections.abc import Iterator

import fsspec
import pyarrow as pa

from curation.errors import BadItemError
from curation.files import local_path
from curation.shards.walk import read_members
from curation.sources.found import Found, ImageSink, Reject, batches, license_group, until_broken
from curation.sources.jats import lists
from curation.sources.jats.article import SNIFF_BYTES, may_hold_articles
from curation.sources.jats.papers import ARTICLES, Settings, Shown, papers
from curation.sources.packages import LIMITS, Limits, is_archive, open_package
from curation.sources.packing import CUT, packing, unpacking
from curation.sources.tars import IMAGES

TARS = (".tar", ".tar.gz", ".tgz", ".tar.zst")
SURE = (".nxml", ".jats")  # names that nothing else has
SUFFIXES = (*ARTICLES, *(name + ".gz" for name in ARTICLES), ".zip", ".meca", *TARS, *lists.SUFFIXES)
SAMPLE_TEXTS = ("txt", "json")  # what tars of samples hold beside images


def read(
    uri: str,
    images: ImageSink,
    *,
    table_images: bool = False,
    image_root: str | None = None,
    archive_members: int = LIMITS.members,
    archive_bytes: int = LIMITS.unpacked,
    archive_nesting: int = LIMITS.nesting,
) -> Iterator[pa.RecordBatch]:
    """The pairs of one file as FOUND batches, and REJECTED ones; items are `MEMBER#FIGURE`.

    One pair a panel: `identity` is `pmc:PMC1/fig2#1` (else `doi:...`, `pmid:...`), `caption_kind` is `caption`,
    `group_caption` or `table`, `context` holds the paragraphs that cite the figure. An image that is a file or lies in
    a plain tar stays where it is, others are copied; one that is missing leaves a pair without image and `image_error`
    in `extra`, beside label, language, panel, title, journal, date, ids and what else the article says. TABLE_IMAGES
    reads images of tables as well. IMAGE_ROOT is where images are looked for besides the article's folder, and where
    the paths of a file list begin. ARCHIVE_MEMBERS, ARCHIVE_BYTES (unpacked) and ARCHIVE_NESTING bound what is read of
    one.

    Reasons: `no_caption`, `no_letters`, `no_graphic`, `too_many_figures`; of an article: those of `article.parse`; of
    a package: those of `packages.open_package`; of a list: those of `lists.listed`.
    """
    limits = Limits(archive_members, archive_bytes, LIMITS.ratio, archive_nesting)
    return batches(_copied(_shown(uri, Settings(table_images, image_root, limits)), images))


def looks(uri: str) -> bool | None:
    """Whether a file holds JATS articles, or lists packages of them; null where that cannot be told cheaply."""
    name = uri.lower()
    try:
        if name.endswith(lists.SUFFIXES):
            return lists.looks_like_list(uri)
        if name.endswith(TARS):
            return _looks_tar(uri)
        if name.endswith((*SURE, *(suffix + ".gz" for suffix in SURE))):
            return True
        if local_path(uri) is None:  # there may be a million of them, each a request
            return None
        with open_package(uri) as package:
            heads = (name for name in package.members if package.single or name.lower().endswith(ARTICLES))
            return any(may_hold_articles(package.head(name, SNIFF_BYTES)) for name in heads)
    except (*CUT, BadItemError):
        return None


def _looks_tar(uri: str) -> bool | None:
    """Whether a tar holds an article; a tar of samples, told by an image and a text of one key, is not searched on.

    Null where it holds archives but no article, and for a packed one that is too long to be searched.
    """
    keys: dict[str, set[bool]] = {}
    has_archives = False
    with contextlib.suppress(*CUT, BadItemError), fsspec.open(uri, "rb") as file:
        packed = packing(file)
        stream = unpacking(file, packed) if packed else file
        for member in read_members(stream, [], LIMITS.members):
            if packed and member.offset + member.bytes > LIMITS.unpacked:
                return None
            key, _, extension = member.name.lower().rpartition(".")
            has_archives |= is_archive(member.name)
            if f".{extension}" in ARTICLES:
                stream.seek(member.offset)
                if may_hold_articles(stream.read(min(member.bytes, SNIFF_BYTES))):
                    return True
            elif extension in (*IMAGES, *SAMPLE_TEXTS):
                kinds = keys.setdefault(key, set())
                kinds.add(extension in IMAGES)
                if len(kinds) == 2:
                    return False
    return None if has_archives else False


def _shown(uri: str, settings: Settings) -> Iterator[Shown | Reject]:
    if not uri.lower().endswith(lists.SUFFIXES):
        yield from papers(uri, settings)
        return
    for listed in lists.listed(uri, settings.image_root):
        if isinstance(listed, Reject):
            yield listed
            continue
        for item in until_broken(papers(listed.uri, settings)):
            if isinstance(item, Reject):
                yield item._replace(item=f"{listed.path}/{item.item}".rstrip("/"))
            else:
                yield item._replace(pair=_as_listed(item.pair, listed))


def _as_listed(pair: Found, listed: lists.Listed) -> Found:
    """A pair with what the list says: the licence, where the article states none, and a retraction."""
    extra = pair.extra | {"package": listed.path}
    if listed.retracted:
        extra["retracted"] = listed.retracted
    if pair.license is None and listed.license:
        pair = pair._replace(license=listed.license, license_group=license_group(listed.license))
    return pair._replace(extra=extra)


def _copied(items: Iterator[Shown | Reject], images: ImageSink) -> Iterator[Found | Reject]:
    """The pairs, with the images copied that are not a byte range of any file: each once for an article."""
    article, pointers = None, {}
    for item in until_broken(items):
        if isinstance(item, Reject):
            yield item
            continue
        if item.article != article:
            article, pointers = item.article, {}
        picture = item.picture
        if picture is None:
            yield item.pair
            continue
        if picture.data is not None:
            pointers[picture.name] = images.add(picture.data, picture.extension)
        yield item.pair._replace(image=pointers[picture.name])
