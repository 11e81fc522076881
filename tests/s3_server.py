"""A real S3 server on loopback, in a thread of this process: moto's, which knows conditional and multipart uploads."""

import functools
import os
import socket
import threading

NAME = "releases"


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
def _started() -> None:
    import logging

    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    point_here()
    _socket().listen(128)
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server(*_socket().getsockname(), app, threaded=True, fd=_socket().fileno())
    threading.Thread(target=server.serve_forever, daemon=True).start()


def emptied_bucket() -> str:
    """The URI of a bucket with nothing in it."""
    import s3fs

    _started()
    store = s3fs.S3FileSystem(use_listings_cache=False)
    if store.exists(NAME):
        store.rm(NAME, recursive=True)
    store.mkdir(NAME)
    return f"s3://{NAME}"
