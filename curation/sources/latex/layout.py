"""One walk over a flat text: floats with what stands in them, and the paragraphs that cite labels."""

import re

from curation.sources.latex import words
from curation.sources.latex.floats import (
    Box,
    Caption,
    Graphic,
    Item,
    Layout,
    Other,
    Paragraph,
    graphics_of,
    has_caption,
)
from curation.sources.latex.items import items
from curation.sources.latex.scan import Scanner

MOST_DEPTH = 100  # boxes inside boxes; what is deeper is read as if it were not in a box of its own
MOST_ITEMS = 20_000  # floats, graphics and captions of one paper; assumption: a thesis has hundreds
MOST_TOKENS = 2_000_000  # braces, commands and empty lines that are looked at; assumption: a thesis has 200,000
MOST_PARAGRAPHS = 50_000  # that cite something
MOST_KEYS = 1000  # labels cited in one paragraph
FLOATS = ("figure", "table")
PANELS = words.SUBFLOATS | words.SUBCAPTION_BOXES
_EDGE = r"(?P<edge>begin|end)\s*+\{(?P<name>[^{}\\\n]{1,60}+)\}"
_WORDS = "|".join(sorted(words.MARKED, key=lambda word: (-len(word), word)))
_WORD = rf"(?P<word>{_WORDS}|{words.REFERENCE})(?![A-Za-z@])\*?"
_BLANK = r"(?<=\n)(?P<blank>[ \t]*+\n\s*+)"
# One character is searched for before anything is tried, which is several times faster. Escapes are passed over.
_OUTSIDE = re.compile(rf"[\\\n](?:(?<=\\)(?:{_EDGE}|{_WORD}|\\)|{_BLANK})")
_INSIDE = re.compile(rf"[\\\n{{}}](?:(?<=\\)(?:{_EDGE}|{_WORD}|[\\{{}}])|(?P<brace>(?<=[{{}}]))|{_BLANK})")


def layout(text: str) -> Layout:
    """The figures of a text and the paragraphs that cite labels.

    Braces and environments need not balance: the end of an environment closes whatever is open in it, the begin of a
    float or a section closes a float that was left open.
    """
    walk = _Walk(text)
    walk.run()
    return walk.found


class _Walk:
    """The state of the walk: open boxes, the outermost being the paragraph; there are braces only inside floats."""

    def __init__(self, text: str) -> None:
        self.text, self.scanner, self.at = text, Scanner(text), 0
        self.stack = [Box("", "paragraph")]
        self.float: int | None = None  # its place in the stack
        self.braces_too_deep = self.items = 0
        self.waiting: list[Item] = []  # of the paragraph before; their caption may follow
        self.paragraph = Paragraph(0, 0, set(), [])
        self.found = Layout()

    def run(self) -> None:
        """Fill `found`."""
        left = MOST_TOKENS
        while token := (_OUTSIDE if self.float is None else _INSIDE).search(self.text, self.at):
            self.at = token.end()
            left -= 1
            if token["edge"]:
                (self.begin if token["edge"] == "begin" else self.end)(token["name"].strip(), token.start())
            elif token["word"]:
                self.word(token["word"], token[0].endswith("*"), token.start())
            elif token[0] in ("{", "}"):
                self.brace(token[0])
            elif token["blank"] and self.float is None:
                self.new_paragraph(token.start())
            if self.items > MOST_ITEMS or not left:
                self.found.is_cut = True
                break
        self.close(1, len(self.text))
        self.new_paragraph(len(self.text))
        self.new_paragraph(len(self.text))

    def begin(self, name: str, start: int) -> None:
        """An environment opens."""
        base = name.rstrip("*")
        role = "figure" if base in words.FIGURES else "table" if base in words.TABLES else "plain"
        role = "other" if base in words.OTHER_CONTENT else role
        role = "panel" if self.float is not None and base in words.SUB_ENVIRONMENTS else role
        if role in FLOATS and self.float is not None:
            self.close(self.float, start)  # floats do not stand in floats: the end of one is missing
        if len(self.stack) >= MOST_DEPTH and role not in FLOATS:
            return
        if role in FLOATS:
            del self.stack[MOST_DEPTH - 1 :]
            self.items += 1
            self.float = len(self.stack)
        self.stack.append(Box(name, role, start))
        if base in words.GRAPHICS_ENVIRONMENTS:
            found, self.at = items(self.scanner, "includegraphics", False, self.at)
            self.add(found)

    def end(self, name: str, start: int) -> None:
        """An environment closes, and all that is open in it; an end without a begin in the same float is ignored."""
        first = self.float or 1
        place = next((i for i in range(len(self.stack) - 1, first - 1, -1) if self.stack[i].name == name), None)
        if place is not None:
            self.close(place, self.at)

    def brace(self, mark: str) -> None:
        """A group opens or closes."""
        if mark == "{" and len(self.stack) < MOST_DEPTH:
            self.stack.append(Box("{"))
        elif mark == "{":
            self.braces_too_deep += 1
        elif self.braces_too_deep:
            self.braces_too_deep -= 1
        elif self.stack[-1].name == "{":
            self.close(len(self.stack) - 1, self.at)

    def word(self, word: str, starred: bool, start: int) -> None:
        """A command that is marked in `words`, or a reference."""
        if word == "label":
            found = self.scanner.group(self.at, 1000)
            if found:
                self.label(found[0].strip())
        elif word in words.SECTIONS:
            if word not in ("par", "item", "paragraph", "subparagraph") and self.float is not None:
                self.close(self.float, start)  # there are no sections in floats
            if self.float is None:
                self.new_paragraph(start)
                self.at = self.heading(word)
                self.paragraph.start = self.at
        elif word in words.MARKED:
            if word in PANELS and self.float is None and len(self.stack) > 1:  # a float but for its name
                self.stack[-1].role, self.float = "figure", len(self.stack) - 1
            found, self.at = items(self.scanner, word, starred, self.at)
            self.add(found)
        elif self.float is None:
            self.cite(word)

    def heading(self, word: str) -> int:
        """The position behind what a command that begins a paragraph says itself."""
        at = self.scanner.options(self.at)[1]
        group = None if word in ("par", "item") else self.scanner.group(at, 1000)
        return group[1] if group else at

    def label(self, label: str) -> None:
        """A label names the caption before it in its box, else the box."""
        box = self.stack[-1]
        caption = next((item for item in reversed(box.items) if isinstance(item, Caption)), None)
        (caption or box).labels.append(label)

    def cite(self, word: str) -> None:
        """Note the labels that a reference names."""
        keys, _ = self.scanner.option(self.at) if word == "hyperref" else (None, 0)
        first = None if keys else self.scanner.group(self.scanner.options(self.at)[1], 1000)
        last = self.scanner.group(first[1], 1000) if first and word.endswith("range") else None
        named = {
            key.strip() for text in (keys, first and first[0], last and last[0]) for key in (text or "").split(",")
        }
        if len(self.paragraph.keys) < MOST_KEYS:
            self.paragraph.keys |= named

    def add(self, found: list[Item]) -> None:
        """Put items into the open box; a panel, whose content follows, is opened instead."""
        self.items += len(found)
        in_picture = any(box.name == "picture" for box in self.stack)
        for item in found:
            if in_picture and isinstance(item, Graphic) and item.page > 1:
                continue  # what Inkscape lays upon page 1
            if isinstance(item, Box) and item.name == "{" and self.float is not None and len(self.stack) < MOST_DEPTH:
                self.stack.append(item)
            else:
                self.stack[-1].items.append(item)

    def close(self, place: int, end: int) -> None:
        """Close the open boxes from that place in the stack on."""
        while len(self.stack) > place:
            box = self.stack.pop()
            if box.role in FLOATS:
                self.float, self.braces_too_deep = None, 0
                self.found.floats.append(box)
                self.paragraph.holes.append((box.start, end))
            elif box.role == "other" and not graphics_of(box):
                self.stack[-1].items.append(Other())
            elif box.items or box.labels:
                self.stack[-1].items.append(box)

    def new_paragraph(self, end: int) -> None:
        """What has a caption outside floats becomes one; graphics wait one paragraph for theirs."""
        paragraph, self.paragraph = self.paragraph, Paragraph(end, end, set(), [])
        if paragraph.keys and len(self.found.paragraphs) < MOST_PARAGRAPHS:
            paragraph.end = end
            self.found.paragraphs.append(paragraph)
        if len(self.stack) > 1:
            return  # in a list or theorem, whose items are seen when it closes
        box, self.stack = self.stack[0], [Box("", "paragraph", end)]
        if has_caption(box):
            if not graphics_of(box):
                box.items[:0], self.waiting = self.waiting, []
            self.found.floats.append(box)
        self.found.loose += [graphic for item in self.waiting for graphic in _graphics(item)]
        self.waiting = [] if has_caption(box) else [item for item in box.items if _graphics(item)]


def _graphics(item: Item) -> list[Graphic]:
    return [item] if isinstance(item, Graphic) else graphics_of(item) if isinstance(item, Box) else []
