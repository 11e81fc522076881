"""One answer of one server, bounded: bytes in memory, bytes of header, seconds, bytes a second.

The wire is read as it comes; content encodings are undone later (images.py), within the same bound of bytes.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

import aiohttp
from yarl import URL

from curation.download.addresses import CheckedResolver, Gatekeeper, RefusedError, socket_maker
from curation.download.memory import BUDGET_BYTES, Budget, Held
from curation.download.settings import CONNECT_S, HEADER_BYTES, RATE_GRACE_S, Settings
from curation.errors import BadItemError

UNKNOWN_BYTES = 256 << 10  # reserved for a body whose length the server does not tell; most images are smaller
NAMES_S = 300  # an answer of the name server is used again for so long: it was checked
KEEP_ALIVE_S = 15  # assumption: as long as common servers keep an idle connection
ACCEPT = "image/jpeg,image/png,image/webp,image/gif,image/bmp,image/tiff,*/*;q=0.1"  # what can be decoded


class Answer(NamedTuple):
    """What a server said. `headers` is a multi-dict; `body` is empty where it was not wanted."""

    status: int
    headers: Any
    body: bytes
    url: URL


class Allowance:
    """Seconds that servers still may take for one image: all its redirects and tries together."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds


class Transport:
    """The HTTP client of a task. `async with Transport(settings, keeper) as transport`."""

    def __init__(self, settings: Settings, keeper: Gatekeeper, look_up: Callable | None = None) -> None:
        """`look_up` stands for another name server (see CheckedResolver)."""
        self.settings, self.keeper = settings, keeper
        self.resolver = CheckedResolver(keeper, look_up) if look_up else CheckedResolver(keeper)
        self.connections = asyncio.Semaphore(settings.connections)
        self.budget = Budget(max(BUDGET_BYTES, 2 * settings.max_bytes))

    async def __aenter__(self) -> "Transport":
        connector = aiohttp.TCPConnector(
            limit=0,  # counted here
            resolver=self.resolver,
            socket_factory=socket_maker(self.keeper),
            ttl_dns_cache=NAMES_S,
            keepalive_timeout=KEEP_ALIVE_S,
            ssl=ssl.create_default_context(),
        )
        self.session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": self.settings.user_agent, "Accept": ACCEPT, "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,  # no proxies, no .netrc
        )
        self.session._retry_connection = False  # a second request would be one that politeness.py does not know of
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.session.close()
        await self.resolver.close()

    async def get(self, url: URL, time: Allowance, limit: int, held: Held, accept: Callable) -> Answer:
        """The answer to one request, redirects not followed; its body where `accept(status, headers)` says so.

        Raises BadItemError: blocked_address, dns, connect, connect_timeout, tls, reset, bad_response, timeout (after
        what `time` has left, which is taken from it, but not while we wait for memory), too_slow, too_large (above
        `limit` bytes), and what `accept` raises.
        """
        async with self.connections:
            clock = _Clock(time.left, self.settings.min_rate)
            with _told(clock), clock.taken_from(time):
                async with asyncio.timeout(time.left) as clock.guard:
                    async with self._response(url) as response:
                        _check_header(response)
                        wanted = accept(response.status, response.headers)
                        body = await _body(response, limit, held, clock) if wanted else b""
                        return Answer(response.status, response.headers, body, url)

    @contextlib.asynccontextmanager
    async def _response(self, url: URL) -> AsyncIterator[aiohttp.ClientResponse]:
        response = await self.session.get(url, allow_redirects=False, max_field_size=8190, max_headers=128)
        try:
            yield response
        finally:
            # A connection whose answer was read to its end is used again, any other one is closed.
            if response.content.at_eof():
                response.release()
            else:
                response.close()


class _Clock:
    """When one answer has to be there: at the end, and a body meanwhile by its rate."""

    def __init__(self, seconds: float, rate: int) -> None:
        self.now = asyncio.get_running_loop().time
        self.end, self.rate, self.slow = self.now() + seconds, rate, False
        self.body_start, self.guard = 0.0, None

    @contextlib.contextmanager
    def taken_from(self, time: Allowance) -> Iterator[None]:
        """What the block takes is no longer there."""
        try:
            yield
        finally:
            time.left = self.end - self.now()

    def starts(self) -> None:
        """The body begins."""
        self.body_start = self.now()
        self.has(0)

    def has(self, received: int) -> None:
        """So many bytes are there: how long the next ones may take."""
        due = self.body_start + max(RATE_GRACE_S, received / self.rate if self.rate else float("inf"))
        self.slow = due < self.end
        self.guard.reschedule(min(due, self.end))

    def paused(self, since: float) -> None:
        """We ourselves made the server wait since then."""
        waited = self.now() - since
        self.end += waited
        self.body_start += waited


def _check_header(response: aiohttp.ClientResponse) -> None:
    size = sum(len(name) + len(value) + 4 for name, value in response.raw_headers)
    if size > HEADER_BYTES:
        raise BadItemError("bad_response", f"{size} bytes of header, limit {HEADER_BYTES}")


async def _body(response: aiohttp.ClientResponse, limit: int, held: Held, clock: _Clock) -> bytes:
    length = response.content_length
    if length is not None and length > limit:
        raise BadItemError("too_large", f"{length} bytes announced, limit {limit}")
    await _more(held, min(limit, UNKNOWN_BYTES) if length is None else length, clock)
    clock.starts()
    data = bytearray()
    try:
        async for piece in response.content.iter_any():
            size = len(data) + len(piece)
            if size > limit:
                raise BadItemError("too_large", f"over {limit} bytes")
            if size > held.amount:
                await _more(held, min(limit, 2 * size), clock)
            data += piece
            clock.has(size)
        return bytes(data)
    finally:
        data.clear()  # the client keeps an exception, its traceback this frame: megabytes until the collector comes


async def _more(held: Held, size: int, clock: _Clock) -> None:
    """Wait for memory; the server's time stands still meanwhile."""
    since = clock.now()
    clock.guard.reschedule(None)
    await held.grow(size)
    clock.paused(since)


@contextlib.contextmanager
def _told(clock: _Clock) -> Any:
    """Failures of the client as BadItemError."""
    try:
        yield
    except TimeoutError as error:  # aiohttp's own time limit is one of these too
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            raise BadItemError("connect_timeout", f"no connection within {CONNECT_S:g} s") from error
        code = "too_slow" if clock.slow else "timeout"
        raise BadItemError(code, f"under {clock.rate} bytes a second" if clock.slow else "not done in time") from error
    except aiohttp.ClientConnectorDNSError as error:
        refused = isinstance(error.os_error, RefusedError)
        raise BadItemError("blocked_address" if refused else "dns", str(error.os_error)) from error
    except (aiohttp.ClientSSLError, ssl.SSLError, ssl.CertificateError) as error:
        raise BadItemError("tls", str(error)) from error
    except aiohttp.ClientConnectorError as error:
        refused = isinstance(error.os_error, RefusedError)
        raise BadItemError("blocked_address" if refused else "connect", str(error.os_error)) from error
    except (aiohttp.InvalidURL, ValueError) as error:
        raise BadItemError("bad_url", str(error)) from error
    except aiohttp.ClientResponseError as error:
        raise BadItemError("bad_response", error.message) from error
    except (aiohttp.ClientError, OSError) as error:
        raise BadItemError("reset", f"{type(error).__name__}: {error}") from error
