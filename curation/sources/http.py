"""What HTTP responses say of themselves, and their bodies: transfer and content encoding undone, within a limit.

Crawlers often store a body decoded but keep the header that says otherwise, so what a body begins with decides.
"""

import io
import re
import zlib
from collections.abc import Iterable
from typing import NamedTuple

from fastwarc.stream_io import BrotliReader, ZstdReader
from fastwarc.warc import HeaderMap

from curation.errors import BadItemError

CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")  # RFC 9112, 7.1
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
# DeviantArt's noai and noimageai, the robots terms of search engines, Microsoft's noml: those that bear on images.
TERMS = frozenset(("noai", "noimageai", "noindex", "noimageindex", "noml"))
TDM = "tdm-reservation"  # TDM Reservation Protocol (W3C community group), 4: "1" reserves the rights
FORBIDDING = TERMS | {TDM}
AGENT = re.compile(r"\s*([^\s,:]+)\s*:\s*(.*)", re.DOTALL)
# Terms with a colon of their own.
VALUED = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")
CHARSET = re.compile(r"charset\s*+=\s*+[\"']?\s*+([^\s;,\"']+)", re.IGNORECASE)


class Said(NamedTuple):
    """What the headers of a page say of it: charset, Content-Language, X-Robots-Tag and tdm-reservation."""

    charset: str | None = None
    language: str | None = None
    robots: tuple[str, ...] = ()
    reservation: str | None = None


def said(headers: HeaderMap | None, content_type: str) -> Said:
    """What HTTP headers say, of which there may be none; several of one name are kept apart."""
    charset = CHARSET.search(content_type)
    if headers is None:
        return Said(charset and charset[1])
    robots: tuple[str, ...] = ()
    if headers.get("X-Robots-Tag") is not None:
        robots = tuple(value for name, value in headers if name.lower() == "x-robots-tag")
    return Said(charset and charset[1], headers.get("Content-Language"), robots, headers.get("tdm-reservation"))


def opt_out(robots: Iterable[str | None], reservations: Iterable[str | None] = ()) -> str | None:
    """The terms that apply to everyone, sorted, with commas between; null where there are none.

    `robots` are values of robots meta elements and X-Robots-Tag headers, `reservations` those of tdm-reservation. What
    a header says to one named crawler is passed over; `none` means `noindex`.

    >>> opt_out(["NoAI, noimageai", "otherbot: noindex"], ["1"])
    'noai,noimageai,tdm-reservation'
    """
    terms = {TDM for value in reservations if value and value.strip() == "1"}
    for value in robots:
        agent = AGENT.match(value or "")
        if agent and agent[1].lower() not in (*VALUED, "*"):
            continue
        text = agent[2] if agent and agent[1] == "*" else value or ""
        said = {term.strip().lower() for term in text.split(",")}
        terms |= said & TERMS | ({"noindex"} if "none" in said else set())
    return ",".join(sorted(terms)) or None


def decoded(body: bytes, transfer: str | None, content: str | None, limit: int) -> bytes:
    """A body as it was meant to be seen, given its Transfer-Encoding and Content-Encoding headers.

    Raises BadItemError `too_large` where it grows beyond `limit` bytes, `bad_encoding` where it cannot be decoded.
    """
    if transfer and "chunked" in transfer.lower():
        body = unchunked(body)
    for encoding in reversed((content or "").lower().split(",")):
        body = _decoded(body, encoding.strip(), limit)
        if len(body) > limit:
            raise BadItemError("too_large", f"{encoding.strip()} unpacks to over {limit} bytes")
    return body


def unchunked(body: bytes) -> bytes:
    """A chunked body in one piece, up to the first chunk that is broken; unchanged where it was not chunked at all."""
    parts, position = [], 0
    while chunk := CHUNK.match(body, position):
        position = chunk.end() + int(chunk[1], 16)
        parts.append(body[chunk.end() : position])
        position += 2 if body[position : position + 2] == b"\r\n" else 0
        if chunk[1].strip(b"0") == b"":
            break
    return b"".join(parts) if parts else body


def _decoded(body: bytes, encoding: str, limit: int) -> bytes:
    try:
        if encoding in ("gzip", "x-gzip") and body.startswith(GZIP):
            return zlib.decompressobj(31).decompress(body, limit + 1)
        if encoding == "deflate":
            # RFC 9110, 8.4.1.2: zlib format, but some servers send the bare stream.
            wrapped = len(body) > 1 and body[0] & 15 == 8 and (body[0] << 8 | body[1]) % 31 == 0
            return zlib.decompressobj(15 if wrapped else -15).decompress(body, limit + 1)
        if encoding == "br":
            return BrotliReader(io.BytesIO(body)).read(limit + 1)
        if encoding == "zstd" and body.startswith(ZSTD):
            return ZstdReader(io.BytesIO(body)).read(limit + 1)
    except (OSError, zlib.error) as error:
        if body.lstrip().startswith(b"<"):  # stored decoded
            return body
        raise BadItemError("bad_encoding", f"{encoding}: {error}") from error
    return body
