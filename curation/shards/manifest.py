"""A finished release as its readers see it: only what `manifest/release.json`, written last, lists."""

import mmap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import fsspec
import pyarrow as pa

from curation.errors import BadItemError, BrokenTableError, SchemaError
from curation.files import join, local_path
from curation.records import read_record, seal_fault
from curation.schema import SAMPLES, SCHEMA_VERSION, SHARDS, SUBSET, Table
from curation.shards.mark import MARK, parsed, read_mark
from curation.tables import read_arrow

__all__ = ["CLAIM", "MARK", "Release", "open_bytes"]

CLAIM = "recipe.json"


@dataclass(frozen=True)
class Release:
    """One recipe on one pool, committed: its folder, the content of its release.json, and where its `pool` and its
    `store` lay (of its recipe.json; they may be gone, the release stands alone).
    """

    out: str
    mark: dict[str, Any]
    places: dict[str, str]

    @classmethod
    def open(cls, out: str) -> "Release":
        """The release in the folder `out`; BrokenTableError where there is none or its release.json is damaged,
        SchemaError where it is too new.
        """
        text = read_mark(out)
        mark, fault = parsed(text)
        if mark is not None and mark["schema_version"] > SCHEMA_VERSION:
            raise SchemaError(
                f"{join(out, MARK)}: schema_version {mark['schema_version']}, this package reads {SCHEMA_VERSION}"
            )
        if mark is None or "digest" in mark:
            fault = fault or seal_fault(text)
        if fault:
            raise BrokenTableError(f"{join(out, MARK)}: {fault}; restore the file")
        return cls(out, mark, {"pool": "", "store": ""} | (read_record(join(out, CLAIM)) or {}))

    @property
    def tars(self) -> list[dict[str, Any]]:
        """Part records {name, bytes, rows, sha256} of the shards, in order; rows are samples."""
        return self.mark["tars"]

    def stage_folder(self, number: int) -> str:
        """Where the table of the step `number` (from 0) is kept; that of write_shards in the release itself."""
        step = self.mark["stages"][number]
        home = self.out if step["run"] == "write_shards" else self.places["store"]
        return join(home, "stages", f"{step['run']}-{step['key']}")

    def signal_folder(self, name: str) -> str | None:
        """Where the values of the signal behind a column are kept; None for one that is not stored."""
        signal = self.mark["signals"].get(name)
        if signal is None or not signal["stored"]:
            return None
        return join(self.places["store"], "signals", f"{signal['of']}-{signal['key']}")

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
        """The bytes of a shard: a memory map of a local file, else the whole file read once.

        BrokenTableError where it is missing or of another size than it had.
        """
        tar = self.tars[shard]
        uri = join(self.out, tar["name"])
        data = open_bytes(uri)
        if len(data) != tar["bytes"]:
            found = f"wanted {tar['bytes']} bytes as committed, found {len(data)}"
            raise BrokenTableError(f"{uri}: {found}; see curate verify")
        return data


def decoded(encoded: bytes, uid: str, decode: Callable[[bytes], Any]) -> Any:
    """A sample's picture as `decode` gives it; BrokenTableError that names the sample where it does not decode."""
    try:
        return decode(encoded)
    except BadItemError as error:
        told = f"sample {uid}: its picture does not decode ({error})"
        raise BrokenTableError(f"{told}; curate verify --decode --fix writes a release without it") from error


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
