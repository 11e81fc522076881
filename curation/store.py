"""The signal store: values computed once, kept by (signal, settings, weights), shared by runs and by pools.

`STORE/signals/<name>-<key>/` holds rows (id, digest, value, error): `id` is the image_id for a signal of the image
alone, else the uid; `digest` stands for the inputs, so a changed caption is a new row. The set of rows is not in the
key: only rows that are not there are computed.
"""

import contextlib
import itertools
import sys
from collections.abc import Callable, Iterable
from typing import Any

from curation import tables
from curation.compute import ERROR, Job, appender, bucket_writer, signal_schema
from curation.files import join, locked, swept
from curation.graph import Node, check_unchanged, closure, placed, stored_inputs
from curation.signal import IMAGE_INPUTS
from curation.stage import cached

LEVELS = ("image", "text", "pair")
# Rows in a bucket: what a killed run has to do again. Pictures cost milliseconds, captions and scores microseconds.
BUCKET_ROWS = {"image": 1024, "text": 16384, "pair": 32768}
MAX_BUCKETS = 4096  # a commit lists its parts; beyond this many, buckets grow instead
BLOCK_SHIFT = 28  # an image file is cut every 256 MiB, so one large tar makes several buckets, each read in order


class Store:
    """Signals under one folder; `attach` gives a DataFrame the signal columns it lacks."""

    def __init__(self, spark: Any, uri: str) -> None:
        self.spark, self.uri = spark, uri
        self.records: dict[str, dict[str, Any]] = {}  # commit records as this run read or wrote them, by node key

    def folder(self, node: Node) -> str:
        """Where a signal's values are kept."""
        return join(self.uri, "signals", f"{node.spec.name}-{node.key}")

    def attach(
        self,
        frame: Any,
        nodes: dict[str, Node],
        keys: Callable[[tuple[str, ...]], list[str]],
        count: int,
        cheap: Iterable[Node] = (),
    ) -> Any:
        """`frame` plus two columns per name: the signal, and NAME__error that says why it is null.

        `frame` has uid, image_id, image and the pool columns that the nodes read. Stored signals that are not there
        yet are computed first, those of one level (image, text, pair) in one pass. `keys` gives, for the columns that a
        signal reads, the key of these rows and of those that hold them with the same columns: what was computed for
        one of these needs no look at the rows, of which there are `count`. A pass over pictures that decodes
        them computes the `cheap` signals too, so that who asks for them later need not decode again.
        """
        wanted = list(nodes.values())
        stored = [n for n in closure(wanted) if n.stored]
        by_pass = sorted(stored, key=lambda n: (LEVELS.index(n.level), len(n.columns), n.columns))
        for (level, columns), group in itertools.groupby(by_pass, key=lambda n: (n.level, n.columns)):
            read = columns if level == "text" else (*columns, "image")
            group = list(group)
            if level == "image" and any(node.decodes for node in group):  # a pass of pairs has other ids
                group += [node for node in cheap if node not in group]
            self._ensure(frame, group, level, keys(read), count)
        unstored = [n for n in wanted if not n.stored]
        at_hand = {n.key: n for n in [*(n for n in wanted if n.stored), *stored_inputs(unstored)]}
        joined = self._join(frame, list(at_hand.values()))
        return _finish(joined, frame.columns, nodes)

    def _open(self, node: Node) -> dict[str, Any]:
        self.records[node.key] = tables.read_done(self.folder(node)) or {"parts": [], "rows_of": []}
        return self.records[node.key]

    def _read(self, node: Node) -> Any:
        from pyspark.sql.pandas.types import from_arrow_schema

        parts = self.records[node.key]["parts"]
        if not parts:
            return self.spark.createDataFrame([], from_arrow_schema(signal_schema(node.spec.type)))
        values = tables.read_spark(self.spark, self.folder(node), parts, signal_schema(node.spec.type))
        # Two runs may have computed the same rows where the store has no lock; equal inputs give equal values.
        return values.dropDuplicates(["id", "digest"]) if self.records[node.key].get("overlaps") else values

    def _join(self, frame: Any, nodes: list[Node]) -> Any:
        """Left-join the stored values and errors of `nodes`, under their batch column names."""
        from pyspark.sql import functions as F

        joined = frame
        for node in nodes:
            names = {"id": "_id", "digest": "_digest", "value": node.column, "error": node.column + ERROR}
            values = self._read(node).select(*(F.col(old).alias(new) for old, new in names.items()))
            keys = {"_id": _id(joined, node.level), "_digest": _digest(node.columns, node.level)}
            joined = joined.withColumns(keys).join(values, ["_id", "_digest"], "left").drop("_id", "_digest")
        return joined

    def _ensure(self, frame: Any, nodes: list[Node], level: str, keys: list[str], count: int) -> None:
        """Compute and commit the rows that the stored tables of `nodes` lack."""
        nodes = [n for n in nodes if not set(self._open(n)["rows_of"]) & set(keys)]
        with contextlib.ExitStack() as stack:
            for node in sorted(nodes, key=self.folder):  # in one order, so that two runs cannot wait for each other
                stack.enter_context(locked(self.folder(node), wait=True))
                stack.enter_context(swept(self.folder(node)))
            nodes = [n for n in nodes if not set(self._open(n)["rows_of"]) & set(keys)]
            if nodes:
                records = self._add_missing(frame, nodes, level, count)
                check_unchanged(nodes)
                for i, node in enumerate(nodes):
                    self._commit(node, [r for r in records if r["signal"] == i], keys[0])

    def _add_missing(self, frame: Any, nodes: list[Node], level: str, count: int) -> list[dict]:
        """Compute what is missing; records of the parts written."""
        from pyspark.sql import functions as F

        rows = self._missing(frame, nodes, level)
        wanted = (1 << len(nodes)) - 1
        if any(self.records[n.key]["parts"] for n in nodes):  # else all are missing: nothing to look at first
            rows = cached(rows)
            count, wanted = rows.agg(F.count("*"), F.bit_or("want")).first()
        names = [n.spec.name for i, n in enumerate(nodes) if (wanted or 0) >> i & 1]
        if not names or count == 0:
            return []
        print(f"  {level} signals of {count:,} rows: {', '.join(names)}", file=sys.stderr, flush=True)
        inputs = [n for n in stored_inputs(nodes) if n not in nodes]
        return self._compute(self._join(rows, inputs), nodes, level, count)

    def _missing(self, frame: Any, nodes: list[Node], level: str) -> Any:
        """Distinct rows that at least one node lacks: id, digest, `want` (a bit per node) and what the nodes read."""
        from pyspark.sql import functions as F

        columns = nodes[0].columns
        if level == "image":
            rows = frame.groupBy("image_id").agg(F.min("image").alias("image"))
        else:
            ids = ("uid",) if level == "text" else ("uid", "image_id", "image")
            rows = frame.select(*dict.fromkeys([*ids, *columns]))
        rows = rows.withColumn("id", _id(rows, level)).withColumn("digest", _digest(columns, level))
        want = F.lit(sum(1 << bit for bit, n in enumerate(nodes) if not self.records[n.key]["parts"])).cast("long")
        for bit, node in enumerate(nodes):
            if self.records[node.key]["parts"]:
                there = self._read(node).select("id", "digest", F.lit(True).alias(f"_has{bit}"))
                rows = rows.join(there, ["id", "digest"], "left")
                lacks = F.when(F.col(f"_has{bit}").isNull(), F.lit(1 << bit)).otherwise(0)
                want = want.bitwiseOR(lacks.cast("long"))
        flags = [f"_has{bit}" for bit in range(len(nodes))]
        return rows.withColumn("want", want).where("want != 0").drop(*flags)

    def _compute(self, rows: Any, nodes: list[Node], level: str, count: int) -> list[dict]:
        """Lay the rows out in buckets and run one task per bucket; the records of the parts written."""
        from pyspark.sql import functions as F

        pictures = any(i in IMAGE_INPUTS for n in nodes for i in n.inputs)  # of a pair, too: then these come in order
        size = BUCKET_ROWS["image" if pictures else level]
        buckets = min(MAX_BUCKETS, 1 << max(0, (count - 1) // size).bit_length())
        if level == "image" or pictures:
            block = F.xxhash64("image.uri", F.shiftright(F.coalesce("image.offset", F.lit(0)), BLOCK_SHIFT))
            # Pairs without a picture lie nowhere: by their block all of them would be one bucket, and one task.
            place = F.when(F.col("image.uri").isNull(), F.xxhash64("id")).otherwise(block)
            order = ["image.uri", "image.offset", "id"]
        else:
            place = F.xxhash64("digest" if level == "text" else "id")
            order = ["digest", "id"]
        rows = rows.drop(*(c for c in ("uid", "image_id") if c not in nodes[0].columns))  # `id` is one of them
        laid = rows.withColumn("bucket", F.pmod(place, F.lit(buckets)).cast("int")).repartitionById(buckets, "bucket")
        job = Job(level, tuple(placed(n) for n in nodes), tuple(self.folder(n) for n in nodes))
        return tables.in_tasks(laid.sortWithinPartitions("bucket", *order), bucket_writer(job))

    def _commit(self, node: Node, records: list[dict], key: str) -> None:
        """Add parts, and the rows that they complete, to the signal's commit record."""
        known = {p["name"]: p for p in self.records[node.key]["parts"]}
        done = self._open(node)
        parts = {p["name"]: p for p in done["parts"]} | {r["part"]["name"]: r["part"] for r in records}
        description = {
            "signal": node.spec.name,
            "version": node.spec.version,
            "settings": dict(node.settings),
            "key": node.key,
            "models": _as_named(node, records[0]["models"]) if records else done.get("models", {}),
            "rows_of": sorted({*done["rows_of"], key}),
            "overlaps": done.get("overlaps", False) or set(known) != {p["name"] for p in done["parts"]},
        }
        self.records[node.key] = description | {"parts": [parts[name] for name in sorted(parts)]}
        tables.write_done(self.folder(node), self.records[node.key])


def _as_named(node: Node, models: dict[str, dict]) -> dict[str, dict]:
    """What tasks say of the models, each under the name that the recipe gave it."""
    return {k: model | {"name": dict(node.settings)[k]} for k, model in models.items()}


def _id(frame: Any, level: str) -> Any:
    from pyspark.sql import functions as F

    return F.col("image_id" if level == "image" else "uid")


def _digest(columns: tuple[str, ...], level: str) -> Any:
    """64 bits that stand for the inputs; they only have to tell one version of a row's own inputs from another.

    A picture that was not there and is now is another version: what was null for want of it is computed then.
    """
    from pyspark.sql import functions as F

    digest = F.xxhash64(*columns) if columns else F.lit(0).cast("long")
    return digest if level == "text" else F.when(F.col("image").isNull(), F.bitwise_not(digest)).otherwise(digest)


def _finish(joined: Any, columns: list[str], nodes: dict[str, Node]) -> Any:
    """Name the stored columns, append the unstored ones, drop the rest."""
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.types import from_arrow_type, to_arrow_schema
    from pyspark.sql.types import StructField, StructType

    def error(node: Node) -> Any:
        at_hand = [node] if node.stored else stored_inputs([node])
        return F.coalesce(*(F.col(n.column + ERROR) for n in at_hand), F.lit(None).cast("string"))

    unstored = {name: node for name, node in nodes.items() if not node.stored}
    if unstored:
        added = [StructField(name, from_arrow_type(node.spec.type)) for name, node in unstored.items()]
        schema = StructType([*joined.schema, *added])
        append = appender(list(unstored.values()), list(unstored), to_arrow_schema(schema))
        joined = joined.mapInArrow(append, schema)
    values = [F.col(name if name in unstored else node.column).alias(name) for name, node in nodes.items()]
    errors = [error(node).alias(name + ERROR) for name, node in nodes.items()]
    return joined.select(*columns, *values, *errors)
