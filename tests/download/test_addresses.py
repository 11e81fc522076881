"""No way of writing an address, no redirect and no name server leads to a private network."""

import asyncio
import socket

import pytest

from curation.download.addresses import CheckedResolver, Gatekeeper, RefusedError, is_public
from curation.errors import BadItemError
from tests.download.serving import Site, fetch, redirecting

PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "fc00::1",
    "fd12::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "5f00::1",
    "4000::1",
    "2606:4700::1%2",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.215.14",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "192.0.1.1",
    "198.17.0.1",
]
PUBLIC += ["223.255.255.255", "2606:4700::1", "2a00:1450::1", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_private(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address):
    assert is_public(address)


# What an attacker may write; {port} is a server on loopback that must not be asked. The status says what was seen.
WRITTEN = {
    "file:///etc/passwd": "bad_scheme",
    "FILE:///etc/passwd": "bad_scheme",
    "ftp://127.0.0.1/a": "bad_scheme",
    "gopher://127.0.0.1:{port}/_GET": "bad_scheme",
    "data:image/png;base64,AAAA": "bad_scheme",
    "javascript:alert(1)": "bad_scheme",
    "//127.0.0.1:{port}/a": "bad_scheme",
    "dict://127.0.0.1:{port}/": "bad_scheme",
    "ws://127.0.0.1:{port}/": "bad_scheme",
    "unix:///var/run/docker.sock": "bad_scheme",
    "http://127.0.0.1:{port}/a": "blocked_port",
    "http://127.0.0.1/a": "blocked_address",
    "https://127.0.0.1/a": "blocked_address",
    "http://127.0.0.1:80/a": "blocked_address",
    "http://127.1/a": "blocked_address",
    "http://127.0.1/a": "blocked_address",
    "http://0/a": "blocked_address",
    "http://0x7f000001/a": "blocked_address",
    "http://0x7f.0.0.1/a": "blocked_address",
    "http://0X7F.1/a": "blocked_address",
    "http://2130706433/a": "blocked_address",
    "http://0177.0.0.1/a": "blocked_address",
    "http://017700000001/a": "blocked_address",
    "http://127.0.0.1./a": "blocked_address",
    "http://127.000.000.001/a": "blocked_address",
    "http://[::1]/a": "blocked_address",
    "http://[::]/a": "blocked_address",
    "http://[0:0:0:0:0:0:0:1]/a": "blocked_address",
    "http://[::ffff:127.0.0.1]/a": "blocked_address",
    "http://[::ffff:7f00:1]/a": "blocked_address",
    "http://[64:ff9b::127.0.0.1]/a": "blocked_address",
    "http://[fe80::1%25lo]/a": "blocked_address",
    "http://[::127.0.0.1]/a": "blocked_address",
    "http://localhost/a": "blocked_address",
    "http://LOCALHOST/a": "blocked_address",
    "http://169.254.169.254/latest/meta-data": "blocked_address",
    "http://10.0.0.1/a": "blocked_address",
    "http://172.16.0.1/a": "blocked_address",
    "http://192.168.0.1/a": "blocked_address",
    "http://100.64.0.1/a": "blocked_address",
    "http://0.0.0.0/a": "blocked_address",
    "http://255.255.255.255/a": "blocked_address",
    "http://224.0.0.1/a": "blocked_address",
    "http://127。0。0。1/a": "blocked_address",
    "http://①②⑦.⓪.⓪.①/a": "blocked_address",
    "http://127．0．0．1/a": "blocked_address",
    "http://user@127.0.0.1/a": "bad_url",
    "http://user:pw@example.com/a": "bad_url",
    "http://example.com@127.0.0.1/a": "bad_url",
    "http://example.com:22/a": "blocked_port",
    "http://example.com:25/a": "blocked_port",
    "http://example.com:0/a": "blocked_port",
    "http://example.com:65536/a": "bad_url",
    "http://127.0.0.1\\@example.com/a": "bad_url",
    "http:///a": "bad_url",
    "http://": "bad_url",
    "http://%31%32%37.0.0.1/a": "bad_url",
    "http://exa mple.com/a": "bad_url",
    "http://example.com\n.evil/a": "bad_url",
    "http://[::1/a": "bad_url",
    "http://xn--/a": "bad_url",
    "": "bad_scheme",
    "http://\x00/a": "bad_url",
    "http://" + "a" * 64 + ".com/a": "bad_url",
    "http://" + "a." * 200 + "com/a": "bad_url",
    "http://example.com/" + "a" * (1 << 20): "bad_url",
}


def test_written_out_in_a_url(tmp_path, outside):
    with Site({}) as site:
        urls = {url.format(port=site.port): status for url, status in WRITTEN.items()}
        rows = fetch(tmp_path, urls, allow_host=[])
        assert {url: row["status"] for url, row in rows.items()} == urls
        assert not site.asked and not outside


def test_written_out_in_a_redirect(tmp_path, outside):
    with Site({}) as victim, Site({}) as site:
        # Without a host a target is a path on the same one; and a header holds no line break and no megabyte.
        no_targets = ("", "http://", "http:///a", "http://example.com\n.evil/a", "http://\0/a")
        targets = {u: s for u, s in WRITTEN.items() if u.isascii() and len(u) < 8000 and u not in no_targets}
        for number, url in enumerate(targets):
            site.answers[f"/{number}"] = redirecting(url.format(port=victim.port))
        # //host keeps the scheme: what it leads to then is a port that is not allowed
        targets["//127.0.0.1:{port}/a"] = "blocked_port"
        wanted = {site.url(f"/{number}"): status for number, status in enumerate(targets.values())}
        rows = fetch(tmp_path, wanted, allow_host=[site.host], per_host=50)
        assert {url: row["status"] for url, row in rows.items()} == wanted
        assert {row["http_status"] for row in rows.values()} == {302}
        assert not victim.asked and not outside


def _answers(*answers):
    """A name server that gives one list of addresses after the other, the last one for ever."""
    said = list(answers)
    asked = []

    def look_up(host, port, *_):
        asked.append(host)
        addresses = said.pop(0) if len(said) > 1 else said[0]
        family = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(family[":" in a], socket.SOCK_STREAM, 6, "", (a, port)) for a in addresses]

    look_up.asked = asked
    return look_up


def test_a_name_whose_second_answer_is_loopback(tmp_path, outside):
    with Site({}) as victim:
        look_up = _answers(["8.8.4.4"], ["127.0.0.1"])
        urls = [f"http://rebind.test/{n}" for n in range(20)]
        rows = fetch(tmp_path, urls, look_up, allow_host=[], retries=2)
        assert {row["status"] for row in rows.values()} == {"connect"}  # refused by this test: see conftest.py
        assert set(outside) == {"8.8.4.4"} and not victim.asked  # always what was checked


def test_each_answer_is_checked():
    async def twice():
        resolver = CheckedResolver(Gatekeeper(), _answers(["8.8.4.4"], ["127.0.0.1"], ["8.8.4.4", "10.0.0.1"]))
        first = await resolver.resolve("rebind.test", 80)
        assert [entry["host"] for entry in first] == ["8.8.4.4"]
        for bad in ("127.0.0.1", "10.0.0.1"):  # the third answer is public but for one
            with pytest.raises(RefusedError, match=bad):
                await resolver.resolve("rebind.test", 80)

    asyncio.run(twice())


def test_a_socket_is_refused_whatever_was_said_before():
    from curation.download.addresses import socket_maker

    make = socket_maker(Gatekeeper(("127.0.0.1",)))
    make((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))).close()
    with pytest.raises(RefusedError):
        make((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", 80)))


def test_an_allowed_name_does_not_open_its_address_to_others(tmp_path, jpeg):
    with Site({"/a.jpg": jpeg}) as site:
        urls = {f"http://{name}:{site.port}/a.jpg": status for name, status in NAMED.items()}
        rows = fetch(tmp_path, urls, _answers(["127.0.0.1"]), allow_host=["good.test", f"other.test:{site.port + 1}"])
        assert {url: row["status"] for url, row in rows.items()} == urls


NAMED = {"good.test": "ok", "127.0.0.1": "blocked_port", "evil.test": "blocked_port", "other.test": "blocked_port"}


@pytest.mark.parametrize("entry", ["", "http://a", "a/b", "a:b", "a b", "[::1"])
def test_an_allowed_host_that_names_none(entry):
    with pytest.raises(BadItemError, match="neither HOST nor HOST:PORT"):
        Gatekeeper((entry,))
