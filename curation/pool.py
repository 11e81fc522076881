"""A pool: all candidate pairs, in parts that are never touched again once `pool.json` lists them."""

import functools
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from curation import tables
from curation.errors import BrokenTableError, RecipeError, SchemaError
from curation.files import absolute, join
from curation.records import read_record, write_record
from curation.schema import PAIRS, SCHEMA_VERSION, hex_id

POOL = "pool.json"


@dataclass(frozen=True)
class Pool:
    """An open pool. `parts` are the entries of pool.json; `key` changes with every row added."""

    uri: str
    parts: tuple[dict[str, Any], ...] = ()

    @staticmethod
    def open(uri: str) -> "Pool":
        """Open a pool; RecipeError where there is none, SchemaError where a newer version wrote it."""
        uri = absolute(uri)
        record = read_record(join(uri, POOL))
        if record is None:
            raise RecipeError(f"no pool at {uri}: no {POOL} there; make one with: curate ingest SOURCE... --out {uri}")
        if record["schema_version"] > SCHEMA_VERSION:
            raise SchemaError(
                f"{uri}: written with schema version {record['schema_version']}, this is version {SCHEMA_VERSION}: "
                "use a newer release of curation"
            )
        return Pool(uri, tuple(record["parts"]))

    @staticmethod
    def open_or_new(uri: str) -> "Pool":
        """Open a pool, or an empty one that comes into being with its first part."""
        return Pool.open(uri) if read_record(join(absolute(uri), POOL)) is not None else Pool(absolute(uri))

    @property
    def key(self) -> str:
        """32 hex, of the rows alone: neither where files lie nor how the rows came in changes it."""
        rows = functools.reduce(operator.xor, (int(part["content"], 16) for part in self.parts), 0)
        return hex_id("pool", f"{rows:032x}")

    @property
    def rows(self) -> int:
        return sum(part["rows"] for part in self.parts)

    @property
    def store(self) -> str:
        return join(self.uri, "store")

    def tables(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Folder and Parquet parts of each part of the pool; BrokenTableError where its commit record is gone."""
        for part in self.parts:
            folder = join(self.uri, "pairs", part["key"])
            done = tables.read_done(folder)
            if done is None:
                raise BrokenTableError(f"{join(folder, tables.DONE)}: {POOL} lists it, found no file; restore the file")
            yield folder, done["parts"]

    def pairs(self, spark: Any) -> Any:
        """All pairs as a DataFrame of schema PAIRS; files from the commit records only."""
        frames = []
        for folder, parts in self.tables():
            frame = tables.read_spark(spark, folder, parts, PAIRS.arrow)
            frames.append(frame.select(*PAIRS.names))
        union = frames[0]
        for frame in frames[1:]:
            union = union.unionByName(frame)
        return union

    def find(self, uid: str) -> dict[str, Any] | None:
        """One pair by uid, without Spark; None where the pool has no such pair."""
        for folder, parts in self.tables():
            found = tables.read_uid(folder, parts, uid)
            if found:
                return found
        return None

    def with_part(self, part: dict[str, Any]) -> "Pool":
        """Commit one more part: the rename of pool.json is what makes it visible."""
        grown = Pool(self.uri, (*self.parts, part))
        record = {"schema_version": SCHEMA_VERSION, "key": grown.key, "parts": list(grown.parts)}
        write_record(join(self.uri, POOL), record)
        return grown
