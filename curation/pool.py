"""A pool: all candidate pairs, in parts that are never touched again once `pool.json` lists them."""

import functools
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation import tables
from curation.errors import BrokenTableError, OutputError, RecipeError, SchemaError
from curation.files import absolute, join
from curation.forgetting import FORGOTTEN, RULES, Rules
from curation.records import read_record, write_record
from curation.schema import PAIRS, SCHEMA_VERSION, hex_id

POOL = "pool.json"
FORGETTING_VERSION = 2  # schema_version of a pool that has forgotten something: older packages would bring it back
PAIRS_FORGOTTEN = pa.schema([("uid", pa.string()), ("part", pa.string()), ("list", pa.string()), ("line", pa.int64())])


@dataclass(frozen=True)
class Pool:
    """An open pool. `parts` are the entries of pool.json; `key` changes with every row added or forgotten.

    `forgotten` are the entries of what is not to be used any more (curation.forget): rules, and the pairs they mean.
    """

    uri: str
    parts: tuple[dict[str, Any], ...] = ()
    forgotten: tuple[dict[str, Any], ...] = ()

    @staticmethod
    def open(uri: str) -> "Pool":
        """Open a pool; RecipeError where there is none, SchemaError where a newer version wrote it."""
        uri = absolute(uri)
        record = read_record(join(uri, POOL))
        if record is None:
            raise RecipeError(f"no pool at {uri}: no {POOL} there; make one with: curate ingest SOURCE... --out {uri}")
        newest = max(SCHEMA_VERSION, FORGETTING_VERSION)
        if record["schema_version"] > newest:
            raise SchemaError(
                f"{uri}: written with schema version {record['schema_version']}, this is version {newest}: "
                "use a newer release of curation"
            )
        return Pool(uri, tuple(record["parts"]), tuple(record.get(FORGOTTEN, ())))

    @staticmethod
    def open_or_new(uri: str) -> "Pool":
        """Open a pool, or an empty one that comes into being with its first part."""
        return Pool.open(uri) if read_record(join(absolute(uri), POOL)) is not None else Pool(absolute(uri))

    @functools.cached_property
    def key(self) -> str:
        """32 hex, of the rows alone: neither where files lie nor how the rows came in changes it."""
        rows = functools.reduce(operator.xor, (int(part["content"], 16) for part in self.parts), 0)
        left_out = self.forgotten_pairs()["uid"].to_pylist()
        out = functools.reduce(operator.xor, (int(uid, 16) for uid in left_out), 0)
        return hex_id("pool", f"{rows:032x}", *([f"{out:032x}"] if left_out else []))

    @property
    def rows(self) -> int:
        """Pairs to be used: those of its parts, less the forgotten ones."""
        return sum(part["rows"] for part in self.parts) - self.forgotten_rows

    @property
    def forgotten_rows(self) -> int:
        return sum(part.get(FORGOTTEN, 0) for part in self.parts)

    def forgotten_pairs(self) -> pa.Table:
        """The pairs of its parts that are not to be used, each once, with the `list` and `line` that say so."""
        mine = [part["key"] for part in self.parts if part.get(FORGOTTEN)]
        found = self._forgotten("pairs", PAIRS_FORGOTTEN)
        return found.filter(pc.is_in(found["part"], pa.array(mine, pa.string())))

    def rules(self) -> Rules | None:
        """What no part to come may bring back; None where nothing was forgotten."""
        return Rules(self._forgotten("rules", RULES)) if self.forgotten else None

    def _forgotten(self, name: str, schema: pa.Schema) -> pa.Table:
        folder = join(self.uri, FORGOTTEN)
        return (
            tables.read_arrow(folder, [entry[name] for entry in self.forgotten])
            if self.forgotten
            else schema.empty_table()
        )

    @property
    def store(self) -> str:
        return join(self.uri, "store")

    def tables(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Folder and Parquet parts of each part of the pool; BrokenTableError where its commit record is gone."""
        yield from (self.table(part, "pairs") for part in self.parts)

    def table(self, part: dict[str, Any], name: str) -> tuple[str, list[dict[str, Any]]]:
        """Folder and Parquet parts of one table of a part of the pool; BrokenTableError as above."""
        folder = join(self.uri, name, part["key"])
        done = tables.read_done(folder)
        if done is None:
            raise BrokenTableError(f"{join(folder, tables.DONE)}: {POOL} lists it, found no file; restore the file")
        return folder, done["parts"]

    def pairs(self, spark: Any) -> Any:
        """All pairs as a DataFrame of schema PAIRS; files from the commit records only."""
        frames = []
        for folder, parts in self.tables():
            frame = tables.read_spark(spark, folder, parts, PAIRS.arrow)
            frames.append(frame.select(*PAIRS.names))
        union = frames[0]
        for frame in frames[1:]:
            union = union.unionByName(frame)
        if not self.forgotten_rows:
            return union
        from pyspark.sql import functions as F

        out = spark.createDataFrame(self.forgotten_pairs().select(["uid"]))
        return union.join(F.broadcast(out), "uid", "left_anti").select(*PAIRS.names)

    def find(self, uid: str) -> dict[str, Any] | None:
        """One pair by uid, without Spark; None where the pool has no such pair."""
        for folder, parts in self.tables():
            found = tables.read_uid(folder, parts, uid)
            if found:
                return found
        return None

    def current(self) -> "Pool":
        """This pool; OutputError where pool.json lists something else by now: a lock may be lost in hours of work."""
        now = Pool.open_or_new(self.uri)
        if (now.parts, now.forgotten) != (self.parts, self.forgotten):
            raise OutputError(
                f"{join(self.uri, POOL)}: was changed by another process meanwhile; run the same command again"
            )
        return self

    def with_part(self, part: dict[str, Any]) -> "Pool":
        """Commit one more part: the rename of pool.json is what makes it visible."""
        grown = Pool(self.uri, (*self.parts, part), self.forgotten)
        grown.commit()
        return grown

    def commit(self) -> None:
        """Write pool.json."""
        record = {"schema_version": SCHEMA_VERSION, "key": self.key, "parts": list(self.parts)}
        if self.forgotten:
            record |= {"schema_version": FORGETTING_VERSION, FORGOTTEN: list(self.forgotten)}
        write_record(join(self.uri, POOL), record)
