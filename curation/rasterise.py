"""A process of its own that draws pages of PDF files: `python -c "from curation.rasterise import main; main(...)"`.

It reads requests from standard input and writes JPEG files to standard output, within bounds that the kernel keeps: of
memory, of seconds per page, and no file can be written. Whatever a hostile file does to it costs that file. It imports
nothing of this package, so that it starts fast.
"""

import io
import resource
import signal
import struct
import sys
from typing import BinaryIO

REQUEST = struct.Struct(">QIII")  # bytes of the PDF, page from 1, pixels of the longer side, seconds
REPLY = struct.Struct(">?I")  # whether it was drawn, bytes of the JPEG or of the reason
MOST_ASPECT = 20  # longer over shorter side, as in headers.Limits
QUALITY = 95  # our choice: thin lines and small letters survive


def main(memory: int) -> None:
    """Serve requests until standard input ends; `memory` is the most address space in bytes."""
    bound(memory)
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    while head := requests.read(REQUEST.size):
        size, page, side, seconds = REQUEST.unpack(head)
        data = requests.read(size)
        signal.alarm(seconds)  # by default it ends the process, whatever that is doing
        try:
            drawn, reply = True, draw(data, page, side)
        except (ValueError, RuntimeError, MemoryError, OSError) as error:
            drawn, reply = False, f"{type(error).__name__}: {error}".encode()[:300]
        signal.alarm(0)
        replies.write(REPLY.pack(drawn, len(reply)) + reply)
        replies.flush()


def bound(memory: int) -> None:
    """Bound this process and what it becomes: address space, no core, nothing written to files."""
    for what, limit in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
        resource.setrlimit(what, (limit, limit))


def become(memory: int, seconds: int, *command: str) -> None:
    """Become another program, with the same bounds."""
    import os

    bound(memory)
    signal.alarm(seconds)  # stays with the process
    os.execvp(command[0], command)


def draw(data: bytes, page: int, side: int) -> bytes:
    """One page of a PDF on white as an RGB JPEG whose longer side is `side` pixels. Raises ValueError, RuntimeError."""
    import pypdfium2

    document = pypdfium2.PdfDocument(data)
    if page > len(document):
        raise ValueError(f"page {page} of {len(document)}")
    width, height = (sheet := document[page - 1]).get_size()
    if not min(width, height) > 0 or max(width, height) > MOST_ASPECT * min(width, height):
        raise ValueError(f"a page of {width} x {height} points")
    picture = sheet.render(scale=side / max(width, height)).to_pil().convert("RGB")
    picture.thumbnail((side, side))  # rounding may have given one pixel more
    file: BinaryIO = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY, subsampling=0)
    sheet.close()
    document.close()
    return file.getvalue()
