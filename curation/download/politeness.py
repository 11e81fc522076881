"""Per host: how many requests at a time, how long between two, when to wait, when to leave it alone.

All rows of a host are in one task (table.py), so what holds here holds for the whole job. The target of a redirect is
asked under the same rules, but may be asked by other tasks too.
"""

import asyncio
import contextlib
import email.utils
import time
from collections.abc import AsyncIterator

from curation.download.settings import HOST_FAILURES, MAX_TURN_S, MAX_WAIT_S, Settings
from curation.errors import BadItemError

BACK_OFF_S = 1.0  # first pause after a 429 or 503 that names none; doubled for each one that follows
# Failures that say something of the host, not of the one URL.
HOST_CODES = ("dns", "connect", "connect_timeout", "tls", "timeout", "too_slow", "reset")


class Host:
    """What is known of one host in this task."""

    def __init__(self, settings: Settings) -> None:
        self.slots = asyncio.Semaphore(settings.per_host)
        self.turn = asyncio.Lock()
        self.delay = settings.delay
        self.next = 0.0  # time of the loop's clock from which the next request may start
        self.failures = 0
        self.refusals = 0  # 429 and 503 in a row


class Politeness:
    """The hosts of one task."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.hosts: dict[str, Host] = {}

    def host(self, name: str) -> Host:
        """The host of that name."""
        if name not in self.hosts:
            self.hosts[name] = Host(self.settings)
        return self.hosts[name]

    def slow_down(self, name: str, delay: float) -> None:
        """The host asks for `delay` seconds between two requests."""
        host = self.host(name)
        host.delay = max(host.delay, delay)

    @contextlib.asynccontextmanager
    async def asking(self, name: str) -> AsyncIterator[None]:
        """One request to the host, in its turn. BadItemError host_busy, host_paused, host_failing: not in this run."""
        host = self.host(name)
        try:
            async with asyncio.timeout(MAX_TURN_S):
                await host.slots.acquire()
        except TimeoutError as error:
            raise BadItemError("host_busy", f"{name} was not free within {MAX_TURN_S:g} s") from error
        try:
            await self._in_turn(name, host)
            yield
        finally:
            host.slots.release()

    async def _in_turn(self, name: str, host: Host) -> None:
        clock = asyncio.get_running_loop().time
        async with host.turn:  # one waits, the others stand behind it
            while True:
                self._check(name, host)
                wait = host.next - clock()
                if wait <= 0:
                    break
                if wait > MAX_WAIT_S:
                    raise BadItemError("host_paused", f"{name} wants {wait:.0f} s of rest, at most {MAX_WAIT_S:g} s")
                await asyncio.sleep(wait)
            host.next = clock() + host.delay

    def _check(self, name: str, host: Host) -> None:
        if host.failures >= HOST_FAILURES:
            raise BadItemError("host_failing", f"{name} failed {host.failures} times in a row")

    def failed(self, name: str, code: str) -> None:
        """A request to the host ended with this code."""
        if code in HOST_CODES:
            self.host(name).failures += 1
        elif code in ("opt_out", "too_large"):  # it answered
            self.worked(name)

    def worked(self, name: str) -> None:
        """A request to the host went through, whatever the answer was."""
        self.host(name).failures = 0

    def answered(self, name: str, status: int, retry_after: str | None) -> None:
        """The host answered; 429 and 503 make it rest for as long as it says, or for ever longer."""
        host = self.host(name)
        if status not in (429, 503):
            host.refusals = 0
            return
        said = seconds(retry_after)
        pause = BACK_OFF_S * 2**host.refusals if said is None else said
        host.refusals += 1
        host.next = max(host.next, asyncio.get_running_loop().time() + pause)


def seconds(retry_after: str | None) -> float | None:
    """The value of a Retry-After header, a number or a date, in seconds from now; None where it is neither.

    >>> seconds("120"), seconds("soon"), seconds("Wed, 21 Oct 2015 07:28:00 GMT")
    (120.0, None, 0.0)
    """
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:12]), 10**9))
    try:
        date = email.utils.parsedate_to_datetime(text)
        return max(0.0, date.timestamp() - time.time())
    except (ValueError, TypeError, OverflowError, OSError):
        return None
