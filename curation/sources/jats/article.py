"""JATS files as articles: parsed without entities, network or surprises, and what each article says of itself."""

import hashlib
import re
from typing import NamedTuple

from lxml import etree

from curation.errors import BadItemError
from curation.sources.found import license_group
from curation.sources.jats.text import collapsed, text_of

XML_BYTES = 64 << 20  # our choice, as the two below; the largest articles have some 20 MB
XML_DEPTH = 256
XML_MARKS = 3_000_000  # `<` and `=` of a file: each makes a node of some 200 bytes in memory
HREF = "{http://www.w3.org/1999/xlink}href"
LANG = "{http://www.w3.org/XML/1998/namespace}lang"
XINCLUDE = "{http://www.w3.org/2001/XInclude}*"
LICENSE_REF = "{http://www.niso.org/schemas/ali/1.0/}license_ref"
TOO_DEEP = "/*" * (XML_DEPTH + 1)
DECLARES = re.compile(rb"<!\s*ENTITY")
# What the root of a file that holds articles is called: one article, a set of them, or a harvested record.
ROOT = re.compile(rb"<(?:[\w.-]+:)?(?:article|pmc-articleset|articleset|articles|OAI-PMH)(?=[\s>/])")
# What may stand before the root, and how it ends.
PROLOG = ((b"<!--", re.compile(rb"-->")), (b"<?", re.compile(rb"\?>")), (b"<!DOCTYPE", re.compile(rb"[>\[]")))
SUBSET_END = re.compile(rb"\]\s*>")
# Prefixes that the DTDs themselves declare, as attributes of the root: valid articles need not say what they mean.
PREFIXES = {
    "xlink": "http://www.w3.org/1999/xlink",
    "mml": "http://www.w3.org/1998/Math/MathML",
    "ali": "http://www.niso.org/schemas/ali/1.0/",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "oasis": "http://www.niso.org/standards/z39-96/ns/oasis-exchange/table",
    "tp": "http://www.plazi.org/taxpub",
}
UNDECLARED = re.compile(r"Namespace prefix ([\w.-]+) .*not defined")
# What the library's own limits are told as.
REFUSED = (
    (re.compile("depth"), "too_deep"),
    (re.compile("entity (?:amplification|reference loop)"), "entities"),
    (re.compile("huge|too big|too long|exceeded", re.IGNORECASE), "too_large"),
)
SNIFF_BYTES = 64 << 10  # a comment or a DOCTYPE may stand before the root
META_CHARS = 1000  # of a title, a list of keywords or a licence, which every pair of the article repeats
IDS = {"pmc": "pmc", "pmcid": "pmc", "pmc-uid": "pmc", "doi": "doi", "pmid": "pmid"}  # article-id/@pub-id-type
DATES = ("epub", "pub", "electronic", "epub-ppub", "collection", "ppub", "print")  # pub-date/@date-type or @pub-type
CC_URL = re.compile(r"https?://(?:www\.)?creativecommons\.org/[\w./-]*[\w/-]")


class Article(NamedTuple):
    """One article. `identity` begins that of its figures; `extra` is what each of its pairs says of it."""

    element: etree._Element
    identity: str
    document: str
    license: str | None
    license_group: str
    extra: dict[str, str]


def may_hold_articles(head: bytes) -> bool:
    """Whether a file that begins so is XML with an article at its root.

    >>> may_hold_articles(b'<?xml version="1.0"?><!-- <article> --><manifest>')
    False
    """
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        head = head.decode("utf-16", "replace").encode()
    return _root(head) is not None


def _root(head: bytes) -> re.Match | None:
    """The start of the root of a file that holds articles, up to the end of its name; null where it is another."""
    place = head.find(b"<")
    while place >= 0:
        end = next((end for start, end in PROLOG if head.startswith(start, place)), None)
        if end is None:
            return ROOT.match(head, place)
        found = end.search(head, place)
        if found and found[0] == b"[":  # a DOCTYPE with declarations
            found = SUBSET_END.search(head, found.end())
        place = head.find(b"<", found.end()) if found else -1
    return None


def parser() -> etree.XMLParser:
    """A parser that reads the bytes it is given and nothing else, and replaces no entity."""
    return etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False)


def parse(data: bytes) -> list[etree._Element]:
    """The articles of a file, without a namespace of their own. DTDs are not read, entities not replaced.

    Raises BadItemError `too_large` (bytes or nodes), `entities` (declared in the file), `too_deep`, `xinclude`,
    `bad_xml`, `no_article`.
    """
    if len(data) > XML_BYTES:
        raise BadItemError("too_large", f"{len(data)} bytes, at most {XML_BYTES} are read")
    marks = data.count(b"<") + data.count(b"=")
    if marks > XML_MARKS:
        raise BadItemError("too_large", f"{marks} tags and attributes, at most {XML_MARKS} are read")
    if DECLARES.search(data):
        raise BadItemError("entities", "declares entities")
    root = _tree(data.lstrip())
    declared = root.getroottree().docinfo.internalDTD
    if declared is not None and next(declared.iterentities(), None) is not None:
        raise BadItemError("entities", "declares entities")
    if root.xpath(TOO_DEEP):
        raise BadItemError("too_deep", f"more than {XML_DEPTH} elements deep")
    if next(root.iter(XINCLUDE), None) is not None:
        raise BadItemError("xinclude", "includes other files")
    articles = [found for found in root.iter("{*}article") if next(found.iterancestors("{*}article"), None) is None]
    if not articles:
        raise BadItemError("no_article", f"the root is {root.tag}")
    for article in articles:
        _without_namespace(article)
    return articles


def _tree(data: bytes) -> etree._Element:
    """The root of a file; the prefixes that a DTD declares are known without it."""
    unknown = dict(PREFIXES)
    while True:
        try:
            return etree.fromstring(data, parser())
        except (etree.XMLSyntaxError, LookupError) as error:
            prefix, root = UNDECLARED.search(str(error)), _root(data[:SNIFF_BYTES])
            if prefix is None or prefix[1] not in unknown or root is None:
                code = next((code for told, code in REFUSED if told.search(str(error))), "bad_xml")
                raise BadItemError(code, str(error)) from error
            declaration = f' xmlns:{prefix[1]}="{unknown.pop(prefix[1])}"'.encode()
            data = data[: root.end()] + declaration + data[root.end() :]


def _without_namespace(article: etree._Element) -> None:
    space = article.tag.rpartition("}")[0]
    if space:
        for element in article.iter(f"{space}}}*"):
            element.tag = element.tag[len(space) + 1 :]


def describe(element: etree._Element, name: str) -> Article:
    """What an article says of itself; its identity is the PMC id, else the DOI, else the PubMed id, else its digest.

    `name` is the document's where it has none of these.
    """
    meta = element.find("front/article-meta")
    ids = _ids(meta)
    known = next((kind for kind in ("pmc", "doi", "pmid") if kind in ids), None)
    if known:
        identity = f"{known}:{ids[known].lower() if known == 'doi' else ids[known]}"
    else:
        identity = f"jats:{hashlib.sha256(etree.tostring(element)).hexdigest()[:32]}"
    raw, group = license_of(meta) or (None, "other")
    extra = {
        "title": text_of(element.find("front/article-meta/title-group/article-title")),
        "journal": _journal(element),
        "date": _date(meta),
        "article_type": collapsed(element.get("article-type", "")),
        "keywords": "; ".join(filter(None, map(text_of, meta.iterfind("kwd-group/kwd")))) if meta is not None else "",
        "pmcid": ids.get("pmc", ""),
        "doi": ids.get("doi", ""),
        "pmid": ids.get("pmid", ""),
    }
    document = ids[known] if known in ("pmc", "doi") else f"pmid:{ids[known]}" if known else name
    return Article(element, identity, document, raw, group, {k: v[:META_CHARS] for k, v in extra.items() if v})


def _ids(meta: etree._Element | None) -> dict[str, str]:
    ids: dict[str, str] = {}
    for element in [] if meta is None else meta.iterchildren("article-id"):
        kind, text = IDS.get(element.get("pub-id-type", "")), collapsed(element.text or "")
        if kind == "pmc":
            digits = re.fullmatch(r"(?:PMC)?(\d+)(?:\.\d+)?", text, re.IGNORECASE)
            text = f"PMC{digits[1]}" if digits else ""
        if kind and text:
            ids.setdefault(kind, text[:META_CHARS])
    return ids


def _journal(element: etree._Element) -> str:
    meta = element.find("front/journal-meta")
    names = [] if meta is None else [*meta.iter("journal-title"), *meta.iter("journal-id")]
    return next(filter(None, map(text_of, names)), "")


def _date(meta: etree._Element | None) -> str:
    """The day, month or year of publication: electronic before printed."""
    dates = [] if meta is None else [date for date in meta.iterchildren("pub-date") if _part(date, "year", 4)]
    kinds = {date.get("date-type") or date.get("pub-type") or "": date for date in reversed(dates)}
    date = next((kinds[kind] for kind in DATES if kind in kinds), dates[0] if dates else None)
    if date is None:
        return ""
    year, month, day = _part(date, "year", 4), _part(date, "month", 2), _part(date, "day", 2)
    return "-".join([year, month, day] if month and day else [year, month] if month else [year])


def _part(date: etree._Element, name: str, digits: int) -> str:
    text = (date.findtext(name) or "").strip()
    return text.zfill(digits) if text.isascii() and text.isdigit() and len(text) <= digits else ""


def license_of(holder: etree._Element | None) -> tuple[str, str] | None:
    """The licence that an article's or a figure's front matter states, and its group; null where it states nothing.

    It is the first that is a known one among its URLs, its text and its type. Of several, in one element or more, one
    that forbids commercial use decides; one for text mining beside a free one does not.
    """
    if holder is None:
        return None
    stated = [_best(license) for license in holder.iter("license")]
    if not any(stated):
        stated = [(text, license_group(text)) for text in map(text_of, holder.iter("copyright-statement")) if text]
    return _strictest([each for each in stated if each])


def _strictest(stated: list[tuple[str, str]]) -> tuple[str, str] | None:
    """Of (text, group) the first that forbids commercial use, else the first known one, else the first."""
    order = ("noncommercial", "commercial", "other")
    return min(stated, key=lambda each: order.index(each[1]), default=None)


def _best(license: etree._Element) -> tuple[str, str] | None:
    text = text_of(license)
    links = [license.get(HREF), *(ref.text for ref in license.iter(LICENSE_REF))]
    links += [link.get(HREF) for link in license.iter("ext-link", "uri") if CC_URL.match(link.get(HREF, ""))]
    links = [collapsed(link) for link in links if link] + CC_URL.findall(text)
    stated = [raw for raw in (*links, text, collapsed(license.get("license-type", ""))) if raw]
    return _strictest([(raw[:META_CHARS], license_group(raw)) for raw in stated])
