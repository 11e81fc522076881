"""One file of a paper's source as text: decoded, without comments and without what TeX would print as it stands."""

import codecs
import re

from curation.errors import BadItemError
from curation.sources.latex.scan import Scanner, names

MOST_MARKS = 5_000_000  # comments, escapes and environments of one file; assumption: a book has a hundredth
VERBATIM = names(
    "verbatim Verbatim BVerbatim LVerbatim SaveVerbatim alltt lstlisting minted listing spverbatim filecontents "
    "verbatimtab semiverbatim pyconsole pycode sagesilent sageblock VerbatimOut luacode"
)
COMMENT = frozenset(("comment", "filecontents", "VerbatimOut", "luacode"))  # of which nothing is printed
MARK = r"\begin{verbatim}\end{verbatim}"  # left in the place of a listing: a figure may consist of one

# inputenc's names of encodings, and those of the CJK package, where Python has others.
ENCODINGS = {
    **dict.fromkeys(("latin1", "ansinew", "cp1252", "ascii", "latin3", "latin4", "decmulti"), "cp1252"),
    **{"latin2": "iso8859_2", "latin5": "iso8859_9", "latin9": "iso8859_15", "latin10": "iso8859_16"},
    **{"applemac": "mac_roman", "macce": "mac_latin2", "utf8": "utf-8", "utf8x": "utf-8", "koi8-r": "koi8_r"},
    **dict.fromkeys(("GB", "GBK", "gbk"), "gb18030"),
    **{"Bg5": "big5hkscs", "JIS": "euc_jp", "SJIS": "cp932", "KS": "cp949", "UTF8": "utf-8", "cp1251": "cp1251"},
    **{"cp1250": "cp1250", "cp1257": "cp1257", "cp437": "cp437", "cp850": "cp850", "cp852": "cp852", "cp866": "cp866"},
}
_DECLARED = re.compile(
    rb"\\usepackage\s*\[\s*([\w-]{1,20})\s*\]\s*\{inputenc\}|\\inputencoding\s*\{([\w-]{1,20})\}"
    rb"|\\begin\s*\{CJK\*?\}\s*(?:\[[^\]]{0,40}\])?\{(\w{1,20})\}"
)
# One character is searched for before anything is tried, which is several times faster. Escapes are passed over.
_SPECIAL = re.compile(
    r"[\\%](?:(?<=\\)(?:begin\s*\{(?P<begin>[A-Za-z]+)(?P<star>\*?)\}"
    r"|(?P<verb>verb|Verb|lstinline|mintinline)(?![A-Za-z@])\*?"
    r"|(?P<url>(?:url|path|href|nolinkurl)\s*\{[^{}\n]*\})|[\\%])"
    r"|(?<=%)(?P<comment>[^\n]*(?:\n[ \t]*)?))"
)
_PERCENT = re.compile(r"(?<!\\)%")  # in a URL it is no comment
_NEW_VERBATIM = re.compile(r"\\(?:lstnewenvironment|DefineVerbatimEnvironment|newverbatim)\s*\{([A-Za-z]+)\}")
_PRINTED = str.maketrans(
    {c: "\\" + c for c in "{}$&#%_"} | {"\\": r"\textbackslash{}", "^": r"\^{}", "~": r"\textasciitilde{}"}
)


def decode(data: bytes, declared: str | None = None) -> tuple[str, str | None]:
    """The text of a source file, and the encoding that it declares; never fails.

    UTF-8 proves itself; else what the file declares, else what the main file has (`declared`), else windows-1252.
    """
    found = _DECLARED.search(data)
    name = next((g.decode() for g in found.groups() if g), None) if found else None
    own = ENCODINGS.get(name) if name else None
    for mark, codec in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if data.startswith(mark):
            return data[len(mark) :].decode(codec, "replace"), own
    try:
        return data.decode("utf-8"), own
    except UnicodeDecodeError:
        return data.decode(own or declared or "cp1252", "replace"), own


def clean(raw: str, verbatim: set[str] | None = None) -> str:
    """The text without its comments, listings and comment environments; line ends are "\\n".

    `\\verb|x|` becomes x with TeX's special characters escaped. A comment takes the end of its line and the blanks
    before the next with it, as in TeX, but an empty line after it remains one. Names that the text gives to
    environments of its own for listings are added to `verbatim`. Raises BadItemError `too_large` where there is more to
    clean than in any book.

    >>> clean("50\\\\% a%b\\n  c")
    '50\\\\% ac'
    """
    text = raw.replace("\r\n", "\n").replace("\r", "\n")
    names = verbatim if verbatim is not None else set()
    names.update(_NEW_VERBATIM.findall(text))
    scanner, out, kept, at, missing, left = Scanner(text), [], 0, 0, set(), MOST_MARKS
    while special := _SPECIAL.search(text, at):
        at = special.end()
        left -= 1
        if not left:
            raise BadItemError("too_large", f"more than {MOST_MARKS} comments and escapes")
        shown, at = _shown(scanner, special, names, missing)
        if shown is not None:
            out += [piece for piece in (text[kept : special.start()], shown) if piece]
            kept = at
    out.append(text[kept:])
    return "".join(out)


def _shown(scanner: Scanner, special: re.Match, names: set[str], missing: set[str]) -> tuple[str | None, int]:
    """What stands for a match, null where it stands for itself, and where the text goes on."""
    text, at, begin = scanner.text, special.end(), special["begin"]
    if special["comment"] is not None:
        return "\n" if text.startswith("\n", at) and "\n" in special["comment"] else "", at
    if special["verb"]:
        return _printed(scanner, special["verb"], at)
    if special["url"]:
        return "\\" + _PERCENT.sub(r"\\%", special["url"]), at
    if not begin or not (begin in VERBATIM or begin in COMMENT or begin in names) or begin in missing:
        return None, at
    end = text.find(f"\\end{{{begin}{special['star']}}}", at)
    if end < 0:
        missing.add(begin)  # not searched again: each search reads all that is left
        return None, at
    return "" if begin in COMMENT else MARK, text.index("}", end) + 1


def _printed(scanner: Scanner, command: str, at: int) -> tuple[str, int]:
    """What `\\verb` and the like print, as text that TeX would print so, and the position behind it."""
    if command == "mintinline":
        at = scanner.option(at)[1]
        at = (scanner.group(at, 40) or ("", at))[1]
    if command == "lstinline":
        at = scanner.option(at)[1]
    if scanner.text.startswith("{", at) and command != "verb":
        found = scanner.group(at)
        return (found[0].translate(_PRINTED), found[1]) if found else ("", at)
    line = scanner.text[at : at + 1000].partition("\n")[0]
    content, mark, _ = line[1:].partition(line[:1] or "\n")
    return (content.translate(_PRINTED), at + len(content) + 2) if mark else ("", at)
