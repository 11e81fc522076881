"""Commands that show a graphics file or give a caption, with their arguments."""

import re

from curation.sources.latex import words
from curation.sources.latex.floats import Box, Caption, Graphic, Item, Other
from curation.sources.latex.scan import Scanner, names

UNCLOSED_CHARS = 4096  # of a caption whose brace is not closed
NAME_CHARS = 1000  # of a file name
TABLE_KINDS = names("table algorithm listing lstlisting")  # what \captionof may name besides figures
_FILE_KEY = re.compile(r"(?:^|,)\s*(?:file|figure)\s*=\s*(\{[^{}]*\}|[^,]*)")
_LABEL = re.compile(r"\\label\s*\{([^{}]*)\}")
_PAGE = re.compile(r"(?:^|,)\s*page\s*+=\s*+(?:\{\s*+)?(\d{1,5})")
_FILE = re.compile(r"[^\s{}\\]+\.(?:e?ps|pdf|png|jpe?g|gif|tiff?)", re.IGNORECASE)
_UNCLOSED_END = re.compile(r"\\(?:end|begin|label|includegraphics)(?![A-Za-z])|\n\s*\n")


def items(scanner: Scanner, word: str, starred: bool, at: int) -> tuple[list[Item], int]:
    """What a command stands for, its arguments beginning at `at`, and the position behind them.

    Of a panel's content only the brace that opens it is read: the panel is a box that goes on.
    """
    if word in words.OTHER_COMMANDS:
        return [Other()], at
    if word in words.SUBFLOATS or word in words.SUBCAPTION_BOXES:
        return _panel(scanner, word, at)
    if word in words.CAPTIONED_GRAPHICS:
        return _captioned(scanner, at)
    if word in words.KIND_CAPTIONS:
        return _caption_of(scanner, word, at)
    if word in words.CAPTIONS or word in words.SUBCAPTIONS or word in words.TWO_CAPTIONS:
        found, at = _caption(scanner, word, starred, at)
        second, at = _caption(scanner, word, starred, at) if word in words.TWO_CAPTIONS else ([], at)
        return found + second, at
    return _graphics(scanner, word, at)


def labels_in(text: str) -> list[str]:
    """The labels that a text sets."""
    return [label.strip() for label in _LABEL.findall(text)]


def _caption(scanner: Scanner, word: str, starred: bool, at: int) -> tuple[list[Item], int]:
    options, at = scanner.options(scanner.star(at))
    found = scanner.group(at)
    if found is None and scanner.text.startswith("{", scanner.skip(at)):
        start = scanner.skip(at) + 1
        end = _UNCLOSED_END.search(scanner.text, start, start + UNCLOSED_CHARS)
        stop = end.start() if end else min(len(scanner.text), start + UNCLOSED_CHARS)
        found = scanner.text[start:stop], stop
    if found is None:
        return [], at
    kind = "sub" if word in words.SUBCAPTIONS else "note" if starred else "main"
    file = _FILE.fullmatch(options[0].strip()) if word == "figcaption" and options else None
    caption = Caption(found[0], kind, None if file or not options else options[0], labels_in(found[0]))
    return ([Graphic(file[0])] if file else []) + [caption], found[1]


def _caption_of(scanner: Scanner, word: str, at: int) -> tuple[list[Item], int]:
    """A caption with the kind of float that it is for."""
    kind = scanner.group(at, 100)
    found, at = _caption(scanner, word, False, kind[1] if kind else at)
    is_table = kind is not None and kind[0].strip() in TABLE_KINDS
    for caption in (item for item in found if isinstance(item, Caption) and is_table):
        caption.kind = "other"
    return found, at


def _panel(scanner: Scanner, word: str, at: int) -> tuple[list[Item], int]:
    """A panel with its caption, if it has one, as options or, in some packages, the first group."""
    options, at = scanner.options(at)
    text = options[-1] if options else None
    if word in words.SUBCAPTION_BOXES:
        group = scanner.group(at)
        text = group and group[0]
        at = scanner.options(group[1] if group else at)[1]
    at = scanner.skip(at)
    captions: list[Item] = [Caption(text, labels=labels_in(text))] if text else []
    if not scanner.text.startswith("{", at):
        return captions, at
    return [Box("{", "panel", at, captions)], at + 1


def _graphics(scanner: Scanner, word: str, at: int) -> tuple[list[Item], int]:
    options, at = scanner.options(scanner.star(at))
    first = scanner.group(at, NAME_CHARS)
    if first is None:
        return [], at
    keys, file, at = options[0] if options else "", first[0], first[1]
    if word in words.KEYED_GRAPHICS:
        named = _FILE_KEY.search(file)
        return [Graphic(named[1])] if named else [], at
    second = scanner.group(at, NAME_CHARS) if word in words.SECOND_GRAPHICS or word in words.TWO_GRAPHICS else None
    if second and word in words.SECOND_GRAPHICS:
        keys, file = file, second[0]
    page = _PAGE.search(keys)
    found: list[Item] = [Graphic(file, max(1, int(page[1])) if page else 1)]
    found += [Graphic(second[0])] if second and word in words.TWO_GRAPHICS else []
    return found, second[1] if second else at


def _captioned(scanner: Scanner, at: int) -> tuple[list[Item], int]:
    """{file}{width}{caption}"""
    groups: list[str] = []
    while len(groups) < 3 and (group := scanner.group(at)):
        groups.append(group[0])
        at = group[1]
    graphics: list[Item] = [Graphic(groups[0][:NAME_CHARS])] if len(groups) > 1 else []
    captions: list[Item] = [Caption(groups[2], labels=labels_in(groups[2]))] if len(groups) == 3 else []
    return [Box("fig", "panel", at, graphics + captions)] if graphics else [], at
