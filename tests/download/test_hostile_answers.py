"""Servers that lie, drip, flood or break off: each ends in time, with a status that says what happened."""

import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curation.images import decode
from tests.download.serving import Site, answering, dripping, fetch, raw, redirecting, resetting, send, stored
from tests.test_headers import png

OK = b"HTTP/1.1 200 OK\r\n"
ROOT = Path(__file__).parents[2]


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def endless(handler):
    """A body without end, as fast as it goes."""
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(bytes(1 << 16))


def looping(handler):
    send(handler, b"", 302, Location=f"/loop?{time.time_ns()}")


def answers(jpeg):
    """Path -> (what the server does, the status that the image gets)."""
    bomb = gzip.compress(bytes(30 << 20))
    twice = gzip.compress(gzip.compress(jpeg))
    return {
        "/good.jpg": (answering(jpeg, Content_Type="text/html"), "ok"),  # a wrong type says nothing
        "/gzip.jpg": (answering(gzip.compress(jpeg), Content_Encoding="gzip"), "ok"),
        "/zlib.jpg": (answering(zlib.compress(jpeg), Content_Encoding="deflate"), "ok"),
        "/claimed.jpg": (answering(jpeg, Content_Encoding="gzip"), "ok"),  # not gzip at all
        "/redirect.jpg": (redirecting("/good.jpg"), "ok"),
        "/empty.jpg": (answering(b""), "not_an_image"),
        "/page.jpg": (answering(b"<html><img src=a.jpg></html>", Content_Type="image/jpeg"), "not_an_image"),
        "/drawing.svg": (answering(b"<?xml version='1.0'?><svg/>", Content_Type="image/svg+xml"), "not_an_image"),
        "/paper.pdf": (answering(b"%PDF-1.7\n", Content_Type="application/pdf"), "not_an_image"),
        "/huge.png": (answering(png(50_000, 50_000)), "too_long_side"),
        "/bomb.png": (answering(png(20_000, 20_000)), "too_many_pixels"),
        "/line.png": (answering(png(6000, 1)), "too_elongated"),
        "/cut.jpg": (answering(jpeg[: len(jpeg) // 2]), "decode_error"),
        "/bomb.gz": (answering(bomb, Content_Encoding="gzip"), "too_large"),
        "/onion.gz": (answering(twice, Content_Encoding=", ".join(["gzip"] * 5)), "bad_encoding"),
        "/torn.gz": (answering(b"\x1f\x8b" + bytes(40), Content_Encoding="gzip"), "bad_encoding"),
        "/long.jpg": (answering(b"", Content_Length=str(10 << 30)), "too_large"),
        "/short.jpg": (raw(OK + b"Content-Length: 99999\r\n\r\n" + jpeg), "reset"),
        "/less.jpg": (raw(OK + b"Connection: close\r\nContent-Length: 100\r\n\r\n" + jpeg[:100]), "decode_error"),
        "/nolength.jpg": (raw(OK + b"Connection: close\r\n\r\n" + jpeg), "ok"),
        "/twolengths.jpg": (raw(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345"), "bad_response"),
        "/negative.jpg": (raw(OK + b"Content-Length: -1\r\n\r\n12345"), "bad_response"),
        "/chunks.jpg": (raw(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n12345"), "bad_response"),
        "/noise.jpg": (raw(bytes(range(256)) * 50), "bad_response"),
        "/silence.jpg": (raw(b""), "reset"),
        "/reset.jpg": (resetting, "reset"),
        "/endless.jpg": (endless, "too_large"),
        "/headers.jpg": (raw(OK + b"X: " + b"a" * 8000 + b"\r\n" + b"Y: b\r\n" * 300 + b"\r\n"), "bad_response"),
        "/header.jpg": (raw(OK + b"X: " + b"a" * 100_000 + b"\r\n\r\n"), "bad_response"),
        "/wide.jpg": (
            raw(OK + b"".join(b"X%d: %s\r\n" % (n, b"a" * 7000) for n in range(12)) + b"\r\n"),
            "bad_response",
        ),
        "/loop": (looping, "too_many_redirects"),
        "/nowhere": (redirecting(""), "http_302"),
        "/switch": (raw(b"HTTP/1.1 101 Switching Protocols\r\nConnection: close\r\n\r\n"), "http_101"),
        "/partial": (answering(jpeg, 206), "http_206"),
        "/forbidden": (answering(b"", 403), "http_403"),
        "/gone": (answering(b"", 410), "http_410"),
        "/broken": (answering(b"", 500), "http_500"),
    }


def test_each_ends_with_its_status(tmp_path, jpeg):
    expected = answers(jpeg)
    with Site({path: answer for path, (answer, _) in expected.items()}) as site:
        started = time.monotonic()
        rows = fetch(tmp_path, [site.url(path) for path in expected], per_host=20)
        assert time.monotonic() - started < 20
    found = {path: rows[site.url(path)] for path in expected}
    assert {path: row["status"] for path, row in found.items()} == {
        path: status for path, (_, status) in expected.items()
    }
    assert all((row["image"] is None) == (row["status"] != "ok") for row in found.values())
    assert all((row["detail"] is None) == (row["status"] == "ok") for row in found.values())
    assert {stored(row) for row in found.values() if row["status"] == "ok"} == {jpeg}
    assert found["/gone"]["http_status"] == 410 and found["/reset.jpg"]["http_status"] is None


def test_slow_ones_end_in_time_and_hold_up_no_one(tmp_path, jpeg):
    head = OK + b"Content-Length: 100000\r\n\r\n"
    slow = {
        "/drip.jpg": (dripping(head, [b"\xff"] * 60, 1.0), "too_slow", 5),  # one byte a second
        "/stall.jpg": (dripping(head, [b""], 60), "too_slow", 5),
        "/loris.jpg": (dripping(OK, [b"X: y\r\n"] * 120, 0.5), "timeout", 8),  # header lines, one at a time
        "/mute.jpg": (dripping(b"", [b""], 60), "timeout", 8),
        "/hints.jpg": (dripping(b"", [b"HTTP/1.1 103 Early Hints\r\n\r\n"] * 600, 0.1), "timeout", 8),
        "/steady.jpg": (
            dripping(OK + b"Content-Length: 20000\r\n\r\n", [bytes(500)] * 60, 0.25),
            "timeout",
            8,
        ),  # 2 kB/s
    }
    good = {f"/{number}.jpg": jpeg for number in range(200)}
    with Site(good | {path: answer for path, (answer, *_) in slow.items()}) as site:
        started = time.monotonic()
        rows = fetch(tmp_path, [site.url(path) for path in (*slow, *good)], timeout=8, per_host=16)
        took = time.monotonic() - started
        last_good = max(at for at, path in site.times if path in good)
        first = min(at for at, _ in site.times)
    assert {path: rows[site.url(path)]["status"] for path in slow} == {
        path: status for path, (_, status, _) in slow.items()
    }
    assert {rows[site.url(path)]["status"] for path in good} == {"ok"}
    assert took < 8 + 8  # the limit, and what a loaded machine adds
    assert last_good - first < 6  # done while the slow ones were still going


def test_a_host_that_fails_is_left_alone(tmp_path, jpeg):
    with Site({f"/{n}": dripping(OK, [b"X: y\r\n"] * 50, 0.1) for n in range(300)}, "127.0.0.2") as bad:
        with Site({f"/{n}.jpg": jpeg for n in range(50)}) as good:
            urls = [good.url(f"/{n}.jpg") for n in range(50)] + [bad.url(f"/{n}") for n in range(300)]
            started = time.monotonic()
            rows = fetch(tmp_path, urls, timeout=1, allow_host=["127.0.0.1", "127.0.0.2"])
            took = time.monotonic() - started
        statuses = [rows[bad.url(f"/{n}")]["status"] for n in range(300)]
        assert set(statuses) == {"timeout", "host_failing"} and 8 <= statuses.count("timeout") <= 12
        assert sum(bad.asked[f"/{n}"] for n in range(300)) == statuses.count("timeout")
    assert {rows[good.url(f"/{n}.jpg")]["status"] for n in range(50)} == {"ok"}
    assert took < 15  # not 300 / 4 seconds


ODD = {
    "gif": lambda: saved(
        Image.new("P", (40, 30), 3), "GIF", save_all=True, append_images=[Image.new("P", (40, 30), 9)] * 5
    ),
    "cmyk": lambda: saved(Image.new("CMYK", (40, 30), (0, 200, 200, 0)), "JPEG"),
    "deep": lambda: saved(Image.fromarray(np.full((30, 40), 40_000, np.uint16)), "PNG"),
    "turned": lambda: saved(Image.new("RGB", (30, 40), "red"), "JPEG", exif=_turned()),
    "webp": lambda: saved(Image.new("RGBA", (40, 30), (1, 2, 3, 128)), "WEBP"),
    "bmp": lambda: saved(Image.new("RGB", (40, 30)), "BMP"),
    "tiff": lambda: saved(Image.new("RGB", (40, 30)), "TIFF"),
}


def _turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def test_odd_images_are_kept_as_they_came(tmp_path):
    sent = {f"/{name}": make() for name, make in ODD.items()}
    with Site(sent) as site:
        rows = fetch(tmp_path, [site.url(path) for path in sent])
    for path, data in sent.items():
        row = rows[site.url(path)]
        assert (row["status"], row["width"], row["height"], row["bytes"]) == ("ok", 40, 30, len(data)), path
        assert stored(row) == data and decode(data).shape == (30, 40, 3)
    assert rows[site.url("/cmyk")]["format"] == "jpg" and rows[site.url("/gif")]["format"] == "gif"


def test_memory_is_bounded(tmp_path, jpeg):
    """Bodies of 20 MiB and more without a length, with a false one, and as bombs, all at once: together 2 GB."""
    bomb = gzip.compress(bytes(64 << 20))
    flood = {f"/{n}": endless for n in range(40)} | {
        f"/b{n}": answering(bomb, Content_Encoding="gzip") for n in range(10)
    }
    flood |= {f"/l{n}": dripping(OK + b"Content-Length: 20000000\r\n\r\n", [bytes(1 << 20)] * 19, 0) for n in range(60)}
    script = textwrap.dedent(
        """
        import json, resource, sys
        from tests.download.serving import fetch
        urls, folder = json.loads(sys.argv[1]), sys.argv[2]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rows = fetch(folder, urls, per_host=230, timeout=60)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps([peak - before, sorted({row["status"] for row in rows.values()})]))
        """
    )
    with Site(flood) as site:
        urls = json.dumps([site.url(path) for path in flood])
        environment = os.environ | {"PYTHONPATH": str(ROOT), "CURATION_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", script, urls, str(tmp_path)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    grown, statuses = json.loads(done.stdout)
    assert set(statuses) <= {"too_large", "reset", "timeout", "too_slow", "host_failing"} and "too_large" in statuses
    assert grown < 600 << 10, f"{grown >> 10} MiB"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Files that hold a key and a self-signed certificate: for good.test and for other.test."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make certificates with")
    folder = tmp_path_factory.mktemp("certificates")
    made = {}
    for name in ("good", "other"):
        path = folder / f"{name}.pem"
        subject = ["-subj", f"/CN={name}.test", "-addext", f"subjectAltName=DNS:{name}.test", "-days", "2"]
        files = ["-keyout", path, "-out", folder / f"{name}.crt"]
        kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        subprocess.run(["openssl", "req", *kind, *subject, *files], check=True, capture_output=True)
        with open(path, "a") as file:
            file.write((folder / f"{name}.crt").read_text())
        made[name] = path
    return made


@pytest.mark.parametrize(
    ("served", "trusted", "status"),
    [("good", "good", "ok"), ("good", "other", "tls"), ("other", "other", "tls")],
)
def test_certificates_are_checked_for_the_name_not_the_address(
    tmp_path, jpeg, certificates, monkeypatch, served, trusted, status
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates[trusted].with_suffix(".crt")))
    with Site({"/a.jpg": jpeg}, certificate=certificates[served]) as site:
        url = f"https://good.test:{site.port}/a.jpg"
        rows = fetch(
            tmp_path, [url], lambda host, port, *_: [(2, 1, 6, "", ("127.0.0.1", port))], allow_host=["good.test"]
        )
    assert rows[url]["status"] == status


def test_proxies_of_the_environment_are_ignored(tmp_path, jpeg, monkeypatch):
    with Site({}) as proxy, Site({"/a.jpg": jpeg}) as site:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://{proxy.host}")
        assert fetch(tmp_path, [site.url("/a.jpg")])[site.url("/a.jpg")]["status"] == "ok"
        assert not proxy.asked


@pytest.mark.parametrize("extra", [0, 1])
def test_the_byte_limit_is_inclusive(tmp_path, jpeg, extra):
    body = jpeg + bytes(5000 - len(jpeg) + extra)
    with Site({"/a.jpg": body, "/b.jpg": raw(OK + b"\r\n" + body)}) as site:
        rows = fetch(tmp_path, [site.url("/a.jpg"), site.url("/b.jpg")], max_bytes=5000)
    assert {row["status"] for row in rows.values()} == {"too_large" if extra else "ok"}


@pytest.mark.parametrize(("hops", "status"), [(5, "ok"), (6, "too_many_redirects")])
def test_five_redirects_are_followed(tmp_path, jpeg, hops, status):
    chain = {f"/{n}": redirecting(f"/{n + 1}", (301, 302, 303, 307, 308)[n % 5]) for n in range(hops)}
    with Site(chain | {f"/{hops}": jpeg}) as site:
        row = fetch(tmp_path, [site.url("/0")])[site.url("/0")]
    assert (row["status"], row["attempts"]) == (status, 6)
