"""Which URLs and addresses may be asked.

A URL is read by one parser only, the one that the HTTP client uses, and checked as that client will use it. A name is
resolved once for a connection; all its answers must be public; the connection goes to one of these very answers, and
the socket is refused once more where it would lead elsewhere. So neither a redirect, nor another way to write an
address, nor a name server that changes its mind reaches a private network.
"""

import asyncio
import re
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from yarl import URL

from curation.download.settings import PORTS, URL_CHARS
from curation.errors import BadItemError
from curation.sources.urls import without_dots

# IANA's registries of special-purpose addresses, RFC 6890 and its successors, as of 2025: all that is not globally
# reachable unicast. Written out: Python's own list differs between its releases.
PRIVATE_V4 = [
    ip_network(n)
    for n in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
]
GLOBAL_V6 = ip_network("2000::/3")  # all of IPv6 that is assigned to global unicast
PRIVATE_V6 = [ip_network(n) for n in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")]
NAT64 = ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are the IPv4 address that is meant

PLAIN_URL = re.compile(r"[!#-;=?-Z\[\]_a-z~]+")  # ASCII that needs no quoting (RFC 3986): sent as it was given
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
NUMERIC = re.compile(r"(?:.*\.)?(?:0[xX][0-9A-Fa-f]*|\d+)\.?")  # URL standard, 3.5: such a host is an IPv4 address
HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
ALLOWED = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]/@\s]+)(?::(?P<port>\d{1,5}))?")
LOOKUPS = 64  # name look-ups at a time; each may take the system's resolver many seconds


class RefusedError(OSError):
    """A connection that must not be made; an OSError, so that the HTTP client passes it on as a failed connection."""


def is_public(address: str) -> bool:
    """Whether an IP address, as text, belongs to a host that anyone on the internet can reach.

    >>> [is_public(a) for a in ("93.184.215.14", "10.1.2.3", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "fe80::1%eth0")]
    [True, False, False, False, False]
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed in NAT64:
        parsed = IPv4Address(int(parsed) & 0xFFFFFFFF)
    if isinstance(parsed, IPv4Address):
        return not any(parsed in network for network in PRIVATE_V4)
    # Neither IPv4-mapped, unique local, link-local nor multicast addresses lie in 2000::/3.
    scoped = parsed.scope_id is not None
    return parsed in GLOBAL_V6 and not scoped and not any(parsed in network for network in PRIVATE_V6)


class Gatekeeper:
    """What is allowed: public hosts on ports 80 and 443, and what `allow_host` names (`HOST` or `HOST:PORT`)."""

    def __init__(self, allow_host: tuple[str, ...] = ()) -> None:
        """Raises BadItemError `bad_url` for an entry of `allow_host` that names no host."""
        self.allowed: set[tuple[str, int | None]] = set()
        for entry in allow_host:
            match = ALLOWED.fullmatch(entry)
            if match is None:
                raise BadItemError("bad_url", f"allow_host: {entry!r} is neither HOST nor HOST:PORT")
            port = int(match["port"]) if match["port"] else None
            self.allowed.add((match["host"].strip("[]").lower(), port))
        self.hosts = {host for host, _ in self.allowed}
        self.private: set[str] = set()  # addresses that allowed hosts turned out to have

    def url(self, text: str, base: URL | None = None) -> URL:
        """The URL to ask, without fragment; `text` may be relative to `base`, as in a redirect.

        Dot segments are resolved, as a server would, so that robots.txt is asked about the path that is meant.

        Raises BadItemError: bad_url, bad_scheme, blocked_port, blocked_address (an address written out).
        """
        text = text.strip()
        if len(text) > URL_CHARS:
            raise BadItemError("bad_url", f"{len(text)} characters, limit {URL_CHARS}")
        if CONTROL.search(text):  # parsers take such characters out, each in its own way
            raise BadItemError("bad_url", "control character in the URL")
        try:
            url = URL(text, encoded=bool(PLAIN_URL.fullmatch(text)))
            url = (base.join(url) if base is not None else url).with_fragment(None)
            url = url.with_path(without_dots(url.raw_path), encoded=True, keep_query=True)
            host, port, _ = url.raw_host, url.port, url.host  # the last one fails on a name that is no IDNA
        except (ValueError, TypeError, IndexError) as error:  # the last two are faults of the parser
            raise BadItemError("bad_url", str(error)) from error
        if url.scheme not in ("http", "https"):
            raise BadItemError("bad_scheme", f"{url.scheme or 'none'}: only http and https are fetched")
        if url.raw_user is not None or url.raw_password is not None:
            raise BadItemError("bad_url", "user name in the URL")
        if not host or not (HOST_NAME.fullmatch(host) or _literal(host)):
            raise BadItemError("bad_url", f"host {host!r}")
        if NUMERIC.fullmatch(host) and not _literal(host):
            raise BadItemError("blocked_address", f"{host}: an address that is not written as one")
        self._check(host.lower(), port)
        return url

    def _check(self, host: str, port: int) -> None:
        if (host, port) in self.allowed or (host, None) in self.allowed:
            return
        if port not in PORTS:
            raise BadItemError("blocked_port", f"port {port}: only {PORTS} are asked")
        if _literal(host) and not is_public(host):
            raise BadItemError("blocked_address", f"{host} is not public")

    def check_answers(self, host: str, addresses: list[str]) -> None:
        """Raise RefusedError unless every address that the name has is public, or the name is allowed."""
        if host.lower() in self.hosts:
            self.private.update(addresses)
            return
        bad = [a for a in addresses if not is_public(a)]
        if bad:
            raise RefusedError(f"{host} has the address {bad[0]}, which is not public")

    def check_peer(self, address: str) -> None:
        """Raise RefusedError for a connection to an address that is neither public nor of an allowed host."""
        if not is_public(address) and address not in self.private and address not in self.hosts:
            raise RefusedError(f"{address} is not public")


def _literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class CheckedResolver:
    """aiohttp's resolver interface: the addresses of a name, once all of them have been checked."""

    def __init__(self, keeper: Gatekeeper, look_up: Callable[..., list] = socket.getaddrinfo) -> None:
        """`look_up` has the signature of socket.getaddrinfo; another one stands for another name server."""
        self.keeper, self.look_up = keeper, look_up
        self.threads = ThreadPoolExecutor(LOOKUPS, "names")

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_UNSPEC) -> list[dict[str, Any]]:
        """One entry per address. Raises OSError where there is none, RefusedError where one is not public."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self.threads, self.look_up, host, port, socket.AF_UNSPEC, socket.SOCK_STREAM)
        answers = [
            (family, address) for family, _, _, _, address in found if family in (socket.AF_INET, socket.AF_INET6)
        ]
        if not answers:
            raise OSError(f"{host} has no address")
        # An IPv6 answer may carry a scope, the fourth part: such an address is never public.
        names = [f"{a[0]}%{a[3]}" if len(a) == 4 and a[3] and "%" not in a[0] else a[0] for _, a in answers]
        self.keeper.check_answers(host, names)
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            {"hostname": host, "host": name, "port": port, "family": family, "proto": 0, "flags": flags}
            for name, (family, _) in zip(names, answers)
        ]

    async def close(self) -> None:
        """Let go of the threads; a look-up that hangs is not waited for."""
        self.threads.shutdown(wait=False, cancel_futures=True)


def socket_maker(keeper: Gatekeeper) -> Callable[[tuple], socket.socket]:
    """aiohttp's socket factory: a socket for an address that was checked; every connection is made through it."""

    def make(info: tuple) -> socket.socket:
        family, kind, protocol, _, address = info
        keeper.check_peer(address[0])
        return socket.socket(family, kind, protocol)

    return make
