"""URLs as pages write them, made absolute and brought into the one form under which they are looked up and stored."""

import re
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from curation.errors import BadItemError

NO_SRC = re.compile(r"#.*|(?i:https?):/*", re.DOTALL)  # a browser makes the page itself, or nothing, of these
# A URL that is in that form: no dot segment, no default port, nothing to encode.
PLAIN_URL = re.compile(
    r"https?://[a-z0-9.-]+(?::(?!80/|443/)\d+)?(?=/)"
    r"(?:/(?!\.|%2[eE])|[!$%&'()*+,.0-9:;=?@A-Z_a-z~\[\]-]++)*+"
)
# What only has to be put behind the host or the folder: no dot segment, nothing that urljoin would drop or read anew.
PLAIN_PATH = re.compile(
    r"/?(?!%2[eE])[!$%&'()*+,0-9=@A-Z_a-z~-][!$%&'()*+,.0-9=@A-Z_a-z~-]*+"
    r"(?:/(?![./]|%2[eE])[!$%&'()*+,.0-9=@A-Z_a-z~-]*+)*+(?:\?[!$%&'()*+,./0-9:=@A-Z_a-z~-]++)?"
)
DOT_SEGMENT = re.compile(r"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)
DEFAULT_PORTS = {"http": "80", "https": "443"}
CONTROLS = "".join(map(chr, range(33)))  # WHATWG URL Standard, 4.4: C0 controls and blanks around it do not count
PATH = re.compile(r"[^?#]*")
DROPPED = str.maketrans("", "", "\t\r\n")


class Base(NamedTuple):
    """What the relative URLs of a page start from. `host` and `folder` are "" where no short way is safe."""

    url: str
    host: str = ""
    folder: str = ""


def base_of(url: str) -> Base:
    """The base of a page at `url`."""
    path = url.partition("?")[0]
    if not PLAIN_URL.fullmatch(url) or "/." in path or "//" in path[8:] or ";" in path:
        return Base(url)
    return Base(url, url[: url.index("/", 8)], path[: path.rindex("/") + 1])


def absolute_url(base: Base, src: str | None) -> str:
    """The http or https URL that a `src` means on a page, without fragment, safely encoded.

    Raises BadItemError `no_url` where it is missing or empty, `data_url` for images within the page, `bad_url`
    otherwise.
    """
    if src and PLAIN_URL.fullmatch(src):
        return src
    if src and base.host and PLAIN_PATH.fullmatch(src):
        return (base.host if src[0] == "/" else base.folder) + src
    if src and base.host and src[:2] == "//" and PLAIN_URL.fullmatch(base.host.partition("/")[0] + src):
        return base.host.partition("/")[0] + src
    src = (src or "").strip(CONTROLS).translate(DROPPED)
    if not src or NO_SRC.fullmatch(src):
        raise BadItemError("no_url", f"img with src {src!r}")
    if src[:5].lower() == "data:":
        raise BadItemError("data_url", src[:40])
    url = normal_url(joined(base.url, src))
    if url is None:
        raise BadItemError("bad_url", f"{src} on {base.url}")
    return url


def normal_url(url: str) -> str | None:
    """An http or https URL in the one form under which it is looked up and stored; null for any other."""
    if PLAIN_URL.fullmatch(url):
        return url
    try:
        parts = urlsplit(url)
        host = parts.netloc.lower()
        host = host if host.isascii() else host.encode("idna").decode("ascii")
        name, colon, port = host.rpartition(":")
        host = name if colon and port in ("", DEFAULT_PORTS.get(parts.scheme)) else host
        # The URL Standard's sets for path and query, joined: what a browser would send.
        path, query = (quote(part, safe="!$%&'()*+,-./:;=?@[]_~|^") for part in (parts.path or "/", parts.query))
    except ValueError:  # UnicodeError, a host that cannot be or a lone surrogate, is one too
        return None
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s<>\"\\^`{|}]", host):
        return None
    return urlunsplit((parts.scheme, host, without_dots(path), query, ""))


def without_dots(path: str) -> str:
    """An absolute path with its dot segments resolved: RFC 3986, 5.2.4, and as browsers do, where dots are `%2e`.

    >>> without_dots("/a/../../b/./c"), without_dots("/a/b/%2E%2e"), without_dots("/.../a.b")
    ('/b/c', '/a/', '/.../a.b')
    """
    if not DOT_SEGMENT.search(path):
        return path
    kept: list[str] = []
    for segment in path.split("/")[1:]:
        dots = segment.lower().replace("%2e", ".")
        if dots == "..":
            kept = kept[:-1]
        elif dots != ".":
            kept.append(segment)
    return "/" + "/".join([*kept, ""] if dots in (".", "..") else kept)


def joined(base: str, url: str) -> str:
    """A URL as it stands on a page or in a header, made absolute; "" for one that no parser takes."""
    if PLAIN_URL.fullmatch(url):
        return url
    try:
        url = url.strip(CONTROLS).translate(DROPPED)
        path = PATH.match(url)[0]
        return urljoin(base, path.replace("\\", "/") + url[len(path) :])  # 4.4: up to the query `\` is `/`
    except ValueError:
        return ""
