"""Proof that nothing of a list is left: what every tar says of its samples, read as the tar lies there."""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from curation.errors import BrokenTableError
from curation.files import join
from curation.forgetting import READ, Rules
from curation.shards.manifest import open_bytes
from curation.shards.tar import read_members
from curation.tables import read_arrow


def scan(out: str, records: list[dict[str, Any]], rules: Rules) -> dict[str, Any]:
    """How many samples the tars and tables in OUT hold: of none of them may a rule mean a name, a record or a picture.

    BrokenTableError where one does, so that the release never comes to be.
    """
    samples, left = 0, []
    hashed = "hashes" in rules.table["kind"].to_pylist()
    for number in range(len(records)):
        rows = list(_told_in_tar(out, records[number]["tar"], hashed))
        table = pa.Table.from_pylist(rows, pa.schema([(name, pa.string()) for name in READ]))
        names = pa.table({"uid": pa.array([row["key"] for row in rows], pa.string())})
        found = np.maximum(rules.match(table), rules.match(names))
        listed = read_arrow(out, [records[number]["samples"]])
        told = rules.match(listed.select([name for name in READ if name in listed.column_names]))
        left += [rows[n]["key"] for n in np.flatnonzero(found >= 0)]
        left += [listed["uid"][int(n)].as_py() for n in np.flatnonzero(told >= 0)]
        samples += len(rows)
    if left:
        raise BrokenTableError(
            f"{out}: a scan found {len(left)} samples that were to be forgotten: {', '.join(left[:3])}"
        )
    return {"samples": samples, "found": 0, "pictures_hashed": hashed}


def _told_in_tar(out: str, tar: dict[str, Any], hashed: bool) -> Iterator[dict[str, Any]]:
    """What each sample in a tar says of itself, by its .json member; with the hash of its picture where asked for."""
    data = open_bytes(join(out, tar["name"]))
    pictures: dict[str, str] = {}
    for member in read_members(data):
        key, _, extension = member.name.partition(".")
        content = data[member.offset : member.offset + member.bytes] if extension == "json" or hashed else b""
        if extension == "json":
            row = orjson.loads(content)
            yield (
                {name: row.get(name) for name in READ}
                | {"key": key}
                | ({"sha256": pictures.get(key)} if hashed else {})
            )
        elif hashed and extension != "txt":
            pictures.setdefault(key, hashlib.sha256(content).hexdigest())
