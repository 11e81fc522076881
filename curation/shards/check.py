"""One shard against its manifest rows: a fast pass says whether all is as written, a slow one what is not."""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import BadItemError
from curation.headers import header as image_header
from curation.shards.tar import end_of_archive, header, read_members
from curation.shards.walk import BLOCK, Member

COLUMNS = ["uid", "key", "offset", "bytes", "caption", "width", "height", "format"]
MEMBERS = ("image", "text", "json")
Bytes = mmap.mmap | bytes


@dataclass(frozen=True)
class Rows:
    """Manifest rows of one shard as lists; `offsets` and `sizes` are int64 (rows, 3): image, text, json."""

    names: list[tuple[str, str, str]]
    uids: list[str]
    captions: list[str]
    sides: list[tuple[int, int]]
    offsets: np.ndarray
    sizes: np.ndarray


def member_faults(name: str, data: Bytes, table: pa.Table) -> list[str]:
    """One sentence per kind of fault of the shard `name`, bytes `data`, against its manifest rows; [] if sound."""
    rows = _rows(table)
    faults = [] if _as_written(data, rows) else _walk_faults(name, data, rows)
    return [*faults, *_image_faults(name, data, rows)]


def _rows(table: pa.Table) -> Rows:
    def column(name: str) -> list:
        return table[name].to_pylist()

    def triples(name: str) -> np.ndarray:
        return np.stack([pc.struct_field(table[name], m).to_numpy() for m in MEMBERS], axis=1).astype(np.int64)

    names = [(f"{k}.{e}", f"{k}.txt", f"{k}.json") for k, e in zip(column("key"), column("format"))]
    sides = list(zip(column("width"), column("height")))
    return Rows(names, column("uid"), column("caption"), sides, triples("offset"), triples("bytes"))


def _as_written(data: Bytes, rows: Rows) -> bool:
    """Whether the archive is, member for member, the one that the rows describe and nothing else."""
    space = BLOCK + rows.sizes + -rows.sizes % BLOCK
    end = int(space.sum())
    if not np.array_equal(rows.offsets.ravel(), np.cumsum(space) - space.ravel() + BLOCK):
        return False
    if len(data) != end + len(end_of_archive(end)) or data[end:] != end_of_archive(end):
        return False
    return all(
        data[image - BLOCK : image] == header(names[0], sizes[0])
        and data[text - BLOCK : text + sizes[1]] == header(names[1], sizes[1]) + caption.encode()
        and data[record - BLOCK : record] == header(names[2], sizes[2])
        and _uid_mark(uid) in data[record : record + sizes[2]]
        for names, (image, text, record), sizes, caption, uid in zip(
            rows.names, rows.offsets.tolist(), rows.sizes.tolist(), rows.captions, rows.uids
        )
    )


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
        try:
            image = image_header(data[offset : offset + size])
        except BadItemError as error:
            broken.append(f"{names[0]} ({error})")
            continue
        if (image.width, image.height) != sides or not names[0].endswith(f".{image.format}"):
            others.append(f"{names[0]} ({image.format} {image.width}x{image.height})")
    yield from _told(name, "an image header that can be read in each image", "none in", broken)
    yield from _told(name, "images of the manifest's format and size", "otherwise", others)


def _told(name: str, wanted: str, found: str, members: list[str]) -> Iterator[str]:
    if members:
        yield f"{name}: wanted {wanted}, found {found} {', '.join(members[:3])} ({len(members)} in all)"
