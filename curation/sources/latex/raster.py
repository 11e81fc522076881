"""PDF and EPS figures drawn as JPEG, each outside this process, so that a crash or a hang costs one figure."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO

from curation.errors import BadItemError
from curation.headers import header
from curation.rasterise import MOST_ASPECT, REPLY, REQUEST
from curation.sources.found import IMAGE_BYTES

MEMORY = 1 << 30  # bytes of address space of the process that draws; real figures take 0.4 GiB
SECONDS = 20  # for one figure; our choice: of the shared real ones the slowest takes 2
PAPER_SECONDS = 600  # for all figures of one paper; our choice: of the shared real ones the slowest takes 3
PAGES = 200  # drawn by one process, which bounds what it may have kept
_BOX = re.compile(rb"^%%(?:HiRes)?BoundingBox:\s*(-?[\d.]+)\s+(-?[\d.]+)\s+(-?[\d.]+)\s+(-?[\d.]+)", re.MULTILINE)
_AT_END = re.compile(rb"^(%%(?:HiRes)?BoundingBox:)\s*\(atend\)", re.MULTILINE)
_FIRST_LINE = re.compile(rb"\A%!PS(?![^\r\n]*EPSF)[^\r\n]*[\r\n]+")
_LETTER = (0.0, 0.0, 612.0, 792.0)  # points; Ghostscript's page where a file has no box
_START = "from curation.rasterise import {0}; import sys; {0}(*[int(a) for a in sys.argv[1:{1}]], *sys.argv[{1}:])"


class Rasteriser:
    """Draws figures with a longer side of `side` pixels; a context manager that ends its process.

    Of one paper it draws for no more than `paper_seconds`, then it raises BadItemError `timeout` at once.
    """

    def __init__(self, side: int, seconds: int = SECONDS, paper_seconds: int = PAPER_SECONDS) -> None:
        self.side, self.seconds, self.pages = side, seconds, 0
        self.paper_seconds, self.spent = paper_seconds, 0.0
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> "Rasteriser":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._stop()

    def new_paper(self) -> None:
        """From here on the seconds count for another paper."""
        self.spent = 0.0

    def pdf(self, data: bytes, page: int) -> bytes:
        """A page of a PDF as JPEG. Raises BadItemError `bad_pdf`, `timeout`, `decoder_crash`, `no_pdfium`,
        `too_large`."""
        with self._timed():
            return self._pdf(data, page)

    def eps(self, data: bytes) -> bytes:
        """An EPS file as JPEG, by Ghostscript. Raises BadItemError `no_ghostscript` where there is none, `bad_eps`,
        `timeout`."""
        with self._timed():
            return self._eps(data)

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        if self.spent > self.paper_seconds:
            raise BadItemError("timeout", f"the figures of this paper took more than {self.paper_seconds} seconds")
        began = time.monotonic()
        try:
            yield
        finally:
            self.spent += time.monotonic() - began

    def _pdf(self, data: bytes, page: int) -> bytes:
        process = self._running()
        self.pages += 1
        try:
            process.stdin.write(REQUEST.pack(len(data), page, self.side, self.seconds))
            process.stdin.write(data)
            process.stdin.flush()
            head = process.stdout.read(REPLY.size)
        except BrokenPipeError:
            head = b""
        if len(head) < REPLY.size:
            raise self._ended(self._stop())
        drawn, size = REPLY.unpack(head)
        if size > IMAGE_BYTES:
            self._stop()  # what it has to say would be taken for the answer to the next request
            raise BadItemError("too_large", f"drawn as a JPEG of {size} bytes, at most {IMAGE_BYTES} are kept")
        reply = process.stdout.read(size)
        if len(reply) < size:
            raise self._ended(self._stop())
        if drawn:
            return reply
        if reply.startswith((b"ImportError", b"ModuleNotFoundError")):
            raise BadItemError("no_pdfium", "PDF figures need pypdfium2")
        raise BadItemError("bad_pdf", reply.decode("utf-8", "replace"))

    def _eps(self, data: bytes) -> bytes:
        command = shutil.which("gs")
        if command is None:
            raise BadItemError("no_ghostscript", "EPS figures need Ghostscript (gs), which is not installed")
        left, bottom, right, top = _box(data)
        width, height = right - left, top - bottom
        if not min(width, height) > 0 or max(width, height) > MOST_ASPECT * min(width, height):
            raise BadItemError("bad_eps", f"a box of {width} x {height} points")
        arguments = [
            *(
                command,
                "-q",
                "-dSAFER",
                "-dBATCH",
                "-dNOPAUSE",
                "-dEPSCrop",
                "-dTextAlphaBits=4",
                "-dGraphicsAlphaBits=4",
            ),
            *("-sDEVICE=jpeg", "-dJPEGQ=95", f"-r{72 * self.side / max(width, height):.3f}", "-sstdout=%stderr"),
            *("-sOutputFile=-", "-"),
        ]
        # Ghostscript lets a file read and write in its temporary folder, so it gets one of its own.
        with tempfile.TemporaryDirectory() as own, tempfile.TemporaryFile() as file:
            # It crops only what calls itself EPS and says its box at the start.
            data = _AT_END.sub(rb"\1 %f %f %f %f" % (left, bottom, right, top), data, count=2)
            file.write(_FIRST_LINE.sub(b"%!PS-Adobe-3.0 EPSF-3.0\n", data, count=1))
            file.seek(0)
            process = _start("become", file, own, MEMORY, self.seconds, *arguments)
            with process:
                drawn = process.stdout.read(4 * self.side**2 + IMAGE_BYTES // 20)
                process.kill()  # what it has more to say is not wanted
        return self._checked(_first(drawn), process.returncode)

    def _checked(self, drawn: bytes, code: int) -> bytes:
        try:
            found = header(drawn)
        except BadItemError as error:
            if code == -signal.SIGALRM:
                raise self._ended(code) from error
            raise BadItemError("bad_eps", f"Ghostscript drew nothing: {error}") from error
        if max(found.width, found.height) > 2 * self.side:  # the file changed its page
            raise BadItemError("bad_eps", f"drawn as {found.width} x {found.height} pixels")
        return drawn

    def _running(self) -> subprocess.Popen:
        if self.process is not None and self.pages >= PAGES:
            self._stop()
        if self.process is None:
            self.process, self.pages = _start("main", subprocess.PIPE, "/", MEMORY), 0
        return self.process

    def _stop(self) -> int | None:
        process, self.process = self.process, None
        if process is None:
            return None
        with contextlib.suppress(BrokenPipeError):  # it may have ended by itself
            process.stdin.close()
        process.stdout.close()
        try:
            return process.wait(timeout=self.seconds + 1)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _ended(self, code: int | None) -> BadItemError:
        if code == -signal.SIGALRM:
            return BadItemError("timeout", f"not drawn within {self.seconds} seconds")
        return BadItemError("decoder_crash", f"the process that draws ended with {code}")


def _start(function: str, stdin: int | BinaryIO, folder: str, *arguments: int | str) -> subprocess.Popen:
    numbers = sum(isinstance(argument, int) for argument in arguments)
    command = [sys.executable, "-c", _START.format(function, numbers + 1), *map(str, arguments)]
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)  # also where the package is a zip
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": paths, "LC_ALL": "C"}
    environment |= {"TMPDIR": folder, "TEMP": folder, "HOME": folder}
    for name in ("LD_LIBRARY_PATH", "GS_LIB"):  # where Ghostscript may need them
        if name in os.environ:
            environment[name] = os.environ[name]
    return subprocess.Popen(
        command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, cwd=folder
    )


def _box(data: bytes) -> tuple[float, ...]:
    """Left, bottom, right and top of an EPS in points."""
    found = _BOX.search(data, 0, 1 << 16) or _BOX.search(data, max(0, len(data) - (1 << 16)))
    with contextlib.suppress(ValueError):  # as 1.2.3
        return tuple(map(float, found.groups())) if found else _LETTER
    return _LETTER


def _first(drawn: bytes) -> bytes:
    """The first of several JPEG files: one is written for each page."""
    second = drawn.find(b"\xff\xd9\xff\xd8")  # end of an image, start of an image: neither can stand in the data
    return drawn if second < 0 else drawn[: second + 2]
