"""WebDataset tars: an image, and a .txt and/or .json with its caption, under one key.

The key is a member's whole path up to its *last* dot: `a.b.jpg` and `a.b.txt` are one sample `a.b`. webdataset cuts at
the first dot of the base name and reads them as one sample `a` with the fields `b.jpg` and `b.txt`. Under our rule two
samples whose keys hold dots (`1.5-a`, `1.5-b`) stay two, but fields with names of their own (`1.image.jpg`,
`1.caption.txt`) are no pair: both are rejected. Members of a sample need not be neighbours. Names are only names:
nothing is extracted.
"""

import contextlib
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

import fsspec
import pyarrow as pa

from curation.errors import BadItemError
from curation.shards.walk import Member, read_members
from curation.sources.columns import WEB_URL, json_text
from curation.sources.found import (
    IMAGE_BYTES,
    Found,
    ImageSink,
    Reject,
    batches,
    caption_text,
    image_extension,
    license_group,
    until_broken,
)
from curation.sources.objects import json_object
from curation.sources.packing import CUT, packing, unpacked, unpacked_limit, unpacking

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.zst")
IMAGES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff")  # in this order where a key has several
TEXTS = ("txt", "json")
CAPTION_KEYS = ("caption", "text", "TEXT")  # as written by img2dataset, and by LAION's and DataComp's tables
TEXT_BYTES = 1 << 20  # the most that is read of a .txt; a longer .json is rejected
LOOK_MEMBERS, LOOK_BYTES = 64, 4 << 20  # assumption: an image comes within twenty samples
IS_URL = re.compile(WEB_URL)

Entry = dict[str, Member]  # the members of one key by extension


class _Sample(NamedTuple):
    """The pairs of one key; `data` is the image where it must be copied."""

    pairs: list[Found]
    data: bytes | None
    extension: str


def read(uri: str, images: ImageSink, *, caption_key: str | None = None) -> Iterator[pa.RecordBatch]:
    """The pairs of one tar as FOUND batches, and REJECTED ones; items are keys.

    The caption is the .txt, else CAPTION_KEY of the .json (default: caption, text or TEXT); a list there gives a pair
    each. The identity is the `url` of the .json, else the SHA-256 of the image; its other fields go to `extra`. The
    image stays where it is in a plain tar; from a packed one it is copied. Reasons: `no_image`, `no_caption`,
    `no_letters`, `duplicate_key` (each further sample of a key), `bad_json`, `not_a_file`, `too_large`,
    `truncated_tar`, `bad_tar`.
    """
    return batches(_items(uri, images, (caption_key,) if caption_key else CAPTION_KEYS))


def looks(uri: str) -> bool | None:
    """Whether the first members of a tar include an image; null where it cannot be read as one, is empty, or goes on
    after nothing but texts of samples.

    Tars of papers have the same suffixes but begin with other texts.
    """
    seen = []
    try:
        with fsspec.open(uri, "rb") as file:
            packed = packing(file)
            start = unpacking(file, packed).read(LOOK_BYTES) if packed else file
            for member in islice(read_members(start), LOOK_MEMBERS):
                seen.append(_split(member.name)[1])
                if seen[-1] in IMAGES:
                    return True
    except (*CUT, BadItemError):
        return None
    return None if len(seen) in (0, LOOK_MEMBERS) and {*seen} <= {*TEXTS} else False


def _items(uri: str, images: ImageSink, caption_keys: tuple[str, ...]) -> Iterator[Found | Reject]:
    for item in until_broken(_samples(uri, caption_keys)):
        if isinstance(item, Reject):
            yield item
            continue
        pointer = images.add(item.data, item.extension) if item.data is not None else None
        yield from (pair._replace(image=pointer) for pair in item.pairs) if pointer else item.pairs


def _samples(uri: str, caption_keys: tuple[str, ...]) -> Iterator[_Sample | Reject]:
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(fsspec.open(uri, "rb"))
        packed, limit = packing(file), unpacked_limit(file)
        if packed:
            file = stack.enter_context(unpacked(unpacking(file, packed).read1, limit))
        keys, rejects, fault = _index(file)
        yield from rejects
        for key, entry in keys.items():
            try:
                yield _sample(file, key, entry, None if packed else uri, caption_keys)
            except BadItemError as error:
                yield Reject(key, error.code, error.detail)
        if fault:
            raise fault


def _index(file: BinaryIO) -> tuple[dict[str, Entry], list[Reject], BadItemError | None]:
    """The members of every key, what can be rejected at once, and where the walk over the headers ended in a fault."""
    keys: dict[str, Entry] = {}
    again: Counter[tuple[str, str]] = Counter()
    skipped: list[Member] = []
    fault = member = None
    try:
        for member in read_members(file, skipped):
            key, extension = _split(member.name)
            if extension in keys.get(key, ()):
                again[key, extension] += 1
            elif extension:
                keys.setdefault(key, {})[extension] = member
    except BadItemError as error:
        fault = error
    if member and not keys:
        fault = fault or BadItemError("no_samples", f"no image, .txt or .json in it, but {member.name}")
    rejects = [Reject(m.name, "not_a_file", m.kind) for m in skipped if m.kind == "name_too_long" or _split(m.name)[1]]
    repeated: dict[str, int] = {}
    for (key, _), count in again.items():
        repeated[key] = max(count, repeated.get(key, 0))
    rejects += [Reject(key, "duplicate_key") for key, count in repeated.items() for _ in range(count)]
    return keys, rejects, fault


def _split(name: str) -> tuple[str, str]:
    """Key and lower-case extension of a member; no extension for what is no part of a sample.

    macOS packs what it knows of a file beside it, as `._` and the file's name.
    """
    key, _, extension = name.rpartition(".")
    extension, stem = extension.lower(), key.rpartition("/")[2]
    known = extension in IMAGES + TEXTS and stem and not stem.startswith("._")
    return (key, extension) if known else (name, "")


def _sample(file: BinaryIO, key: str, entry: Entry, uri: str | None, caption_keys: tuple[str, ...]) -> _Sample:
    extension = next((e for e in IMAGES if e in entry), None)
    if extension is None:
        raise BadItemError("no_image", f"only {sorted(entry)}")
    record = json_object(_text(file, entry["json"])) if "json" in entry else {}
    captions, used = _captions(file, entry, record, caption_keys)
    data = _data(file, entry[extension], IMAGE_BYTES)
    if not data:
        raise BadItemError("no_image", "no bytes")
    url = record.get("url")
    url = url.strip() if isinstance(url, str) and IS_URL.match(url.strip()) else None
    license = _string(record.get("license"))
    pointer = {"uri": uri, "offset": entry[extension].offset, "length": len(data)} if uri else None
    taken = {used, "license", "url" if url else None}
    left = {k: _string(v) for k, v in record.items() if v is not None and k not in taken}
    pair = Found(
        identity=url or f"sha256:{hashlib.sha256(data).hexdigest()}",
        caption="",
        caption_kind="caption",
        document=key,
        url=url,
        image=pointer,
        license=license,
        license_group=license_group(license),
    )
    pairs = [pair._replace(caption=text, extra=(left | cut) or None) for text, cut in captions]
    return _Sample(pairs, None if uri else data, image_extension(data) or extension)


def _captions(
    file: BinaryIO, entry: Entry, record: dict[str, Any], caption_keys: tuple[str, ...]
) -> tuple[list[tuple[str, dict[str, str]]], str | None]:
    """The good captions, each with what `extra` says of it, and the field of the .json they came from."""
    used = next((k for k in caption_keys if record.get(k)), None)
    stored = record[used] if used else []
    origins = [(None, [_text(file, entry["txt"])])] if "txt" in entry else []
    origins.append((used, [_string(text) for text in (stored if isinstance(stored, list) else [stored])]))
    error = BadItemError("no_caption", f"only {sorted(entry)}")
    for origin, texts in origins:
        good = []
        for text in texts:
            try:
                good.append(caption_text(text))
            except BadItemError as bad:
                error = bad
        if good:
            return good, origin
    raise error


def _string(value: Any) -> str | None:
    return value if isinstance(value, str | None) else json_text(value)


def _text(file: BinaryIO, member: Member) -> str:
    if member.name.lower().endswith("json") and member.bytes > TEXT_BYTES:
        raise BadItemError("too_large", f"{member.name} of {member.bytes} bytes, at most {TEXT_BYTES} are read")
    shown = member._replace(bytes=min(member.bytes, TEXT_BYTES))
    return _data(file, shown, TEXT_BYTES).decode("utf-8-sig", "replace")


def _data(file: BinaryIO, member: Member, limit: int) -> bytes:
    if member.bytes > limit:
        raise BadItemError("too_large", f"{member.name} of {member.bytes} bytes, at most {limit} are read")
    file.seek(member.offset)
    data = file.read(member.bytes)
    if len(data) < member.bytes:
        raise BadItemError("truncated_tar", f"{member.name}: wanted {member.bytes} bytes, found {len(data)}")
    return data
