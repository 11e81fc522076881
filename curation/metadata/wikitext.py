"""Wikitext to plain text: the running text of an article, in one pass whatever it holds.

Left out are templates, tables, references, comments, headings, formulas and other elements that hold no prose, links
into namespaces (files with their captions, categories) and to other languages, addresses; of a link stays what a reader
sees. Nothing is expanded. Where something is opened and never closed its text stays.
"""

import html
import re
from collections.abc import Collection

NO_PROSE = re.compile(
    "<(ref|references|math|chem|ce|gallery|timeline|syntaxhighlight|source|score|hiero|imagemap|graph|code|pre|"
    "templatedata|mapframe|maplink|indicator|categorytree|inputbox|style|script)"
)
BLOCKS = re.compile("<(br|hr|p|div|[oud]l|li|dd|dt|tr|td|th|table|blockquote|center|poem)")
TOKEN = re.compile(
    r"(?P<open>\{\{|\{\||\[\[)|(?P<close>\}\}|\|\}(?!\})|\]\])"
    r"|<(?P<end>/?)(?P<tag>[a-zA-Z][a-zA-Z0-9]*)\b[^<>]*?(?P<empty>/?)>"
)
CLOSES = {"}}": "{{", "|}": "{|", "]]": "[["}
INDENT = 100  # characters; an assumption: tables are indented by no more
DEPTH = 100  # frames inside each other; an assumption: articles have no more than some twenty
INTERLANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z-]+)?")  # [[de:Hund]]: the same article elsewhere
# Possessive, as here what could be taken back would be tried again and again.
EXTERNAL = re.compile(r"\[(?:[a-z]+:)?//[^\s\[\]]*+[ \t]*+([^\[\]\n]*+)\]")
ADDRESS = re.compile(r"\b(?:https?|ftp)://[^\s\[\]<>|]*")
VARIANTS = re.compile(r"-\{(?:[^{}:]*:[^{}]*|([^{}:]*))\}-")  # what a conversion of scripts shows is not known here
LINES = re.compile(r"\n(?:=.*=[ \t]*$|[*#:;]+[ \t]*|----+)", re.MULTILINE)  # headings; marks of lists; rules
MARKS = re.compile(r"'{2,}|__[A-Z]+__|&#\d{8,}")  # bold, italics; behaviour switches; references beyond any character


def plain_text(wikitext: str, namespaces: Collection[str] = ()) -> str:
    """The running text of an article; "" where there is none. Takes time in proportion to its length.

    `namespaces` are the wiki's names of namespaces, lower case (`datei`); links into them are left out.

    >>> plain_text("A '''[[dog|red dog]]'''{{cite|{{x}}}} runs.<ref name=a>b</ref> [[File:a.jpg|thumb|a [[cat]]]]",
    ...            {"file"})
    'A red dog runs. '
    """
    text = _nested(_without_comments(wikitext), namespaces)
    if "//" in text:
        text = ADDRESS.sub(" ", EXTERNAL.sub(r"\1", text))
    if "-{" in text:
        text = VARIANTS.sub(r"\1", text)
    return html.unescape(MARKS.sub("", LINES.sub("\n", "\n" + text)[1:]))


def _without_comments(text: str) -> str:
    """A comment that is not closed runs to the end, as MediaWiki has it."""
    first, *rest = text.split("<!--")
    return first + "".join(piece.partition("-->")[2] for piece in rest)


def _nested(text: str, namespaces: Collection[str]) -> str:
    """The text without what stands in braces and elements, links as they are shown."""
    frames: list[tuple[str, list[str]]] = [("text", [])]  # what opened it; its text so far
    position = 0
    for token in TOKEN.finditer(text):
        frames[-1][1].append(text[position : token.start()])
        position = token.end()
        kind, opens = _kind(token)
        if kind == "{|" and not _begins_line(text, token.start()):
            frames[-1][1].append(token[0])
            continue
        if opens and len(frames) < DEPTH:
            frames.append((kind, []))
        elif not opens and kind in (opened := [frame[0] for frame in frames]):
            place = len(opened) - 1 - opened[::-1].index(kind)
            content = _joined(frames[place:])
            del frames[place:]
            frames[-1][1].append(_link(content, namespaces) if kind == "[[" else "")
        elif BLOCKS.fullmatch(kind):
            frames[-1][1].append("\n")
    frames[-1][1].append(text[position:])
    return _joined(frames)


def _kind(token: re.Match) -> tuple[str, bool]:
    """What a token opens or closes: `{{`, `{|`, `[[` or `<` and the name of an element; whether it opens."""
    if token["open"]:
        return token["open"], True
    if token["close"]:
        return CLOSES[token["close"]], False
    name = "<" + token["tag"].lower()
    if NO_PROSE.fullmatch(name):
        return "" if token["empty"] else name, not token["end"] and not token["empty"]
    return name, False


def _begins_line(text: str, place: int) -> bool:
    """Whether nothing but blanks and the colons of an indented table stands before a place in its line."""
    _, newline, indent = text[max(0, place - INDENT) : place].rpartition("\n")
    return not indent.strip(" \t:") and (bool(newline) or place <= INDENT)


def _joined(frames: list[tuple[str, list[str]]]) -> str:
    """The text of a frame, and of those inside it that were never closed."""
    return " ".join("".join(pieces) for _, pieces in frames)


def _link(content: str, namespaces: Collection[str]) -> str:
    target, *labels = content.split("|")
    prefix, colon, _ = target.partition(":")
    if colon and prefix and (prefix.strip().lower() in namespaces or INTERLANGUAGE.fullmatch(prefix)):
        return ""
    return labels[-1] if labels else target.removeprefix(":").partition("#")[0]
