"""Records of a WARC file (ISO 28500), and what is wrong with the rest of it.

fastwarc reads sound archives fast, but ends silently where a file is cut or holds an empty gzip member, and raises at
the first damaged record. So whenever it stops, the file is looked at from the last record on: what follows it, if
anything, is either read from there or named as a fault, and after a damaged record reading goes on at the next sound
one.
"""

import contextlib
import re
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

import fsspec
from fastwarc import ArchiveIterator
from fastwarc.stream_io import GzipReader, ZstdReader
from fastwarc.warc import WarcRecord

from curation.errors import BadItemError
from curation.sources.packing import packing, unpacked, unpacked_limit

READ_BYTES = 1 << 20
HEADER_BYTES = 32 << 10  # fastwarc's own limit of a record's header
GZIP_START = re.compile(rb"\x1f\x8b\x08[\x00-\x1f]")  # RFC 1952, 2.3: magic, deflate, no reserved flag
RECORD_START = re.compile(rb"WARC/[01]\.\d+\r?\n")
CONTENT_LENGTH = re.compile(rb"^content-length:\s*(\d{1,15})\s*$", re.IGNORECASE | re.MULTILINE)
OVERLAP = 16  # bytes in which one of the two patterns fits


class Record(NamedTuple):
    """One record. `kind` is its media type without parameters, lower-case; `charset` as the header states it.

    `body` is the payload, transfer and content encoding undone; empty where it was not asked for.
    """

    offset: int
    type: str
    url: str
    status: int | None
    kind: str
    charset: str | None
    location: str | None
    cut: bool
    body: bytes


class Fault(NamedTuple):
    """Something in the file that is no readable record."""

    offset: int
    code: str
    detail: str


class Archive(NamedTuple):
    """An open archive in which every record can be sought: plain, or one gzip member each."""

    file: BinaryIO
    bytes: int
    gzipped: bool
