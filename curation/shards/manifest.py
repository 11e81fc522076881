"""A finished release as its readers see it: only what `manifest/release.json`, written last, lists."""

import mmap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import fsspec
import pyarrow as pa

from curation.errors import BrokenTableError, SchemaError
from curation.files import join, local_path, read_json
from curation.schema import SAMPLES, SCHEMA_VERSION, SHARDS, SUBSET, Table
from curation.tables import read_arrow

MARK = "manifest/release.json"


@dataclass(frozen=True)
class Release:
    """One recipe on one pool, committed: its folder and the content of its release.json."""

    out: str
    mark: dict[str, Any]

    @classmethod
    def open(cls, out: str) -> "Release":
        """The release in the folder `out`; BrokenTableError where there is none, SchemaError where it is too new."""
        mark = read_json(join(out, MARK))
        if mark is None:
            raise BrokenTableError(
                f"no release at {out}: {MARK} is missing, so its run never finished or it lies elsewhere"
            )
        if mark.get("schema_version", 0) > SCHEMA_VERSION:
            raise SchemaError(
                f"{join(out, MARK)}: schema_version {mark['schema_version']}, this package reads {SCHEMA_VERSION}"
            )
        return cls(out, mark)

    @property
    def tars(self) -> list[dict[str, Any]]:
        """Part records {name, bytes, rows, sha256} of the shards, in order; rows are samples."""
        return self.mark["tars"]

    def samples(self, columns: list[str] | None = None, uids: Iterable[str] | None = None) -> pa.Table:
        """The samples in shard order, all columns unless some are named; only those of `uids` where given.

        A uid that the release does not hold gives no row.
        """
        return self._read(SAMPLES, self.mark["samples"], columns, None if uids is None else list(uids))

    def shard_samples(self, shard: int, columns: list[str] | None = None) -> pa.Table:
        """The samples of one shard, in the order in which they stand in it."""
        return self._read(SAMPLES, self.mark["samples"][shard : shard + 1], columns, None)

    def shards(self) -> pa.Table:
        """One row per shard, as schema.SHARDS."""
        return self._read(SHARDS, self.mark["shards"], None, None)

    def subset(self, columns: list[str] | None = None) -> pa.Table:
        """The verdict on every pair of the pool, as schema.SUBSET."""
        return self._read(SUBSET, self.mark["subset"], columns, None)

    def _read(self, table: Table, parts: list[dict], columns: list[str] | None, uids: list[str] | None) -> pa.Table:
        if parts:
            return read_arrow(self.out, parts, columns, uids)
        return table.arrow.empty_table().select(columns or table.names)

    def open_tar(self, shard: int) -> mmap.mmap | bytes:
        """The bytes of a shard: a memory map of a local file, else the whole file read once."""
        return open_bytes(join(self.out, self.tars[shard]["name"]))


def open_bytes(uri: str) -> mmap.mmap | bytes:
    """The bytes of a file, mapped where it is local; BrokenTableError where it is missing."""
    path = local_path(uri)
    try:
        if path is None:
            return fsspec.open(uri, "rb").fs.cat_file(uri)
        with open(path, "rb") as file:
            # An empty file cannot be mapped.
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if file.seek(0, 2) else b""
    except FileNotFoundError as error:
        raise BrokenTableError(f"{uri}: missing, but listed in {MARK}; restore the file") from error
