"""A web server on loopback whose paths answer, misbehave or attack; it notes what it was asked."""

import contextlib
import socket
import ssl
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.parquet as pq

from curation.download.pages import Page
from curation.download.settings import checked
from curation.download.task import fetch_pages
from curation.images import read_pointers
from curation.schema import hex_id


class Site:
    """`with Site({"/a.jpg": answer}) as site`: an answer is bytes, or a function of the request handler.

    `asked` counts the requests for each path, `times` has when each came, `most` the most requests at the same time,
    `agents` the User-Agents.
    """

    def __init__(self, answers, address="127.0.0.1", certificate=None):
        self.answers, self.asked, self.times, self.agents = answers, Counter(), [], set()
        self.active = self.most = 0
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer((address, 0), _handler(self), bind_and_activate=False)
        self.server.daemon_threads, self.server.request_queue_size = True, 512
        self.server.handle_error = lambda *_: None  # what clients do here on purpose would fill the terminal
        self.server.server_bind()
        self.server.server_activate()
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.host = f"{address}:{self.port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def url(self, path):
        return f"http://{self.host}{path}"

    @contextlib.contextmanager
    def request(self, handler):
        path = handler.path.partition("?")[0]
        with self.lock:
            self.asked[handler.path] += 1
            self.times.append((time.monotonic(), path))
            self.agents.add(handler.headers.get("User-Agent"))
            self.active += 1
            self.most = max(self.most, self.active)
        try:
            yield self.answers.get(path)
        finally:
            with self.lock:
                self.active -= 1


def _handler(site):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            hung_up = contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError)  # who has seen enough
            with site.request(self) as answer, hung_up:
                if answer is None:
                    send(self, b"not here", status=404)
                elif callable(answer):
                    answer(self)
                else:
                    send(self, answer)

        def log_message(self, *_):
            pass

    return Handler


def send(handler, body, status=200, **headers):
    """A whole answer; header names with _ for -."""
    handler.send_response(status)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    for name, value in ({"Content-Length": str(len(body))} | given).items():
        if value is not None:
            handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def answering(body, status=200, **headers):
    """An answer with headers."""
    return lambda handler: send(handler, body, status, **headers)


def redirecting(target, status=302):
    """A redirect to `target`."""
    return answering(b"", status, Location=target)


def raw(data, *, hang=0.0):
    """Bytes as they are on the wire, status line and all; then the connection is closed."""

    def answer(handler):
        handler.wfile.write(data)
        handler.wfile.flush()
        time.sleep(hang)
        handler.close_connection = True

    return answer


def dripping(head, pieces, pause):
    """`head`, then each of `pieces` after `pause` seconds."""

    def answer(handler):
        handler.wfile.write(head)
        for piece in pieces:
            handler.wfile.flush()
            time.sleep(pause)
            handler.wfile.write(piece)
        handler.close_connection = True

    return answer


def resetting(handler):
    """The connection is reset before anything is said."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    handler.connection.close()
    handler.close_connection = True


def fetch(folder, urls, look_up=None, opt_out=None, **settings):
    """The rows of `downloads` by URL after fetching `urls` as one page, without Spark."""
    rows = [{"image_id": hex_id(u), "url": u, "opt_out": (opt_out or {}).get(u), "attempts": 0} for u in urls]
    given = {"retries": 0, "allow_host": ["127.0.0.1"]} | settings
    [record] = fetch_pages([Page(str(folder), 0, rows)], checked(given, "test"), look_up)
    found = pq.read_table(Path(folder, "staging", record["part"]["name"])).to_pylist()
    assert len(found) == len(set(urls))
    return {row["url"]: row for row in found}


def stored(row):
    """The bytes that a row of `downloads` points to."""
    return next(read_pointers([row["image"]]))
