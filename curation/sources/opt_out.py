"""What a page or a server says against the use of its images, in one form for all places where it can be said."""

import re
from collections.abc import Iterable

# DeviantArt's noai and noimageai, the robots terms of search engines, Microsoft's noml: those that bear on images.
TERMS = frozenset(("noai", "noimageai", "noindex", "noimageindex", "noml"))
TDM = "tdm-reservation"  # TDM Reservation Protocol (W3C community group), 4: "1" reserves the rights
AGENT = re.compile(r"\s*([^\s,:]+)\s*:\s*(.*)", re.DOTALL)
VALUED = (
    "unavailable_after",
    "max-snippet",
    "max-image-preview",
    "max-video-preview",
)  # terms with a colon of their own


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
