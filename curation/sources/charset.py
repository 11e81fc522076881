"""Bytes of a page to text. UTF-8 proves itself, so it is tried before what the page declares; the rest follows the
WHATWG Encoding Standard, whose labels mean wider encodings than their names say.
"""

import codecs
import contextlib
import re

SNIFF_BYTES = 4096  # the HTML standard looks at 1,024; pages with long heads declare their charset later
META = re.compile(rb"<meta[^>]{0,1000}?charset\s*+=\s*+[\"']?\s*+([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
XML = re.compile(rb"\s*+<\?xml\s[^>]{0,1000}?encoding\s*+=\s*+[\"']\s*+([A-Za-z0-9_.:-]{1,40})")
MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
MARKS_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
FALLBACK = "windows-1252"  # the HTML standard's, for pages that say nothing

# Encoding Standard, 4.2: labels whose encoding is not the one Python knows by that name.
WIDER = {
    **dict.fromkeys(
        ("iso-8859-1", "iso8859-1", "iso_8859-1", "latin1", "latin-1", "l1", "ascii", "us-ascii"), "cp1252"
    ),
    **dict.fromkeys(("iso-8859-9", "iso8859-9", "latin5", "l5"), "cp1254"),
    **dict.fromkeys(("shift_jis", "shift-jis", "sjis", "x-sjis", "ms_kanji", "windows-31j"), "cp932"),
    **dict.fromkeys(("gb2312", "gb_2312", "gb_2312-80", "gbk", "x-gbk", "chinese"), "gb18030"),
    **dict.fromkeys(("euc-kr", "ks_c_5601-1987", "ks_c_5601-1989", "ksc5601", "korean"), "cp949"),
    **dict.fromkeys(("tis-620", "iso-8859-11", "iso8859-11"), "cp874"),
    **dict.fromkeys(("big5", "big5-hkscs", "x-x-big5", "cn-big5"), "big5hkscs"),
    **dict.fromkeys(("x-euc-jp",), "euc_jp"),
    **dict.fromkeys(("x-cp1250",), "cp1250"),
    **dict.fromkeys(("x-cp1251", "win-1251"), "cp1251"),
    **dict.fromkeys(("visual", "logical", "iso-8859-8-i", "csiso88598e"), "iso8859_8"),
    **dict.fromkeys(("x-mac-roman", "macintosh"), "mac_roman"),
    # A page cannot declare UTF-16 in bytes that are read as ASCII.
    **dict.fromkeys(("utf-16", "utf-16le", "utf-16be", "unicode", "utf8", "utf-8", "x-unicode20utf8"), "utf-8"),
}
# Encoding Standard, 4.2: all encodings there are, by Python's names. Python has more, some of which are no text.
KNOWN = re.compile(
    r"utf-8|cp(?:866|874|932|949|125\d)|iso8859-\d+|koi8-[ru]|mac-(?:roman|cyrillic)|gb18030|hz|big5hkscs|euc_jp|iso2022_jp"
)


def utf8(body: bytes, header: str | None) -> bytes:
    """A page as valid UTF-8 without a mark: the bytes where they are that already, else what `decode` makes of them."""
    if not body.startswith(MARKS_16) and b"\0" not in body and b"\x1b" not in body:
        with contextlib.suppress(UnicodeDecodeError):
            if not body.isascii():
                body.decode()
            return body.removeprefix(codecs.BOM_UTF8)
    return decode(body, header).encode("utf-8", "replace")


def decode(body: bytes, header: str | None) -> str:
    """The text of a page, never failing: what does not decode becomes U+FFFD.

    `header` is the charset of its Content-Type. In order: a byte order mark, UTF-16 told by its zeros, ISO-2022 where
    declared, UTF-8 if the bytes are that, then of header, meta element and XML declaration the first that decodes
    without error, then the first of them with replacement, and windows-1252 where nothing is declared.
    """
    for mark, name in MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(name, "replace")
    wide = _utf16(body[:SNIFF_BYTES])
    if wide:
        return body.decode(wide, "replace")
    inside = META.search(body, 0, SNIFF_BYTES), XML.match(body, 0, SNIFF_BYTES)
    labels = header, *(found[1].decode("ascii") for found in inside if found)
    declared = [codec for codec in map(_codec, labels) if codec]
    if any(codec.startswith("iso2022") for codec in declared):  # seven bits, so that it would pass for UTF-8
        return body.decode(declared[0], "replace")
    try:
        # Not final: the last character of a page that was cut may be cut as well.
        return codecs.getincrementaldecoder("utf-8")().decode(body, final=False)
    except UnicodeDecodeError:
        pass
    for codec in declared:
        try:
            return body.decode(codec)
        except UnicodeDecodeError:
            continue
    return body.decode(declared[0] if declared else FALLBACK, "replace")


def _codec(label: str | None) -> str | None:
    """Python's name for the encoding of a label; null for a label that nobody knows."""
    name = (label or "").strip().lower()
    try:
        found = codecs.lookup(WIDER.get(name, name)).name
    except (LookupError, ValueError):
        return None
    return found if KNOWN.fullmatch(found) else None


def _utf16(start: bytes) -> str | None:
    """UTF-16 without a mark: in Western text and in markup every other byte is zero."""
    half = len(start) // 2
    if half < 8:
        return None
    even, odd = start[::2].count(0), start[1::2].count(0)
    if max(even, odd) < half // 2 or min(even, odd) > half // 8:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"
