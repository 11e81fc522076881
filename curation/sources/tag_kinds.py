"""What the tag scanner does at an element of each name: flags, and a hash table of them for the compiled loop.

The compiled loops keep copies of these, also on disk: whoever changes a list here touches the kernel files too. The
lists are the HTML Standard's: 13.1.2 (void and raw text elements), 13.2.6.1 to 13.2.6.5 (tree construction).
"""

import numpy as np

PICTURE_OF_IT = 1  # an image: its tag is kept
PAGE = 2  # says something of the page: its tag is kept
LINK = 4  # may name a licence
RAW = 8  # holds text up to its end tag
FOREIGN = 16  # what it holds is parsed by other rules
VOID = 32  # has no end
IMPLIED = 64  # the next of its kind or the end of its parent ends it
HTML_ONLY = 128  # ends foreign content, or may hold HTML in it
SHIFTING = 256  # within a figure it may close what is around the figure
PHRASE = 512  # may stand in a picture element without closing anything
FIGURE = 1024
PICTURE = 2048
TEMPLATE = 4096  # what it holds is no part of the page
FIGCAPTION = 8192
SOURCE = 16384
HOLDER = 32768  # a second one closes the first with all that is in it
HEADING = 65536  # likewise, where it stands directly in the first
LIST = 131072  # what an item's implied end does not cross
TEXTUAL = 262144  # in foreign content, may hold HTML
LAST = 524288  # nothing after it is a tag
UNSURE = 1048576  # without a body, or another element to parsers than it says
META = 2097152  # may say who may use the page, or its language
OF_ITSELF = (
    PICTURE_OF_IT | PAGE | META | LINK | FIGURE | PICTURE | TEMPLATE | FIGCAPTION | SOURCE | HOLDER
)  # outside any part

NAMES = {
    PICTURE_OF_IT: "img",
    PAGE: "html base",
    META: "meta",
    LINK: "a link",
    RAW: "script style textarea title xmp iframe noembed noframes",
    FOREIGN: "svg math",
    VOID: "area base basefont bgsound br col embed frame hr image img input keygen link meta param source track wbr",
    IMPLIED: "p li dt dd option optgroup rp rt",
    HTML_ONLY: "b big blockquote body br center code dd div dl dt em embed font h1 h2 h3 h4 h5 h6 head hr i img li "
    "listing menu meta nobr ol p pre ruby s small span strong strike sub sup table tt u ul var "
    "picture source figure figcaption base link html template select foreignobject annotation-xml frameset plaintext",
    SHIFTING: "table caption col colgroup tbody tfoot thead td th tr body html head frameset frame nobr plaintext",
    PHRASE: "source img noscript span script style",
    FIGURE: "figure",
    PICTURE: "picture",
    TEMPLATE: "template",
    FIGCAPTION: "figcaption",
    SOURCE: "source",
    HOLDER: "button select",
    HEADING: "h1 h2 h3 h4 h5 h6",
    LIST: "ul ol dl menu",
    TEXTUAL: "title desc mi mo mn ms mtext",
    LAST: "plaintext",
    UNSURE: "frameset image",
}
SLOTS = 1024  # about eight times the names
FACTOR = 131  # an odd number above the letters, so that short names get numbers of their own


def number_of(name: str) -> int:
    """The number that stands for a name, signed 64 bits, as the compiled loop computes it."""
    number = 1  # so that zeros in front count
    for letter in name.encode():
        number = (number * FACTOR + letter) & (1 << 64) - 1
    return number - (1 << 64) * (number >> 63)


def _table() -> tuple[np.ndarray, np.ndarray]:
    flags: dict[str, int] = {}
    for flag, names in NAMES.items():
        for name in names.split():
            flags[name] = flags.get(name, 0) | flag
    keys, values = np.zeros(SLOTS, np.int64), np.zeros(SLOTS, np.int64)
    for name, flag in flags.items():
        slot = number_of(name) & SLOTS - 1
        while keys[slot]:
            slot = slot + 1 & SLOTS - 1
        keys[slot], values[slot] = number_of(name), flag
    return keys, values


KEYS, FLAGS = _table()


# What a byte of a tag is: what ends a name, an attribute's name or a value without quotes.
BLANK, SLASH, GREATER, EQUALS = 1, 2, 4, 8
BYTES = np.zeros(256, np.uint8)
BYTES[list(b" \t\n\r\f")] = BLANK
BYTES[list(b"/>=")] = SLASH, GREATER, EQUALS
