"""Cleaning captions: entities, mojibake, control characters, blanks."""

import functools
import re
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

# Characters that no fix of ftfy 6.3 touches in any company of each other (a test proves it on random strings of them):
# printable ASCII, unless & begins an entity, and letters that are in NFC and take part in no mojibake that ftfy knows.
_LATIN = "".join(c for c in map(chr, range(0xDF, 0x180)) if c.islower() and c not in "œĳŉſ")
UNCHANGEABLE = (
    " -~"
    + _LATIN
    + "\u2013\u2014\u2026"  # dashes, ellipsis
    + "\u0391-\u03a1\u03a3-\u03a9\u03ac-\u03ce"  # Greek
    + "\u0401\u0404\u0406\u0407\u0410-\u045d"  # Cyrillic
    + "\u05d0-\u05ea\u0621-\u063a\u0641-\u064a"  # Hebrew, Arabic
    + "\u3001\u3002\u300a-\u300f\u3041-\u3096\u30a1-\u30fc"  # Japanese punctuation, kana
    + "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3"  # Han, Hangul
    + "\U0001f300-\U0001faff"  # emoji
)
ENTITY = "&#?[0-9A-Za-z]{1,24};"  # ftfy, chardata.py: HTML_ENTITY_RE
UNCLEAN = f"[^{UNCHANGEABLE}]|{ENTITY}|  |^ | $"

# Further characters that ftfy changes only in a text that it calls bad, by one pattern of its own (ftfy.badness), and
# that Unicode does not compose: signs and accented capitals, dashes and marks, currency, arrows, mathematics, shapes.
SIGNS = (
    "\u00a1-\u00ac\u00ae-\u00de\u0100-\u0131\u0134-\u0148\u014a-\u017e"
    + "\u2010-\u2012\u2015\u2020-\u2022\u2030\u2032-\u2036\u2039-\u203b\u20a0-\u20bf\u2116\u2122"
    + "\u2190-\u22ff\u2460-\u27bf"
)
CHANGEABLE = re.compile(f"[^{UNCHANGEABLE}{SIGNS}]|{ENTITY}")
SINGLE_QUOTES = re.compile("[\u02bc\u2018-\u201b]")  # ftfy, chardata.py; made straight here, as they are frequent
DOUBLE_QUOTES = re.compile("[\u201c-\u201f]")
SEGMENT = (
    1_000_000  # characters; ftfy cuts longer texts (max_decode_length), so what it says of one is not of the whole
)

# str.split() splits at these, ftfy deletes them: they become spaces first so that words stay apart.
BLANK_CONTROLS = re.compile("[\x0b\x0c\x1c-\x1f]")
CONTROLS = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")  # Unicode category Cc without the blanks
ROUNDS = 8  # bound on repeating until nothing changes; an assumption: two rounds settle every real caption tried


def clean_captions(captions: pa.Array) -> pa.Array:
    """The captions repaired, as strings; null stays null, "" stays "" (and may be what is left).

    HTML entities decoded; mojibake repaired by ftfy with its default fixes (encoding, C1 controls, ligatures, character
    width, straight quotes, line breaks, terminal escapes, control characters, NFC), except that entities are decoded in
    texts that hold a "<", too; NUL and other control characters removed; runs of blanks one space, none at the ends.
    Cleaning again changes nothing. Captions that cannot change are found by one pattern and left alone; this equals
    calling `clean_caption` on each.

    >>> clean_captions(pa.array(["R&amp;B \\u00a0 caf\\u00c3\\u00a9\\x00", " \\t", None])).to_pylist()
    ['R&B café', '', None]
    """
    if isinstance(captions, pa.ChunkedArray):
        captions = captions.combine_chunks()
    unclean = pc.match_substring_regex(captions, UNCLEAN)
    cleaned = [clean_caption(text) for text in captions.filter(unclean).to_pylist()]
    mask = unclean.fill_null(False)
    return pc.replace_with_mask(captions, mask, pa.array(cleaned, captions.type))


def clean_caption(text: str) -> str:
    """One caption repaired by the rules of `clean_captions`.

    >>> clean_caption("&amp;amp; \\u201cquoted\\u201d")
    '& "quoted"'
    """
    fix = fixer(True)
    for _ in range(ROUNDS):
        spaced = BLANK_CONTROLS.sub(" ", text)
        fixed = fix(spaced)
        cleaned = " ".join(CONTROLS.sub("", fixed).split())
        if cleaned == text:
            break
        text = cleaned
    return text


@functools.cache
def fixer(entities: bool | str) -> Callable[[str], str]:
    """What ftfy makes of a text; it is not asked where a cheaper test says that it changes nothing but quotes.

    `entities` is its setting `unescape_html`: "auto", its default, leaves entities in a text that holds a "<".
    """
    import ftfy
    from ftfy.badness import is_bad

    config = ftfy.TextFixerConfig(unescape_html=entities, explain=False)

    def fix(text: str) -> str:
        plain = text.isascii()
        straight = text if plain else DOUBLE_QUOTES.sub('"', SINGLE_QUOTES.sub("'", text))
        if CHANGEABLE.search(straight) or len(text) > SEGMENT or (not plain and (is_bad(text) or is_bad(straight))):
            return ftfy.fix_text(text, config)
        return straight

    return fix
