"""JATS packages as pairs: every article in a file or archive, every figure of it, every panel with its image."""

from collections.abc import Iterator
from typing import NamedTuple

from curation.errors import BadItemError
from curation.sources.found import CAPTION_CHARS, Found, Reject
from curation.sources.jats.article import SNIFF_BYTES, XML_BYTES, describe, may_hold_articles, parse
from curation.sources.jats.figures import Figure, figures
from curation.sources.jats.links import is_url
from curation.sources.jats.pictures import Picture, Shelf, choose, in_folders, in_package
from curation.sources.packages import Limits, Package, is_archive, open_nested, open_package

ARTICLES = (".xml", ".nxml", ".jats")
HREF_CHARS = 1000


class Settings(NamedTuple):
    """What the user may say of how packages are read."""

    tables: bool = False
    image_root: str | None = None
    limits: Limits = Limits()


class Shown(NamedTuple):
    """A pair, and the image that is copied for it; its bytes come with the first pair of an article that needs them."""

    pair: Found
    article: str
    picture: Picture | None


def papers(uri: str, settings: Settings) -> Iterator[Shown | Reject]:
    """The pairs of one XML file or archive. Items of rejects are `MEMBER#FIGURE`, without MEMBER of a single file.

    Raises BadItemError as `open_package` does.
    """
    with open_package(uri, settings.limits) as package:
        yield from _package(package, settings)


def _package(package: Package, settings: Settings) -> Iterator[Shown | Reject]:
    yield from package.rejects
    names = [name for name in package.members if package.single or name.lower().endswith(ARTICLES)]
    articles = []
    for name in names:
        try:
            if may_hold_articles(package.head(name, SNIFF_BYTES)):
                articles.append(name)
        except BadItemError as error:
            yield Reject(name, error.code, error.detail)
    for name in articles:
        yield from _file(package, name, len(articles) == 1, settings)
    if articles:
        return
    archives = [name for name in package.members if is_archive(name)]
    for name in archives:
        yield from _nested(package, name, settings)
    if not archives:
        yield Reject("", "no_article", f"no JATS article among {len(package.members)} members")


def _nested(package: Package, name: str, settings: Settings) -> Iterator[Shown | Reject]:
    try:
        with open_nested(package, name, settings.limits) as nested:
            for item in _package(nested, settings):
                yield item._replace(item=f"{name}/{item.item}") if isinstance(item, Reject) else item
    except BadItemError as error:
        yield Reject(name, error.code, error.detail)


def _file(package: Package, name: str, alone: bool, settings: Settings) -> Iterator[Shown | Reject]:
    """The pairs of an XML file; one that cannot be read costs itself."""
    item = "" if package.single else name
    try:
        articles = parse(package.read(name, XML_BYTES))
    except BadItemError as error:
        yield Reject(item, error.code, error.detail)
        return
    home = name.rpartition("/")[0]
    if package.single:
        folder = package.uri.rpartition("/")[0] or "."
        shelf = in_folders([folder, *([settings.image_root] if settings.image_root else [])])
    else:
        shelf = in_package(package, home, alone)
    for element in articles:
        article = describe(element, name)
        loaded: dict[str, Picture | BadItemError] = {}
        for figure in figures(article, settings.tables):
            if isinstance(figure, Reject):
                yield figure._replace(item=f"{item}#{figure.item}" if figure.item else item)
                continue
            for pair, picture in _pairs(figure, shelf, loaded):
                extra = article.extra | pair.extra | ({} if package.single else {"member": name})
                pair = pair._replace(
                    identity=f"{article.identity}/{pair.identity}", document=article.document, extra=extra
                )
                yield Shown(pair, f"{package.uri}/{name}#{article.identity}", picture)


def _pairs(
    figure: Figure, shelf: Shelf, loaded: dict[str, Picture | BadItemError]
) -> Iterator[tuple[Found, Picture | None]]:
    """A pair for each panel of a figure, whether its image is there or not, and why not."""
    for number, panel in enumerate(figure.panels, 1):
        graphic, name = choose(panel, shelf)
        extra = figure.extra | {
            "href": graphic.href[:HREF_CHARS],
            "panel": str(number),
            "panel_count": str(len(figure.panels)),
        }
        own = {"panel_label": graphic.label, "panel_caption": graphic.caption}
        extra |= {name: text[:CAPTION_CHARS] for name, text in own.items() if text}
        picture = _picture(shelf, name, loaded) if name else BadItemError("missing_file")
        if isinstance(picture, BadItemError):
            extra["image_error"] = str(picture)
        yield (
            Found(
                identity=f"{figure.id}#{number}",
                caption=figure.caption,
                caption_kind=figure.caption_kind,
                document="",
                url=graphic.href if is_url(graphic.href) else None,
                image=picture.pointer if isinstance(picture, Picture) else None,
                license=figure.license,
                license_group=figure.license_group,
                context=figure.context,
                captions=figure.captions,
                extra=extra,
            ),
            picture if isinstance(picture, Picture) and picture.pointer is None else None,
        )


def _picture(shelf: Shelf, name: str, loaded: dict[str, Picture | BadItemError]) -> Picture | BadItemError:
    """The image file of a name, its bytes only the first time; or why it cannot be had."""
    if name in loaded:
        return loaded[name]
    try:
        found = shelf.load(name)
    except BadItemError as error:
        loaded[name] = error
        return error
    loaded[name] = found._replace(data=None)
    return found
