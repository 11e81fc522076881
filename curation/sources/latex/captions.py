"""Which caption belongs to which graphic.

A caption belongs to the graphics of the smallest box that holds both. Several captions in one box share its content in
order: each has what stands before it, or behind it where the box begins with a caption and ends with content. A caption
never passes from one panel or minipage to the graphics of another that has its own.
"""

import re
from dataclasses import dataclass, field

from curation.sources.latex.floats import Box, Caption, Graphic, Other


@dataclass
class Pair:
    """A graphic and its caption. `group`: the caption of the whole figure, where the graphic is a panel with its own;
    `is_shared`: the caption is that of several graphics; `panel` of `panels`, from 1."""

    graphic: Graphic
    caption: Caption
    group: Caption | None = None
    is_shared: bool = False
    panel: int = 1
    panels: int = 1
    labels: list[str] = field(default_factory=list)


@dataclass
class Done:
    """Graphics of an inner box that have their captions. `is_panel`: as panels of something larger."""

    pairs: list[Pair]
    is_panel: bool


@dataclass
class Figure:
    """What came of one float: pairs, graphics without a caption, captions without a graphic."""

    pairs: list[Pair] = field(default_factory=list)
    uncaptioned: list[Graphic] = field(default_factory=list)
    unused: list[Caption] = field(default_factory=list)


Part = Graphic | Caption | Other | Done

_FORMAT = re.compile(
    r"\\(?:label|hspace|vspace)\*?\s*\{[^{}]*\}|\\(?:textbf|textit|textrm|textsf|emph|bf|it|rm|sf|bfseries|itshape|small"
    r"|footnotesize|scriptsize|tiny|normalsize|large|centering|protect|hfill|hfil|quad|[,;: ])(?![A-Za-z])"
)
_PANEL_LABEL = re.compile(r"[\W_]*+(?:[A-Za-z]\d?|[ivxIVX]{1,4}|\d{1,2}[A-Za-z]?)?[\W_]*+")


def figure(box: Box) -> Figure:
    """The pairs of one float, in the order of their graphics."""
    found = Figure()
    parts, _ = _parts(box, found)
    for part in parts:
        if isinstance(part, Done):
            found.pairs += part.pairs
        elif isinstance(part, Graphic):
            found.uncaptioned.append(part)
        elif isinstance(part, Caption) and part.kind != "other":
            found.unused.append(part)
    return found


def is_panel_label(text: str) -> bool:
    """Whether a caption only numbers its panel.

    >>> is_panel_label("(a)"), is_panel_label("\\\\textbf{b})"), is_panel_label("Left."), is_panel_label("\\\\mine")
    (True, True, False, False)
    """
    return bool(_PANEL_LABEL.fullmatch(_FORMAT.sub("", text)))


def _parts(box: Box, figure: Figure) -> tuple[list[Part], list[str]]:
    """What a box leaves to the one around it, and the labels that name nothing in it."""
    parts: list[Part] = []
    direct: set[int] = set()
    labels = list(box.labels)
    for item in box.items:
        if isinstance(item, Box):
            inner, left = _parts(item, figure)
            parts += inner
            labels += left
        else:
            parts.append(item)
            direct.add(id(item))
    if box.role == "panel":
        parts = _without_panel_labels(parts)
    parts = _with_subcaptions(_with_notes(parts))
    captions = [part for part in parts if isinstance(part, Caption)]
    content = [part for part in parts if not isinstance(part, Caption)]
    if all(isinstance(part, Graphic) for part in content):
        for caption in captions if not any(c.kind == "main" for c in captions) else ():
            caption.kind = "main"  # a table that is shown as a picture
    if not content or not any(caption.kind == "main" for caption in captions):
        if box.role == "panel":  # its caption is no other's, even if there is nothing to see in it
            figure.unused += [caption for caption in captions if caption.kind == "main"]
            parts = content
        return parts, labels
    rest = _assigned(parts, direct, box.role == "panel", labels)
    lost = [part for part in rest if isinstance(part, Caption)]
    figure.unused += [caption for caption in lost if caption.kind == "main"]
    return [part for part in rest if not isinstance(part, Caption)], []


def _assigned(parts: list[Part], direct: set[int], is_panel: bool, labels: list[str]) -> list[Part]:
    """The parts with every caption that has content replaced by what came of the two."""
    found: list[Part] = []
    for number, (captions, content) in enumerate(_runs(parts)):
        first = captions[0] if captions else None
        figures = [part for part in content if not isinstance(part, Other)]
        independent = any(isinstance(part, Done) and not part.is_panel for part in figures)
        if first is None or not figures or (independent and id(first) not in direct):
            found += [*captions, *figures]
            found += content if first is not None and not figures else []
            continue
        pairs = _pairs(first, figures, [*first.labels, *(labels if number == 0 else ())])
        for other in captions[1:]:  # the same in another language
            extra = [pair for pair in pairs if pair.caption is first]
            pairs += [Pair(p.graphic, other, p.group, p.is_shared, p.panel, p.panels, p.labels) for p in extra]
        found.append(Done(pairs, is_panel))
    return found


def _runs(parts: list[Part]) -> list[tuple[list[Caption], list[Part]]]:
    """Captions and the content that is theirs, in order; captions that follow one another share it."""
    captions = [i for i, part in enumerate(parts) if isinstance(part, Caption) and part.kind == "main"]
    content = [i for i, part in enumerate(parts) if not isinstance(part, Caption)]
    others = [part for part in parts if isinstance(part, Caption) and part.kind != "main"]
    if len(captions) == 1:
        found = [([parts[captions[0]]], [parts[i] for i in content])]
    else:
        is_above = captions[0] < content[0] and captions[-1] < content[-1]
        found = _alternating([p for p in (reversed(parts) if is_above else parts) if p not in others])
        if is_above:
            found = [(captions[::-1], content[::-1]) for captions, content in reversed(found)]
    return found + [([other], []) for other in others]


def _alternating(parts: list[Part]) -> list[tuple[list[Caption], list[Part]]]:
    """Runs of content, each with the captions that follow it."""
    found: list[tuple[list[Caption], list[Part]]] = [([], [])]
    for part in parts:
        if isinstance(part, Caption):
            found[-1][0].append(part)
        else:
            if found[-1][0]:
                found.append(([], []))
            found[-1][1].append(part)
    return found


def _pairs(caption: Caption, content: list[Graphic | Done], labels: list[str]) -> list[Pair]:
    pairs: list[Pair] = []
    graphics = sum(isinstance(part, Graphic) for part in content)
    for part in content:
        if isinstance(part, Graphic):
            pairs.append(Pair(part, caption, is_shared=graphics > 1 or len(content) > 1, labels=labels))
            continue
        for pair in part.pairs:
            pair.group = pair.group or caption
            pair.labels = [*pair.labels, *labels]
            pairs.append(pair)
    places: dict[int, int] = {}
    for pair in pairs:
        pair.panel = places.setdefault(id(pair.graphic), len(places) + 1)
    for pair in pairs:
        pair.panels = len(places)
    return pairs


def _with_notes(parts: list[Part]) -> list[Part]:
    """The parts with each starred caption behind another added to that one as a note; alone it is a caption."""
    found: list[Part] = []
    last: Caption | None = None
    for part in parts:
        if isinstance(part, Caption) and part.kind == "note":
            if last is not None and found and found[-1] is last:
                last.note = part.text
                continue
            part.kind = "main"
        last = part if isinstance(part, Caption) and part.kind == "main" else last
        found.append(part)
    return found


def _with_subcaptions(parts: list[Part]) -> list[Part]:
    """The parts with every `\\subcaption` joined to the content before it, or behind it where there is none before."""
    subs = [i for i, part in enumerate(parts) if isinstance(part, Caption) and part.kind == "sub"]
    graphics = [i for i, part in enumerate(parts) if isinstance(part, Graphic)]
    if not subs:
        return parts
    is_above = bool(graphics) and subs[0] < graphics[0]
    found: list[Part] = []
    run: list[Graphic] = []
    for part in reversed(parts) if is_above else parts:
        if isinstance(part, Graphic):
            run.append(part)
            continue
        is_sub = isinstance(part, Caption) and part.kind == "sub"
        found += _with_subcaption(part, run[::-1] if is_above else run) if is_sub else [*run, part]
        run = []
    found += run
    return found[::-1] if is_above else found


def _with_subcaption(caption: Caption, run: list[Graphic]) -> list[Part]:
    if not is_panel_label(caption.text):
        return [Done(_pairs(caption, run, caption.labels), True)] if run else []
    for graphic in run:
        graphic.label = caption.text
    return list(run)


def _without_panel_labels(parts: list[Part]) -> list[Part]:
    """The parts of a panel without captions that only number it; its graphics keep that as their label."""
    numbers = [part for part in parts if isinstance(part, Caption) and is_panel_label(part.text)]
    for graphic in (part for part in parts if isinstance(part, Graphic)) if numbers else ():
        graphic.label = numbers[0].text
    return [part for part in parts if part not in numbers]
