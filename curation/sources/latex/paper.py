"""The pairs of one paper: its figures with their captions, images, context and identity."""

import posixpath
from collections.abc import Iterator
from typing import NamedTuple

from curation.errors import BadItemError
from curation.sources.found import Found, Reject, caption_text, license_group
from curation.sources.latex import identity
from curation.sources.latex.captions import Figure, Pair, figure
from curation.sources.latex.context import Citations
from curation.sources.latex.flatten import Flat, flatten
from curation.sources.latex.floats import Box, Caption, Graphic
from curation.sources.latex.graphics import Image, find, image
from curation.sources.latex.layout import layout
from curation.sources.latex.names import Names, plain_name
from curation.sources.latex.raster import Rasteriser
from curation.sources.latex.text import Text, readable, stripped
from curation.sources.packages import LIMITS, Limits, Package

MOST_TEXT_CHARS = 1 << 20  # of LaTeX in captions and citing paragraphs; the longest shared real paper has 51,000


class Settings(NamedTuple):
    """What the user may choose: whether captions with links are kept, without the link; the folder in which a paper's
    files must lie, where it is not that of its main file; and the most that an archive may hold."""

    keep_links: bool = False
    image_root: str | None = None
    limits: Limits = LIMITS


class Source(NamedTuple):
    """Where a paper is: its package, its main file in there, the name it goes by, and its arXiv id if it has one."""

    package: Package
    main: str
    document: str
    arxiv: str | None


class Pictured(NamedTuple):
    """A pair whose image, where it has no pointer, is still to be copied."""

    found: Found
    image: Image


def pairs(source: Source, rasteriser: Rasteriser, settings: Settings) -> Iterator[Pictured | Reject]:
    """The pairs of one paper, in order, and a reject for each figure that is none.

    Raises BadItemError where the main file cannot be read.
    """
    rasteriser.new_paper()
    names = Names(source.package.members)
    flat = flatten(source.package, names, source.main)
    yield from flat.rejects
    yield from _Paper(source, names, flat, rasteriser, settings).items()


class _Paper:
    """What is known of one paper while its figures are read."""

    def __init__(self, source: Source, names: Names, flat: Flat, rasteriser: Rasteriser, settings: Settings) -> None:
        self.source, self.names, self.flat = source, names, flat
        self.rasteriser, self.settings = rasteriser, settings
        self.chars_left = MOST_TEXT_CHARS
        top = posixpath.dirname(source.main)
        self.folders = [top, *(posixpath.join(top, f) for f in flat.folders), "", *flat.folders, *flat.places]
        self.images: dict[tuple[str, int], Image | BadItemError] = {}
        license = identity.licence(flat.preamble, flat.body)
        self.license = license and self.read(license).text
        title = identity.title(flat.preamble, flat.body)
        self.title = self.read(title).text[:500] if title else None

    def read(self, latex: str, urls: bool = True) -> Text:
        """What LaTeX prints. Raises BadItemError `too_large` where that is more than any paper has."""
        if self.chars_left < 0:
            raise BadItemError("too_large", f"more than {MOST_TEXT_CHARS} characters of captions and paragraphs")
        text = readable(latex, self.flat.macros, self.flat.switches, urls=urls)
        self.chars_left -= text.chars
        return text

    def items(self) -> Iterator[Pictured | Reject]:
        """The pairs and rejects of all floats, then those of what stands in none."""
        found = layout(self.flat.body)
        citations = Citations(self.flat.body, found.paragraphs, lambda latex: self.read(latex).text)
        number = 0
        for box in found.floats:
            one = figure(box)
            if not (one.pairs or one.uncaptioned or (one.unused and box.role == "figure")):
                continue  # a table, or a caption that stands alone
            number += 1
            yield from self.of_figure(f"fig{number}", box, one, citations)
        for graphic in found.loose:
            yield Reject(self.shown(graphic), "not_in_figure")
        if found.is_cut:
            yield Reject("", "too_many_figures", "the rest of the paper was not read")

    def shown(self, graphic: Graphic) -> str:
        return " ".join(plain_name(graphic.written, self.flat.macros, self.flat.switches).split())[:200]

    def of_figure(self, name: str, box: Box, one: Figure, citations: Citations) -> Iterator[Pictured | Reject]:
        for pair in one.pairs:
            panel = f"#{pair.panel}" if pair.panels > 1 else ""
            try:
                pictured = self.pictured(name, box, pair, citations)
            except BadItemError as error:
                yield Reject(f"{name}{panel} {self.shown(pair.graphic)}", error.code, error.detail)
                continue
            yield pictured
            used = pictured.found.extra["file"], pair.graphic.page
            self.images[used] = pictured.image._replace(data=b"")  # the pool has it by now
        for graphic in one.uncaptioned:
            yield Reject(f"{name} {self.shown(graphic)}", "no_caption")
        for caption in one.unused:
            yield Reject(name, "no_graphic", self.read(caption.text).text)

    def pictured(self, name: str, box: Box, pair: Pair, citations: Citations) -> Pictured:
        caption = self.read(pair.caption.text, urls=False)
        if caption.has_link and not self.settings.keep_links:
            raise BadItemError("link_in_caption", caption.text)
        text, extra = caption_text(caption.text)
        file = find(self.shown(pair.graphic), self.names, self.folders)
        shown = self.image(file, pair.graphic.page)
        page = f"#page{pair.graphic.page}" if pair.graphic.page > 1 else ""
        extra |= self.extra(name, box, pair, text, file)
        if shown.drawn:
            extra["drawn_from"] = shown.drawn
        found = Found(
            identity=f"arxiv:{self.source.arxiv}/{file}{page}" if self.source.arxiv else shown.identity + page,
            caption=text,
            caption_kind="group_caption" if pair.is_shared else "caption",
            document=self.source.document,
            license=self.license,
            license_group=license_group(self.license),
            context=citations.of(pair.labels),
            image=shown.pointer,
            extra=extra,
        )
        return Pictured(found, shown)

    def image(self, file: str, page: int) -> Image:
        """The image in a file; each is read and drawn once."""
        if (file, page) not in self.images:
            try:
                self.images[file, page] = image(self.source.package, file, page, self.rasteriser)
            except BadItemError as error:
                self.images[file, page] = error
        found = self.images[file, page]
        if isinstance(found, BadItemError):
            raise found
        return found

    def extra(self, name: str, box: Box, pair: Pair, text: str, file: str) -> dict[str, str]:
        """What else is known of a pair, by name."""
        plain = stripped(text)
        known = {
            "figure": name,
            "file": file,
            "label": pair.labels[0] if pair.labels else "",
            "float": "" if box.role in ("figure", "paragraph") else box.role,
            "panel": str(pair.panel) if pair.panels > 1 else "",
            "panel_count": str(pair.panels) if pair.panels > 1 else "",
            "panel_label": self.said(pair.graphic.label),
            "group_caption": self.said(pair.group),
            "short_caption": self.said(pair.caption.short),
            "caption_note": self.said(pair.caption.note),
            "caption_stripped": "" if plain == text else plain,
            "title": self.title or "",
            "page": str(pair.graphic.page) if pair.graphic.page > 1 else "",
        }
        return {key: value for key, value in known.items() if value}

    def said(self, latex: str | Caption | None) -> str:
        return self.read(latex.text if isinstance(latex, Caption) else latex).text[:4096] if latex else ""
