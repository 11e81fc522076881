"""Cleaning captions: entities, mojibake, control characters, blanks."""

import functools
import re

import pyarrow as pa
import pyarrow.compute as pc

# Characters that no fix of ftfy 6.3 touches in any company of each other (a test proves it on random strings of them):
# printable ASCII but &, and letters that are in NFC and take part in no mojibake that ftfy knows. Left out, hence
# repaired where need be: accented capitals, œ and ĳ, currency, quotes, marks such as ©, anything that combines.
_LATIN = "".join(c for c in map(chr, range(0xDF, 0x180)) if c.islower() and c not in "œĳŉſ")
UNCHANGEABLE = (
    " -%'-~"
    + _LATIN
    + "\u2013\u2014\u2026"  # dashes, ellipsis
    + "\u0391-\u03a1\u03a3-\u03a9\u03ac-\u03ce"  # Greek
    + "\u0401\u0404\u0406\u0407\u0410-\u045d"  # Cyrillic
    + "\u05d0-\u05ea\u0621-\u063a\u0641-\u064a"  # Hebrew, Arabic
    + "\u3001\u3002\u300a-\u300f\u3041-\u3096\u30a1-\u30fc"  # Japanese punctuation, kana
    + "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3"  # Han, Hangul
    + "\U0001f300-\U0001faff"  # emoji
)
CHANGEABLE = re.compile(f"[^{UNCHANGEABLE}]")
UNCLEAN = f"[^{UNCHANGEABLE}]|  |^ | $"

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
    for _ in range(ROUNDS):
        spaced = BLANK_CONTROLS.sub(" ", text)
        fixed = _fix(spaced) if CHANGEABLE.search(spaced) else spaced
        cleaned = " ".join(CONTROLS.sub("", fixed).split())
        if cleaned == text:
            break
        text = cleaned
    return text


def _fix(text: str) -> str:
    import ftfy

    return ftfy.fix_text(text, _config())


@functools.cache
def _config():
    import ftfy

    return ftfy.TextFixerConfig(unescape_html=True, explain=False)
