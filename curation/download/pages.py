"""A page: some thousand rows of one task, committed together: a tar of their images, then a part of the table.

Images are held in a temporary file until the last one of the page is there, and then written in the order of their
image_id: so a page has the same bytes however fast the servers were, and whether the run was interrupted or not. Since
servers do not say the same for ever, a tar is named by what is in it: an attempt that was given up but goes on, on a
machine that was thought lost, cannot change one that is listed.
"""

import os
import tempfile
import threading
import uuid
from datetime import UTC, datetime
from typing import Any

import fsspec
import pyarrow as pa

from curation.download.images import Picture
from curation.errors import BrokenTableError, OutputError
from curation.files import committing, join
from curation.parts import part_uris, write_part
from curation.records import read_record, write_record
from curation.schema import DOWNLOADS, hex_id
from curation.shards.tar import end_of_archive, header, json_member, padding

STAGING = "staging"  # inside HOME, as table.py has it
DETAIL_CHARS = 300  # as rejects: enough to see what was wrong


class Page:
    """Rows to fetch and what became of them. `home` is the folder that gets images/ and staging/."""

    def __init__(self, home: str, place: int, rows: list[dict[str, Any]]) -> None:
        """`rows` have image_id, url, opt_out and attempts; `place` only makes names sort as the work was laid out."""
        self.home, self.place, self.rows = home, place, rows
        self.name = f"{place:08x}-{hex_id(*(row['image_id'] for row in rows))[:16]}"
        self.lock, self.spool, self.size = threading.Lock(), None, 0
        self.kept: dict[str, tuple[int, int, Picture]] = {}  # by image_id: offset and length in the spool
        self.done: list[dict[str, Any]] = []

    def earlier(self) -> dict[str, Any] | None:
        """The record of these very rows, where an earlier attempt finished them."""
        return finished(self.home, self.name)

    def keep(self, image_id: str, found: Picture) -> None:
        """Hold an image until the page is complete; any thread may call it."""
        folder = os.environ.get("CURATION_TMP", tempfile.gettempdir())
        with self.lock:
            try:
                if self.spool is None:
                    self.spool, name = tempfile.mkstemp(dir=folder)
                    os.unlink(name)  # gone with the process, however that ends
                _write_all(self.spool, found.data, self.size)
            except OSError as error:
                raise OutputError(
                    f"{folder}: {error.strerror}: make room, or set CURATION_TMP to another folder, and run the same "
                    "command again"
                ) from error
            self.kept[image_id] = (self.size, len(found.data), found._replace(data=b""))
            self.size += len(found.data)

    def note(self, row: dict[str, Any], status: str, detail: str, http_status: int | None, tries: int) -> None:
        """What became of a row."""
        self.done.append(
            {
                "image_id": row["image_id"],
                "url": row["url"],
                "status": status,
                "http_status": http_status,
                "fetched_at": datetime.now(UTC),
                "attempts": row["attempts"] + tries,
                "detail": detail.encode("utf-8", "replace").decode()[:DETAIL_CHARS] or None,
            }
        )

    def commit(self) -> dict[str, Any]:
        """Write the tar and the part; the page's record, which is also left beside the part."""
        rows = sorted(self.done, key=lambda row: row["image_id"])
        tar = self._write_images([row for row in rows if row["status"] == "ok"]) if self.kept else None
        batch = pa.RecordBatch.from_pylist(rows, DOWNLOADS.arrow)
        part = write_part(join(self.home, STAGING), f"{self.name}-{uuid.uuid4().hex[:8]}", [batch], DOWNLOADS.arrow)
        record = {"part": part.record(), "tar": tar}
        write_record(join(self.home, STAGING, f"{self.name}.json"), record)
        return record

    def _write_images(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        inside = hex_id(*(part for row in rows for part in (row["image_id"], self.kept[row["image_id"]][2].sha256)))
        name = f"images/{self.place:08x}-{inside[:16]}.tar"
        uri = join(self.home, name)
        with committing(uri) as file:
            for row in rows:
                start, length, found = self.kept[row["image_id"]]
                data = os.pread(self.spool, length, start)
                described = {k: v for k, v in found._asdict().items() if k in ("width", "height", "format", "sha256")}
                offset = _write_member(file, f"{row['image_id']}.{found.format}", data)
                record = {"url": row["url"]} | described | ({"original": found.original} if found.original else {})
                _write_member(file, f"{row['image_id']}.json", json_member(record))
                row |= described | {"bytes": length, "image": {"uri": uri, "offset": offset, "length": length}}
            file.write(end_of_archive(file.tell()))
        os.close(self.spool)
        return {"name": name, "bytes": file.bytes, "sha256": file.sha256.hexdigest(), "images": len(rows)}


def _write_all(file: int, data: bytes, place: int) -> None:
    """Write at a place of a file. On a disk that fills up the system writes a part, and only the next write fails."""
    while data:
        count = os.pwrite(file, data, place)
        data, place = data[count:], place + count


def _write_member(file: Any, name: str, data: bytes) -> int:
    """Append a member to a tar; the offset of its data."""
    file.write(header(name, len(data)))
    offset = file.tell()
    file.write(data)
    file.write(padding(len(data)))
    return offset


def finished(home: str, name: str) -> dict[str, Any] | None:
    """The record of a page that an earlier attempt finished; None where it, its part or its tar is not as written."""
    try:
        record = read_record(join(home, STAGING, f"{name}.json"))
        if record is None:
            return None
        part_uris(join(home, STAGING), [record["part"]])
        if record["tar"] is not None:
            with fsspec.open(join(home, record["tar"]["name"]), "rb") as file:
                if file.seek(0, 2) != record["tar"]["bytes"]:
                    return None
    except (BrokenTableError, FileNotFoundError):
        return None
    return {"part": record["part"], "tar": record["tar"]}
