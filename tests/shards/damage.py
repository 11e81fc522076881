"""Damage done to a release on purpose, for the tests of what finds it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation.hashing import TAIL_BYTES
from curation.records import record_text, sealed
from curation.shards.tar import end_of_archive, header, padding, read_members


def members_of(tar: Path) -> list[tuple[str, bytes]]:
    data = tar.read_bytes()
    return [(m.name, data[m.offset : m.offset + m.bytes]) for m in read_members(data)]


def write_members(tar: Path, members: list[tuple[str, bytes]]) -> None:
    data = b"".join(header(n, len(d)) + d + padding(len(d)) for n, d in members)
    tar.write_bytes(data + end_of_archive(len(data)))


def read_mark(out: Path) -> dict[str, Any]:
    return json.loads((out / "manifest/release.json").read_text())


def write_mark(out: Path, mark: dict[str, Any]) -> None:
    (out / "manifest/release.json").write_bytes(record_text(sealed(mark)))


def sign(out: Path, name: str) -> None:
    """Make release.json agree with an altered file, so that only its content can give it away."""
    mark = read_mark(out)
    data = (out / name).read_bytes()
    for kind in ("tars", "samples", "shards", "subset"):
        for part in mark[kind]:
            if part["name"] == name:
                part |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                if "tail" in part:
                    part["tail"] = hashlib.sha256(data[-TAIL_BYTES:]).hexdigest()
    write_mark(out, mark)


def rewrite_table(out: Path, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(out / name, partitioning=None)), out / name)
    sign(out, name)
