"""The ways in which sites say no, and how each is heard.

robots.txt (RFC 9309) once per scheme, host and port; the headers X-Robots-Tag and tdm-reservation with each answer; the
meta tags and headers of the pages on which the image was found, which ingest left in the table `opt_outs`.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from protego import Protego
from yarl import URL

from curation.download.settings import ROBOTS_BYTES
from curation.errors import BadItemError
from curation.sources.http import FORBIDDING, TDM, opt_out

TAG = "X-Robots-Tag"
ROBOTS_S = 10.0  # seconds for one robots.txt: half of an image's
ROBOTS_TEXTS = 8 << 20  # bytes of robots.txt kept parsed; as objects they take some ten times as much


def page_opt_out(terms: str | None) -> str | None:
    """Those of a comma list, as ingest keeps it of a page, that forbid the use; null where none does.

    >>> page_opt_out("nofollow,NoAI"), page_opt_out("tdm-reservation"), page_opt_out("false"), page_opt_out(None)
    ('noai', 'tdm-reservation', None, None)
    """
    said = {term.strip().lower() for term in (terms or "").split(",")}
    return ",".join(sorted(said & FORBIDDING)) or None


def header_opt_out(headers: Any, token: str) -> str | None:
    """The terms that an answer's headers hold for all agents or for `token`; null where there are none.

    `headers` has `getall(name, default)`. What is said to another agent by name is passed over.
    """
    ours = re.compile(rf"\s*{re.escape(token)}\s*:", re.IGNORECASE)
    robots = [ours.sub("", value, count=1) if ours.match(value) else value for value in headers.getall(TAG, ())]
    return opt_out(robots, headers.getall(TDM, ()))


class Robots:
    """robots.txt per origin, fetched when first needed. `fetch(url)` gives (status, body) or raises BadItemError."""

    def __init__(self, fetch: Callable[[URL], Awaitable[tuple[int, bytes]]], token: str) -> None:
        self.fetch, self.token = fetch, token
        self.origins: OrderedDict[str, tuple[asyncio.Task, int]] = OrderedDict()
        self.bytes = 0

    async def check(self, url: URL) -> float | None:
        """The delay in seconds that the site asks for, or None. Raises BadItemError: `robots` where the URL is
        forbidden, `robots_unreachable`, or what kept robots.txt from being read: nothing is fetched then.
        """
        origin = str(url.origin())
        if origin not in self.origins:
            self.origins[origin] = (asyncio.create_task(self._read(url.origin())), 0)
        task, _ = self.origins[origin]
        self.origins.move_to_end(origin)
        rules = await asyncio.shield(task)
        if isinstance(rules, BadItemError):
            raise BadItemError(rules.code, f"robots.txt: {rules.detail}")
        if rules is None:
            return None
        if not rules.can_fetch(str(url), self.token):
            raise BadItemError("robots", f"robots.txt of {url.host}")
        return rules.crawl_delay(self.token)

    async def _read(self, origin: URL) -> Protego | BadItemError | None:
        try:
            status, body = await self.fetch(origin.with_path("/robots.txt"))
        except BadItemError as error:  # RFC 9309, 2.3.1.4: where it cannot be read, all is forbidden
            return error
        if status != 200:  # 2.3.1.3: there is none
            return None
        self._make_room(str(origin), len(body))
        return Protego.parse(body.decode("utf-8-sig", "replace"))

    def _make_room(self, origin: str, size: int) -> None:
        """Forget the origins not asked for longest; they are read again where they come up again."""
        if origin not in self.origins:  # forgotten while it was read
            return
        task, before = self.origins[origin]
        self.origins[origin] = (task, size)
        self.bytes += size - before
        while self.bytes > ROBOTS_TEXTS and len(self.origins) > 1:
            _, (_, freed) = self.origins.popitem(last=False)
            self.bytes -= freed


def capped(body: bytes) -> bytes:
    """A robots.txt up to the last whole line within the limit."""
    return body if len(body) <= ROBOTS_BYTES else body[:ROBOTS_BYTES].rpartition(b"\n")[0]
