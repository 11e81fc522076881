"""Nothing in these tests leaves the machine: connections to anywhere but loopback are noted and refused."""

import io
import ipaddress
import sys
from contextvars import ContextVar

import pytest

from tests.drawing import draw

OUTSIDE: list[str] = []
WATCHED = ContextVar("watched", default=False)
HOOKED: list[bool] = []


def _watch(event, arguments):
    if event == "socket.connect" and WATCHED.get() and isinstance(arguments[1], tuple):
        address = arguments[1][0]
        if not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
            OUTSIDE.append(address)
            raise ConnectionRefusedError(f"{address}: tests stay on this machine")


@pytest.fixture(autouse=True)
def outside():
    """The addresses outside this machine that the test tried to connect to."""
    if not HOOKED:
        sys.addaudithook(_watch)
        HOOKED.append(True)
    OUTSIDE.clear()
    token = WATCHED.set(True)
    yield OUTSIDE
    WATCHED.reset(token)


@pytest.fixture(scope="session")
def jpeg():
    """A JPEG of 160 by 120 pixels."""
    file = io.BytesIO()
    draw(3)[0].save(file, "JPEG", quality=95)
    return file.getvalue()
