"""What figures are made of: graphics, captions and labels, in the boxes in which they stand."""

from dataclasses import dataclass, field
from typing import Union

Item = Union["Graphic", "Caption", "Other", "Box"]


@dataclass(eq=False)
class Graphic:
    """One graphics file as it is asked for. `page` of a file with several, from 1."""

    written: str
    page: int = 1
    label: str | None = None  # such as "(a)", where that is all its own caption says


@dataclass(eq=False)
class Caption:
    """One caption as written. `kind`: `main`, `sub` (of what stands before it), `note` (starred) or `other` (of a
    table or listing that stands in a figure). `note`: a starred caption behind it, such as a source."""

    text: str
    kind: str = "main"
    short: str | None = None
    labels: list[str] = field(default_factory=list)
    note: str | None = None


@dataclass(eq=False)
class Other:
    """Content that is no graphics file: a drawing in TeX, a table, a listing."""


@dataclass(eq=False)
class Box:
    """An environment or group and what stands in it, in order. `role`: `figure` or `table` (floats), `panel` (a part of
    a float that may have its own caption), `other` (content that may hold graphics), `paragraph` or `plain`."""

    name: str
    role: str = "plain"
    start: int = 0
    items: list[Item] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


@dataclass
class Paragraph:
    """A paragraph that cites labels: where it stands, and the floats in it."""

    start: int
    end: int
    keys: set[str]
    holes: list[tuple[int, int]]


@dataclass
class Layout:
    """What a text holds: floats and whatever else has a caption, in order; graphics without any; citing paragraphs.

    `is_cut`: there are too many of them, and the rest was not read.
    """

    floats: list[Box] = field(default_factory=list)
    loose: list[Graphic] = field(default_factory=list)
    paragraphs: list[Paragraph] = field(default_factory=list)
    is_cut: bool = False


def graphics_of(box: Box) -> list[Graphic]:
    """All graphics in a box, in order."""
    found: list[Graphic] = []
    waiting: list[Item] = [box]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Graphic):
            found.append(item)
        elif isinstance(item, Box):
            waiting.extend(reversed(item.items))
    return found


def has_caption(box: Box) -> bool:
    """Whether there is a caption anywhere in a box."""
    return any(isinstance(item, Caption) or (isinstance(item, Box) and has_caption(item)) for item in box.items)
