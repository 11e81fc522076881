"""One shard against its manifest rows: a fast pass says whether all is as written, a slow one what is not."""

import hashlib
import mmap
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import BadItemError
from curation.headers import header as image_header
from curation.shards.tar import end_of_archive, header, read_members
from curation.shards.walk import BLOCK, Member, checksum

COLUMNS = ["uid", "key", "offset", "bytes", "caption", "width", "height", "format", "sha256"]
MEMBERS = ("image", "text", "json")
MEMBERS_AT_ONCE = 1 << 10  # headers compared in one go: half a MB of them stays in the cache
HEAD_BYTES = 4096  # assumption: most headers end within; the others are read again, whole
NAME_BYTES = 100  # of a plain ustar header; longer names have headers of their own
Bytes = mmap.mmap | bytes


@dataclass(frozen=True)
class Rows:
    """Manifest rows of one shard as lists; `offsets` and `sizes` are int64 (rows, 3): image, text, json."""

    names: list[tuple[str, str, str]]
    uids: list[str]
    captions: list[str]
    sides: list[tuple[int, int]]
    digests: list[str]
    offsets: np.ndarray
    sizes: np.ndarray


def member_faults(name: str, data: Bytes, table: pa.Table, *, altered: bool = False) -> list[str]:
    """One sentence per kind of fault of the shard `name`, bytes `data`, against its manifest rows; [] if sound.

    Where the shard is known to be ALTERED the pictures are hashed too, so that the damaged ones are named.
    """
    rows = _rows(table)
    faults = [] if _as_written(data, rows) else [*_walk_faults(name, data, rows)]
    return [*faults, *_image_faults(name, data, rows), *(_digest_faults(name, data, rows) if altered else [])]


def _rows(table: pa.Table) -> Rows:
    def column(name: str) -> list:
        return table[name].to_pylist()

    def triples(name: str) -> np.ndarray:
        return np.stack([pc.struct_field(table[name], m).to_numpy() for m in MEMBERS], axis=1).astype(np.int64)

    names = [(f"{k}.{e}", f"{k}.txt", f"{k}.json") for k, e in zip(column("key"), column("format"))]
    sides = list(zip(column("width"), column("height")))
    places = triples("offset"), triples("bytes")
    return Rows(names, column("uid"), column("caption"), sides, column("sha256"), *places)


def _as_written(data: Bytes, rows: Rows) -> bool:
    """Whether the archive is, member for member, the one that the rows describe and nothing else."""
    space = BLOCK + rows.sizes + -rows.sizes % BLOCK
    end = int(space.sum())
    if (rows.sizes < 0).any() or not np.array_equal(rows.offsets.ravel(), np.cumsum(space) - space.ravel() + BLOCK):
        return False
    if len(data) != end + len(end_of_archive(end)) or data[end:] != end_of_archive(end):
        return False
    return _headers_as_written(data, rows) and all(
        data[text : text + size] == caption.encode() and _uid_mark(uid) in data[record : record + length]
        for (_, text, record), (_, size, length), caption, uid in zip(
            rows.offsets.tolist(), rows.sizes.tolist(), rows.captions, rows.uids
        )
    )


def _headers_as_written(data: Bytes, rows: Rows) -> bool:
    """Whether the block before each member is the header of its name and size; compared as arrays, many at once."""
    names = [name.encode() for triple in rows.names for name in triple]
    if any(len(name) > NAME_BYTES or not name.isascii() for name in names):
        return False
    blocks = np.frombuffer(data, np.uint8).reshape(-1, BLOCK)
    before, sizes = rows.offsets.ravel() // BLOCK - 1, rows.sizes.ravel()
    return all(
        np.array_equal(blocks[before[i : i + MEMBERS_AT_ONCE]], _headers(names[i : i + MEMBERS_AT_ONCE], sizes[i:]))
        for i in range(0, len(names), MEMBERS_AT_ONCE)
    )


def _headers(names: list[bytes], sizes: np.ndarray) -> np.ndarray:
    """`tar.header` of each name and size, uint8 (n, 512): a header differs from the next in three fields only."""
    plain = header("", 0)
    blocks = np.tile(np.frombuffer(plain, np.uint8), (len(names), 1))
    blocks[:, :NAME_BYTES] = np.array(names, f"S{NAME_BYTES}").view(np.uint8).reshape(-1, NAME_BYTES)
    digits = _octal(sizes[: len(names)], 11)
    blocks[:, 124:135] += digits
    sums = checksum(plain) + blocks[:, :NAME_BYTES].sum(axis=1, dtype=np.int64) + digits.sum(axis=1, dtype=np.int64)
    blocks[:, 148:154] = ord("0") + _octal(sums, 6)
    return blocks


def _octal(numbers: np.ndarray, digits: int) -> np.ndarray:
    """The octal digits of numbers, most significant first, uint8 (n, digits)."""
    return (numbers[:, None] >> (3 * np.arange(digits - 1, -1, -1)) & 7).astype(np.uint8)


def _walk_faults(name: str, data: Bytes, rows: Rows) -> Iterator[str]:
    """What a walk over all headers finds otherwise than the rows say."""
    found: dict[str, Member] = {}
    repeated: list[str] = []
    skipped: list[Member] = []
    try:
        for member in read_members(data, skipped):
            if member.name in found:
                repeated.append(member.name)
            found.setdefault(member.name, member)
    except BadItemError as error:
        yield f"{name}: wanted a whole archive, found {error}"
    yield from _told(name, "each member once", "duplicate keys", repeated)
    yield from _told(name, "regular files only", "other members", [f"{m.name} ({m.kind})" for m in skipped])
    wanted = {n: place for names, places in zip(rows.names, _places(rows)) for n, place in zip(names, places)}
    lost = [n for n in wanted if n not in found]
    yield from _told(name, "a caption for each manifest row", "no .txt for", [n for n in lost if n.endswith(".txt")])
    yield from _told(name, "a member for each manifest row", "none for", [n for n in lost if not n.endswith(".txt")])
    yield from _told(name, "a manifest row for each member", "none for", [n for n in found if n not in wanted])
    moved = [n for n, place in wanted.items() if n in found and (found[n].offset, found[n].bytes) != place]
    yield from _told(name, "members where the manifest has them", "elsewhere or of another length", moved)
    yield from _content_faults(name, data, rows, found)


def _places(rows: Rows) -> list[list[tuple[int, int]]]:
    return [list(zip(offsets, sizes)) for offsets, sizes in zip(rows.offsets.tolist(), rows.sizes.tolist())]


def _content_faults(name: str, data: Bytes, rows: Rows, found: dict[str, Member]) -> Iterator[str]:
    def content(member: str) -> bytes | None:
        at = found.get(member)
        return None if at is None else data[at.offset : at.offset + at.bytes]

    captions = zip(rows.names, rows.captions)
    others = [n[1] for n, caption in captions if content(n[1]) not in (None, caption.encode())]
    yield from _told(name, "the manifest's caption in each .txt", "another in", others)
    records = zip(rows.names, rows.uids)
    others = [n[2] for n, uid in records if _uid_mark(uid) not in (content(n[2]) or _uid_mark(uid))]
    yield from _told(name, "the sample's uid in each .json", "another in", others)


def _uid_mark(uid: str) -> bytes:
    return b'"uid":"%s"' % uid.encode()


def _image_faults(name: str, data: Bytes, rows: Rows) -> Iterator[str]:
    """Images whose header cannot be read, or says another format or size than the rows."""
    broken, others = [], []
    for names, sides, offset, size in zip(
        rows.names, rows.sides, rows.offsets[:, 0].tolist(), rows.sizes[:, 0].tolist()
    ):
        if _fits(data[offset : offset + min(size, HEAD_BYTES)], names[0], sides):
            continue
        try:
            image = image_header(data[offset : offset + size])
        except BadItemError as error:
            broken.append(f"{names[0]} ({error})")
            continue
        if (image.width, image.height) != sides or not names[0].endswith(f".{image.format}"):
            others.append(f"{names[0]} ({image.format} {image.width}x{image.height})")
    yield from _told(name, "an image header that can be read in each image", "none in", broken)
    yield from _told(name, "images of the manifest's format and size", "otherwise", others)


def _fits(head: bytes, name: str, sides: tuple[int, int]) -> bool:
    """Whether the first bytes of an image already say the format of its name and these sides."""
    try:
        image = image_header(head)
    except BadItemError:
        return False
    return (image.width, image.height) == sides and name.endswith(f".{image.format}")


def _digest_faults(name: str, data: Bytes, rows: Rows) -> Iterator[str]:
    places = zip(rows.names, rows.digests, rows.offsets[:, 0].tolist(), rows.sizes[:, 0].tolist())
    others = [n[0] for n, digest, at, size in places if hashlib.sha256(data[at : at + size]).hexdigest() != digest]
    yield from _told(name, "images of the manifest's sha256", "another in", others)


def verdict_faults(subset: pa.Table | None) -> Iterator[str]:
    """A pair with two verdicts; none where the table of verdicts is not there, which is told elsewhere."""
    pairs = 0 if subset is None else pc.count_distinct(subset["uid"].cast(pa.large_string())).as_py()
    if subset is not None and pairs != len(subset):
        yield f"subset: wanted each uid once, found {len(subset)} rows for {pairs} uids"


def _told(name: str, wanted: str, found: str, members: list[str]) -> Iterator[str]:
    if members:
        yield f"{name}: wanted {wanted}, found {found} {', '.join(members[:3])} ({len(members)} in all)"
