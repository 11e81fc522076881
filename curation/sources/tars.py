"""WebDataset tars: an image, a .txt and/or a .json with the caption, under one key.

The key is the member's whole path up to its *last* dot: `a.b.jpg` and `a.b.txt` are one sample `a.b`. webdataset cuts
at the first dot of the base name, so that it reads them as one sample `a` with the fields `b.jpg` and `b.txt`; both
rules pair what was written as a pair, but under ours two samples whose keys hold dots (`1.5-a`, `1.5-b`) stay two.
Members of a sample need not be neighbours.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import fsspec
import orjson
import pyarrow as pa

from curation.errors import BadItemError
from curation.shards.walk import Member, read_members
from curation.sources.columns import json_text
from curation.sources.found import IMAGE_BYTES, Found, ImageSink, Reject, batches, caption_text, license_group

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.zst")
IMAGES = ("jpg", "jpeg", "png", "webp")  # in this order where a key has several
CAPTION_KEYS = ("caption", "text", "TEXT")
TEXT_BYTES = 1 << 20  # what is read of a caption, and the largest .json
RATIO = 200  # assumption: no honest tar shrinks to less than a 200th; photographs do not shrink at all
COPY_BYTES = 1 << 20
