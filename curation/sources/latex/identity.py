"""What a paper says of itself, and its file of it: arXiv id, title, licence."""

import re

from curation.sources.latex.scan import Scanner, names

# arXiv's identifiers since April 2007, and before; its servers name files so, with or without version and prefix.
_NEW = re.compile(r"(?:arxiv[-_:]?)?(\d{4}\.\d{4,5})(v\d{1,3})?", re.IGNORECASE)
_OLD = re.compile(r"(?:arxiv[-_:]?)?([a-z]+(?:-[a-z]+)?)(?:\.[A-Z]{2})?[-_/]?(\d{7})(v\d{1,3})?")
_OLD_NUMBER = re.compile(r"(\d{7})(v\d{1,3})?")
_ARCHIVES = names(
    "acc-phys adap-org alg-geom ao-sci astro-ph atom-ph bayes-an chao-dyn chem-ph cmp-lg comp-gas cond-mat cs dg-ga "
    "funct-an gr-qc hep-ex hep-lat hep-ph hep-th math math-ph mtrl-th nlin nucl-ex nucl-th patt-sol physics plasm-ph "
    "q-alg q-bio quant-ph solv-int supr-con"
)
_SUFFIXES = re.compile(r"(?:\.(?:tar|gz|tgz|zst|zip|tex|ltx|latex)){1,5}$", re.IGNORECASE)

_URL = re.compile(
    r"https?://(?:www\.)?creativecommons\.org/(?:licenses|publicdomain)/[a-z-]+(?:/\d\.\d)?", re.IGNORECASE
)
# "This work is licensed under ...": a sentence that begins with the paper, for it also names the licences of its data.
_PAPER = r"(?:article|paper|work|manuscript|document|preprint|text|publication|chapter|thesis)(?: version)?"
_GIVEN = r"(?:licen[cs]ed|distributed|published|released|shared|(?:made )?(?:freely |publicly )?available)"
_UNDER = (
    rf"\b(?:(?-i:T)|(?<!\w )t)his(?:(?: open[ -]access)? {_PAPER} (?:is|was|has been)(?: hereby)? {_GIVEN}"
    rf"|(?: {_PAPER})? is an open[ -]access {_PAPER}(?:,? (?:that|which) is)?(?: {_GIVEN})?)"
    r"(?: (?:as|with) open[ -]access)? (?:under|subject to|according to|in accordance with)"
    r"(?: the terms(?: and conditions)? of)?(?: (?:the|an?))? "
)
_STATED = re.compile(
    _UNDER + r"(?:\\[a-z]+ ?\{|[^\w\\{}.])*((?:creative commons|cc)(?: licen[cs]e)?[^\w.]{0,3}(?:cc[^\w.]{0,3})?"
    r"(?:attribution|by|0|zero)(?![a-z])(?:[^.{}\\]|\.\d|\\[^a-z]|\\(?!url|href)[a-z]+|\{[^{}]{0,40}\}|\}(?=\S)){0,200})",
    re.IGNORECASE,
)
_STATED_URL = re.compile(
    _UNDER
    + rf"(?:(?:creative commons|cc)\b(?:[^.{{}}\\]|\.\d){{0,120}}?)?(?:\\(?:url|href) ?\{{|[({{<])*({_URL.pattern})",
    re.IGNORECASE,
)
_PARAGRAPH = re.compile(r"\n\s*\n")
_DOCLICENSE = re.compile(r"\\usepackage\s*\[([^\[\]]{0,400})\]\s*\{doclicense\}")
_LICENSE = re.compile(r"\\(?:license|licence|copyrightlicense|setcopyright|cclicense)(?![A-Za-z])")
_TITLE = re.compile(r"\\(?:title|icmltitle|Title|papertitle)(?![A-Za-z])\*?")
_KEY = re.compile(r"(\w+)\s*=\s*\{?([\w.-]+)")
STATED_CHARS = 30_000  # of the body, from its start and its end, in which a licence is looked for


def stem(name: str) -> str:
    """A file's name without folders and without what says how it is packed.

    >>> stem("src/2310.06825v1.tar.gz")
    '2310.06825v1'
    """
    return _SUFFIXES.sub("", name.rstrip("/").rpartition("/")[2])


def arxiv_id(name: str, folder: str = "") -> str | None:
    """The arXiv id that a file name without suffixes is, else null; `folder` holds the archive of ids before 2007.

    >>> arxiv_id("arXiv-2310.06825v1"), arxiv_id("hep-th9901001"), arxiv_id("0001001", "math"), arxiv_id("main")
    ('2310.06825v1', 'hep-th/9901001', 'math/0001001', None)
    """
    new = _NEW.fullmatch(name)
    if new:
        return new[1] + (new[2] or "")
    old = _OLD.fullmatch(name)
    if old and old[1] in _ARCHIVES:
        return f"{old[1]}/{old[2]}{old[3] or ''}"
    number = _OLD_NUMBER.fullmatch(name)
    archive = folder.rstrip("/").rpartition("/")[2]
    return f"{archive}/{name}" if number and archive in _ARCHIVES else None


def licence(preamble: str, body: str) -> str | None:
    """The licence that a paper states for itself, as found; null where it states none.

    Only Creative Commons' names and URLs count, and words only in a sentence on the paper itself: a paper also names
    the licences of its data.
    """
    package = _DOCLICENSE.search(preamble)
    if package:
        keys = dict(_KEY.findall(package[1]))
        return " ".join(keys[k] for k in ("type", "modifier", "version") if k in keys) or None
    texts = (preamble, body[:STATED_CHARS], body[-STATED_CHARS:])
    for text in texts:
        scanner = Scanner(text)
        for command in _LICENSE.finditer(text):
            found = scanner.group(scanner.options(command.end())[1], 1000)
            if found and re.search(r"creative\s*commons|\bcc", found[0], re.IGNORECASE):
                return " ".join(found[0].split())[:200]
    url = _URL.search(preamble)
    if url:
        return url[0]
    sentences = [" ".join(_PARAGRAPH.sub(". ", text).replace("~", " ").split()) for text in texts]
    stated = (pattern.search(text) for pattern in (_STATED_URL, _STATED) for text in sentences)
    return next((found[1].strip() for found in stated if found), None)


def title(preamble: str, body: str) -> str | None:
    """The title as LaTeX, null where there is none."""
    for text in (preamble, body[:STATED_CHARS]):
        scanner = Scanner(text)
        for command in _TITLE.finditer(text):
            found = scanner.group(scanner.options(command.end())[1], 2000)
            if found and found[0].strip():
                return found[0]
    return None
