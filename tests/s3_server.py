"""A real S3 server on loopback, in a thread of this process: moto's, which knows conditional and multipart uploads."""

import functools
import os
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from urllib.parse import unquote

NAME = "releases"


class Asked(NamedTuple):
    """One request: GET, PUT, ...; the path, /BUCKET/KEY; what is to be copied there by the server, /BUCKET/KEY too."""

    method: str
    path: str
    copied: str


class Server:
    """An application that notes what it is asked; one that is `deaf` does not hear the condition If-None-Match."""

    def __init__(self, app: Callable) -> None:
        self.app, self.asked, self.deaf = app, [], False

    def __call__(self, environ: dict[str, Any], start: Callable) -> Iterable[bytes]:
        copied = unquote(environ.get("HTTP_X_AMZ_COPY_SOURCE", ""))
        source = copied and f"/{copied.lstrip('/').partition('?')[0]}"
        self.asked.append(Asked(environ["REQUEST_METHOD"], environ["PATH_INFO"], source))
        if self.deaf:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        return self.app(environ, start)


@functools.cache
def _socket() -> socket.socket:
    """The port, taken before anyone is told of it."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener


def point_here() -> None:
    """Send all S3 requests of this process, and of those that it starts from now on, to this server."""
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{_socket().getsockname()[1]}"
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


@functools.cache
def server() -> Server:
    """The server, running."""
    import logging

    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    point_here()
    _socket().listen(128)
    app = Server(DomainDispatcherApplication(create_backend_app))
    serving = make_server(*_socket().getsockname(), app, threaded=True, fd=_socket().fileno())
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    return app


def emptied_bucket() -> str:
    """The URI of a bucket with nothing in it."""
    import s3fs

    server()
    store = s3fs.S3FileSystem(use_listings_cache=False)
    if store.exists(NAME):
        store.rm(NAME, recursive=True)
    store.mkdir(NAME)
    return f"s3://{NAME}"
