"""Articles of a Wikipedia dump (pages-articles XML, plain, .bz2 or .gz), read in ranges of bytes by many tasks.

A .bz2 dump is cut where its streams begin, which is told by their first ten bytes, so that no index is needed; one that
is a single stream, and .gz, are read by one task. A page belongs to the range in which it begins. Damage costs the page
or the stream that it is in, and whatever a file unpacks to, no more than one page is held.
"""

import bz2
import gzip
import re
from collections.abc import Collection, Generator, Iterator
from typing import BinaryIO, NamedTuple

import fsspec
from lxml import etree

from curation.errors import BadItemError, RecipeError
from curation.metadata.wikitext import plain_text
from curation.sources.packing import CUT

RANGE_BYTES = 32 << 20  # of a file, a task: some hundred streams, about a minute
PIECE_BYTES = 1 << 20  # unpacked at a time
READ_BYTES = 128 << 10  # packed at a time: a stream of 100 pages has some 300 KB
PAGE_BYTES = 8 << 20  # of a page as XML; MediaWiki's limit of an article is 2 MiB ($wgMaxArticleSize)
HEAD_BYTES = 256 << 10  # what is read of the siteinfo, which has some 10 KB
STREAM = re.compile(rb"BZh[1-9]1AY&SY")  # the head of a bzip2 stream and of its first block
STREAM_BYTES = 10
OPEN, CLOSE = b"<page>", b"</page>"
NAMESPACE = re.compile(r'<namespace key="(-?\d+)"[^<>]*>([^<]+)</namespace>')
ENGLISH = ("file", "image", "category", "media", "user", "template", "wikipedia", "help", "portal", "special")
WIKITEXT = (None, "wikitext")  # models of content; older dumps do not name it


class Range(NamedTuple):
    """Bytes `start` to `stop` of a dump, and the names of the wiki's other namespaces, lower case."""

    uri: str
    start: int
    stop: int
    namespaces: tuple[str, ...]


class Article(NamedTuple):
    """An article's title and plain text."""

    title: str
    text: str


class Skipped(NamedTuple):
    """A page that is no article (`redirect`, `other_namespace`), or what could not be read: reason code and detail."""

    code: str
    detail: str = ""


def ranges(uri: str) -> list[Range]:
    """The ranges of a dump, one for a file that can only be read from its start; RecipeError where it is no dump."""
    try:
        with fsspec.open(uri, "rb") as file:
            size = file.seek(0, 2)
        names = _namespaces(uri)
    except FileNotFoundError as error:
        raise RecipeError(f"metadata: no file {uri}; wanted a dump of Wikipedia") from error
    step = max(size, 1) if uri.endswith(".gz") else RANGE_BYTES
    return [Range(uri, start, min(start + step, size), names) for start in range(0, max(size, 1), step)]


def articles(part: Range) -> Iterator[Article | Skipped]:
    """The articles that begin in a range, in their order, and what is skipped there."""
    namespaces = frozenset(part.namespaces)
    for page in _pages(_pieces(part.uri, part.start, part.stop)):
        if isinstance(page, Skipped):
            yield page
            continue
        try:
            yield _article(page, namespaces)
        except BadItemError as error:
            yield Skipped(error.code, error.detail)


def _namespaces(uri: str) -> tuple[str, ...]:
    """Names of all namespaces but the articles', as the dump's head gives them, and the English ones."""
    head, damaged = b"", False
    for piece, _ in _pieces(uri, 0, 1):
        damaged = isinstance(piece, Skipped)
        head += b"" if damaged else piece
        if damaged or len(head) >= HEAD_BYTES or b"</siteinfo>" in head:
            break
    text = head.decode("utf-8", "replace")
    if not damaged and "<mediawiki" not in text:
        raise RecipeError(f"metadata: {uri}: no <mediawiki> at its start; wanted a dump, .xml, .xml.bz2 or .xml.gz")
    return tuple(sorted({name.lower() for key, name in NAMESPACE.findall(text) if key != "0"} | set(ENGLISH)))


def _pieces(uri: str, start: int, stop: int) -> Iterator[tuple[bytes | Skipped, bool]]:
    """Unpacked bytes from `start` on, with whether they are of the range; behind it, until nobody asks for more."""
    with fsspec.open(uri, "rb") as file:
        if uri.endswith(".bz2"):
            yield from _streams(file, start, stop)
        elif uri.endswith(".gz"):
            yield from ((piece, True) for piece in _gunzipped(file))
        else:
            file.seek(start)
            yield from _plain(file, stop - start)


def _plain(file: BinaryIO, length: int) -> Iterator[tuple[bytes, bool]]:
    while data := file.read(min(PIECE_BYTES, length) if length > 0 else PIECE_BYTES):
        yield data, length > 0
        length -= len(data)
        if length <= 0:
            yield b"", False


def _gunzipped(file: BinaryIO) -> Iterator[bytes | Skipped]:
    try:
        with gzip.GzipFile(fileobj=file) as plain:
            while data := plain.read1(PIECE_BYTES):
                yield data
    except CUT as error:
        yield Skipped("corrupt_stream", str(error))


def _streams(file: BinaryIO, start: int, stop: int) -> Iterator[tuple[bytes | Skipped, bool]]:
    """What the bzip2 streams hold that begin in the range and, after a mark (b"", False), the ones behind it."""
    position = start
    while True:
        offset = _find_stream(file, position, stop if position < stop else None)
        if offset is not None:
            position = yield from _unpacked(file, offset, offset < stop)
        elif position < stop:
            position = stop
        else:
            return
        if position >= stop:
            yield b"", False


def _find_stream(file: BinaryIO, position: int, stop: int | None) -> int | None:
    """Where the next stream begins, at `position` or later but before `stop`; null where none does."""
    file.seek(position)
    data = b""
    while stop is None or position < stop:
        block = file.read(READ_BYTES)
        data += block
        found = STREAM.search(data)
        if found:
            position += found.start()
            return position if stop is None or position < stop else None
        if not block:
            return None
        position += max(0, len(data) - STREAM_BYTES + 1)
        data = data[-STREAM_BYTES + 1 :]
    return None


def _unpacked(file: BinaryIO, offset: int, owned: bool) -> Generator[tuple[bytes | Skipped, bool], None, int]:
    """What a stream holds; returns where the next may begin."""
    file.seek(offset)
    unpack = bz2.BZ2Decompressor()
    read = 0
    while not unpack.eof:
        data = file.read(READ_BYTES) if unpack.needs_input else b""
        read += len(data)
        fault = "the file ends within it" if unpack.needs_input and not data else ""
        try:
            piece = unpack.decompress(data, PIECE_BYTES)
        except OSError as error:  # the decompressor's: the data is not as it was written
            fault = str(error)
        if fault:
            yield Skipped("corrupt_stream", f"the stream at byte {offset}: {fault}"), owned
            return offset + STREAM_BYTES
        yield piece, owned
    return offset + read - len(unpack.unused_data)


def _pages(pieces: Iterator[tuple[bytes | Skipped, bool]]) -> Iterator[bytes | Skipped]:
    """The pages that begin in bytes of the range, whole; what is skipped of these."""
    held, ours = b"", 0  # what a page may be in; how much of it is of the range
    for piece, owned in pieces:
        if isinstance(piece, Skipped):
            yield from [piece] if owned else []
            continue
        held += piece
        found, held, ours = _cut(held, len(held) if owned else ours)
        yield from found
        if not owned and ours <= 0:
            return
    if held.startswith(OPEN):
        yield Skipped("bad_page", "the dump ends within a page")


def _cut(held: bytes, ours: int) -> tuple[list[bytes | Skipped], bytes, int]:
    """The pages that begin in the first `ours` bytes; the rest, which may be of a page; how much of that is ours."""
    found: list[bytes | Skipped] = []
    position = 0
    while True:
        start = held.find(OPEN, position)
        if start < 0 or start >= ours:
            rest = max(position, len(held) - _begun(held)) if start < 0 else len(held)
            break
        end = held.find(CLOSE, start)
        again = held.find(OPEN, start + len(OPEN), len(held) if end < 0 else end)
        if again >= 0:  # text has no tags: &lt;
            found.append(Skipped("bad_page", "a page that does not end"))
            position = again
            continue
        too_large = (len(held) if end < 0 else end) - start > PAGE_BYTES
        if too_large:
            found.append(Skipped("too_large", f"a page of more than {PAGE_BYTES} bytes"))
        elif end >= 0:
            found.append(held[start : end + len(CLOSE)])
        if end < 0:
            rest = len(held) - _begun(held) if too_large else start
            break
        position = end + len(CLOSE)
    return (found, held[rest:], ours - rest) if rest < ours else (found, b"", 0)


def _begun(held: bytes) -> int:
    """How many bytes at the end may be the beginning of a tag."""
    return next((size for size in range(len(OPEN) - 1, 0, -1) if held.endswith(OPEN[:size])), 0)


def _article(page: bytes, namespaces: Collection[str]) -> Article:
    """Title and text of a page's last revision; BadItemError where it is no article or cannot be read."""
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False)
    try:
        root = etree.fromstring(page, parser)
    except etree.XMLSyntaxError as error:
        raise BadItemError("bad_xml", str(error)) from error
    title, namespace = root.findtext("title"), root.findtext("ns")
    if title is None or namespace is None:
        raise BadItemError("bad_page", "no title or no namespace")
    if namespace.strip() != "0":
        raise BadItemError("other_namespace")
    if root.find("redirect") is not None:
        raise BadItemError("redirect")
    text = root.findtext("revision[last()]/text")
    if not text or root.findtext("revision[last()]/model") not in WIKITEXT:
        raise BadItemError("no_text", title)
    return Article(title, plain_text(text, namespaces))
