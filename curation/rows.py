"""What stands between two stages: the pairs that a chain of stages left, with the columns of all of them.

Nothing is copied from stage to stage. A stage table holds uid and what that stage added; `Rows.select` joins the
columns asked for from the pool, from the chain (a later column of the same name replaces an earlier one) and from the
signal store.
"""

from dataclasses import dataclass, replace
from typing import Any

from curation import opt_outs, tables
from curation.errors import SchemaError, unknown
from curation.files import join
from curation.graph import Graph, Node, closure
from curation.pool import Pool
from curation.schema import OPT_OUT, PAIRS, VERDICT, hex_id
from curation.store import Store


@dataclass(frozen=True)
class StageTable:
    """A committed stage: its folder and its `_done.json`."""

    folder: str
    done: dict[str, Any]

    @staticmethod
    def open(folder: str) -> "StageTable | None":
        """The stage table in `folder`, or None while it is not committed."""
        done = tables.read_done(folder)
        return None if done is None else StageTable(folder, done)

    @property
    def added(self) -> list[str]:
        return [c for c in self.done["columns"] if c not in ("uid", *VERDICT.names)]

    def read(self, spark: Any) -> Any:
        frame = tables.read_spark(spark, self.folder, self.done["parts"])
        missing = sorted(set(self.done["columns"]) - set(frame.columns))
        if missing:
            raise SchemaError(f"{self.folder}: its record names {missing}, its parts have only {frame.columns}")
        return frame


@dataclass(frozen=True)
class SideTable:
    """A named table that a stage left beside its own: counts, groups, centroids."""

    stage: StageTable
    name: str

    @property
    def key(self) -> str:
        return hex_id("side", self.stage.done["key"], self.name)

    def select(self, spark: Any, columns: list[str]) -> Any:
        """The whole table; SchemaError is the stage's to raise where a column lacks."""
        folder = join(self.stage.folder, self.name)
        return tables.read_spark(spark, folder, self.stage.done["tables"][self.name])


@dataclass(frozen=True)
class Rows:
    """The pairs that `chain` left of `pool`; `graph` knows the signals, `store` is where they are kept."""

    pool: Pool
    store: str
    graph: Graph
    chain: tuple[StageTable, ...] = ()
    cheap: tuple[Node, ...] = ()  # signals that later stages read, computed as soon as pictures are decoded

    @property
    def key(self) -> str:
        return self.chain[-1].done["key"] if self.chain else self.pool.key

    @property
    def count(self) -> int:
        return self.chain[-1].done["kept"] if self.chain else self.pool.rows

    def then(self, table: StageTable) -> "Rows":
        """These rows after one more stage."""
        return replace(self, chain=(*self.chain, table))

    def nodes(self, columns: list[str]) -> dict[str, Node]:
        """Those of `columns` that are signals; RecipeError for a name nobody makes."""
        signals = {}
        for name in columns:
            plain = name.removesuffix("__error")
            if self._home(plain) is None and not plain.startswith("extra."):
                if plain not in self.graph:
                    known = [*PAIRS.names, OPT_OUT, *(c for t in self.chain for c in t.added), *self.graph.functions]
                    raise unknown("column", [plain], known, "these rows")
                signals[plain] = self.graph.node(plain)
        return signals

    def _home(self, column: str) -> "StageTable | Pool | None":
        for table in reversed(self.chain):
            if column in table.added:
                return table
        return self.pool if column in (*PAIRS.names, OPT_OUT) else None

    def select(self, spark: Any, columns: list[str]) -> Any:
        """A DataFrame of the kept rows with these columns: pool columns, `extra.NAME`, stage columns, signals, and
        `opt_out`, what all pages of the pool say against the use of the image.
        """
        from pyspark.sql import functions as F

        nodes = self.nodes(columns)
        extra = [c for c in columns if c.startswith("extra.")]
        plain = [c for c in columns if c not in nodes and c not in (*extra, OPT_OUT) and not c.endswith("__error")]
        roots = {c for n in nodes.values() for c in n.columns}
        roots |= {"image_id", "image"} if any(n.level != "text" for n in closure(nodes.values())) else set()
        roots |= ({"extra"} if extra else set()) | ({"image_id"} if OPT_OUT in columns else set())
        frame = self._join(spark, list(dict.fromkeys(["uid", *plain, *sorted(roots)])))
        if nodes:
            frame = Store(spark, self.store).attach(frame, nodes, self._keys, self.count, self.cheap)
        frame = opt_outs.attach(frame, self.pool) if OPT_OUT in columns else frame
        for name in extra:
            frame = frame.withColumn(name, F.col("extra").getItem(name.removeprefix("extra.")))
        for name in columns:
            if name.endswith("__error") and name not in frame.columns:  # of a stage's column: its nulls have no reason
                frame = frame.withColumn(name, F.lit(None).cast("string"))
        return frame.select(*(f"`{c}`" for c in columns))

    def _keys(self, columns: tuple[str, ...]) -> list[str]:
        """Keys of these rows, then of those before them in the chain, as long as `columns` come from no later stage."""
        homes = [self._home(c) for c in columns]
        first = max((self.chain.index(h) for h in homes if h is not self.pool), default=-1)
        return [replace(self, chain=self.chain[: n + 1]).key for n in reversed(range(first, len(self.chain)))]

    def _join(self, spark: Any, columns: list[str]) -> Any:
        """uid and `columns` of pool and chain, for the rows that the last stage kept."""
        homes: dict[int, list[str]] = {}
        for column in columns:
            home = self._home(column)
            homes.setdefault(-1 if home is self.pool else self.chain.index(home), []).append(column)
        last = len(self.chain) - 1
        frame = self._kept(spark, last, homes.pop(last, []))
        for number, names in sorted(homes.items()):
            names = [n for n in names if n != "uid"]
            if names:
                table = self.pool.pairs(spark) if number < 0 else self.chain[number].read(spark)
                frame = frame.join(table.select("uid", *names), "uid")
        return frame

    def _kept(self, spark: Any, number: int, columns: list[str]) -> Any:
        names = [c for c in columns if c != "uid"]
        if number < 0:
            return self.pool.pairs(spark).select("uid", *names)
        table = self.chain[number]
        frame = table.read(spark)
        kept = frame.where("keep") if "keep" in table.done["columns"] else frame
        return kept.select("uid", *names)
