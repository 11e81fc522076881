"""One image, from its URL to the bytes that a server sent: robots.txt, redirects, opt-outs, further tries.

A failure is a BadItemError whose code becomes the image's status; `Trace` keeps what is known beside it.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, NamedTuple

from yarl import URL

from curation.download.addresses import Gatekeeper
from curation.download.images import unpacked
from curation.download.memory import Held
from curation.download.politeness import Politeness
from curation.download.robots import ROBOTS_S, Robots, capped, header_opt_out, page_opt_out
from curation.download.settings import REDIRECTS, ROBOTS_BYTES, Settings
from curation.download.transport import Allowance, Answer, Transport
from curation.errors import BadItemError

REDIRECTED = (301, 302, 303, 307, 308)
SERVER_ERRORS = frozenset(f"http_{n}" for n in range(500, 600)) - {"http_501", "http_505"}  # those two do not pass
# What may be another way a few seconds later: tried again in the same run.
AGAIN = SERVER_ERRORS | {"reset", "connect", "http_408", "http_425", "http_429"}
# What may be another way another day: fetched again by the next run. All else stays as it is.
RETRYABLE = AGAIN | {
    *("dns", "connect_timeout", "timeout", "too_slow", "host_busy", "host_paused", "host_failing", "robots_unreachable")
}
FIRST_WAIT_S = 1.0  # before the second try where the server names no time; doubled before the third
ROBOTS_READ = 8 * ROBOTS_BYTES  # more of a robots.txt is not even read


@dataclass
class Trace:
    """What became known on the way: the last HTTP status, and requests for the image so far."""

    http_status: int | None = None
    tries: int = 0


class Errand(NamedTuple):
    """What one request may cost, and whether it is for an image (which robots and opt-outs concern)."""

    limit: int
    time: Allowance
    image: bool
    trace: Trace
    held: Held


class Visitor:
    """Fetches images over one Transport; all of a task's rows share its robots.txt files and hosts."""

    def __init__(self, transport: Transport, settings: Settings, keeper: Gatekeeper) -> None:
        self.transport, self.settings, self.keeper = transport, settings, keeper
        self.politeness = Politeness(settings)
        self.robots = Robots(self._robots_file, settings.user_agent_token)

    async def image(self, url: str, terms: str | None, trace: Trace, held: Held) -> Answer:
        """The answer that holds the image's bytes as they were sent, counted in `held`.

        `terms` are what the pages where it was found say against its use. Raises BadItemError with the image's status.
        """
        opt_out = page_opt_out(terms)
        if opt_out:
            raise BadItemError("opt_out", f"{opt_out} (page)")
        errand = Errand(self.settings.max_bytes, Allowance(self.settings.timeout), True, trace, held)
        return await self._with_retries(self.keeper.url(url), errand)

    async def _with_retries(self, url: URL, errand: Errand) -> Answer:
        last: BadItemError | None = None
        for number in range(self.settings.retries + 1):
            try:
                return await self._follow(url, errand)
            except BadItemError as error:
                errand.held.release()
                if last is not None and error.code == "host_paused":
                    raise last from error  # its own answer says more than that we will not wait
                if error.code not in AGAIN or number == self.settings.retries or errand.time.left <= 0:
                    raise
                last = error
                if error.code not in ("http_429", "http_503"):  # there the host rests, not only this image
                    await asyncio.sleep(FIRST_WAIT_S * 2**number)
        raise AssertionError("unreachable")

    async def _follow(self, url: URL, errand: Errand) -> Answer:
        for _ in range(REDIRECTS + 1):
            if errand.image:
                delay = await self.robots.check(url)
                if delay:
                    self.politeness.slow_down(url.host, delay)
            async with self.politeness.asking(url.host):
                answer = await self._ask(url, errand)
            target = answer.headers.get("Location")
            if answer.status not in REDIRECTED or not target:
                return self._checked(answer, errand)
            url = self.keeper.url(target, base=url)
            if errand.time.left <= 0:
                raise BadItemError("timeout", "no time left after a redirect")
        raise BadItemError("too_many_redirects", f"over {REDIRECTS}, last to {url.host}")

    async def _ask(self, url: URL, errand: Errand) -> Answer:
        def accept(status: int, headers: Any) -> bool:
            self.politeness.answered(url.host, status, headers.get("Retry-After"))
            if errand.image:
                errand.trace.http_status = status
                opt_out = header_opt_out(headers, self.settings.user_agent_token)
                if opt_out:
                    raise BadItemError("opt_out", f"{opt_out} (header)")
            return status == 200

        errand.trace.tries += errand.image
        try:
            answer = await self.transport.get(url, errand.time, errand.limit, errand.held, accept)
        except BadItemError as error:
            self.politeness.failed(url.host, error.code)
            raise
        self.politeness.worked(url.host)
        return answer

    def _checked(self, answer: Answer, errand: Errand) -> Answer:
        """The answer, if it is one to go on with; an error of the server is one for any errand."""
        code = f"http_{answer.status}"
        if code in AGAIN or answer.status >= 500 or (errand.image and answer.status != 200):
            raise BadItemError(code, answer.url.host)
        return answer

    async def _robots_file(self, url: URL) -> tuple[int, bytes]:
        held = Held(self.transport.budget)
        try:
            answer = await self._with_retries(url, Errand(ROBOTS_READ, Allowance(ROBOTS_S), False, Trace(), held))
            encoding = answer.headers.get("Content-Encoding")
            return answer.status, capped(unpacked(answer.body, encoding, ROBOTS_READ))
        except BadItemError as error:
            if error.code.startswith("http_") or error.code in ("too_large", "bad_encoding", "bad_response"):
                raise BadItemError("robots_unreachable", str(error)) from error
            raise
        finally:
            held.release()
