"""Text from outside, made fit to be shown: no control characters, no secrets, no links but to the web."""

import re
from typing import Any
from urllib.parse import urlsplit

CUT = 300  # characters of a caption that are shown; an assumption: a caption of 77 tokens has about as many
SECRET = re.compile(r"(?i)([?&;][^=&;#]*(?:token|secret|sign|sig|passw|credential|auth|key)[^=&;#]*=)[^&;#\s]+")
USER = re.compile(r"(?<=://)[^/@\s]+@")


def plain(text: str) -> str:
    """`text` on one line, each control, format or unassigned character as an escape: a terminal shows, not obeys, it.

    >>> plain("a\\x1b[31m\\nb\\u202e é")
    'a\\\\x1b[31m\\\\nb\\\\u202e é'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def cut(text: str, limit: int = CUT) -> str:
    """`text` with no more than `limit` characters, the last one an ellipsis where some were left out."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def public(uri: str) -> str:
    """A URI without user name, password and the values of query parameters that look like secrets.

    >>> public("https://me:pw@example.com/a.jpg?w=3&X-Amz-Signature=abc&access_token=def")
    'https://example.com/a.jpg?w=3&X-Amz-Signature=***&access_token=***'
    """
    return SECRET.sub(r"\1***", USER.sub("", plain(uri)))


def web_link(uri: str | None) -> str | None:
    """`uri` if it is a plain http or https address that holds no secret, else None: what a page may link to.

    >>> [web_link(u) for u in ("https://example.com/a", "javascript:alert(1)", "https://a:b@example.com", None)]
    ['https://example.com/a', None, None, None]
    """
    try:
        parts = urlsplit(uri or "")
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc or public(uri) != uri:
        return None
    return uri


def value_text(value: Any) -> str:
    """A value as a person reads it: few digits, no long lists, vectors and null in words.

    >>> [value_text(v) for v in (0.123456789, 7, None, b"ab", [1, 2, 3, 4, 5, 6, 7], {"min": 3})]
    ['0.123457', '7', 'null', '2 bytes', '1, 2, 3, 4, 5, ... (7)', '{min: 3}']
    """
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, list | tuple):
        shown = ", ".join(value_text(v) for v in value[:5])
        return f"{shown}, ... ({len(value)})" if len(value) > 5 else shown or "none"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {value_text(v)}" for k, v in value.items()) + "}"
    return cut(plain(str(value)))


def bound_text(bound: dict[str, Any]) -> str:
    """A bound as a recipe writes it, in words.

    >>> [bound_text(b) for b in ({"min": 3, "max": 77}, {"in": ["en"]}, {"top_fraction": 0.3, "rule": "datacomp"})]
    ['3 to 77', 'one of en', 'top 0.3 (datacomp)']
    """
    if "in" in bound:
        return "one of " + ", ".join(map(str, bound["in"]))
    if "in_file" in bound:
        return f"listed in {bound['in_file']}"
    if "top_fraction" in bound:
        return f"top {bound['top_fraction']}" + (f" ({bound['rule']})" if bound.get("rule", "exact") != "exact" else "")
    if "min" in bound and "max" in bound:
        return f"{bound['min']} to {bound['max']}"
    return f"at least {bound['min']}" if "min" in bound else f"at most {bound['max']}"
