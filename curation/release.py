"""A release: one recipe on one pool, in a folder of its own. Claimed before work, committed by its last file.

`recipe.json` says what the folder is for and where pool and store lie; `lock` who is writing it; `subset/` holds the
verdict on every pair of the pool; `ledger.jsonl` a line per stage; `manifest/release.json`, written last, lists every
file and makes it a release. It names no place and no time: equal runs give equal bytes.
"""

import contextlib
import functools
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation import __version__, tables
from curation.errors import BrokenTableError, LostRowsError, StaleOutputError
from curation.files import absolute, committing, holds_files, join, locked, remove_folder, swept
from curation.forgetting import FORGOTTEN
from curation.graph import Node
from curation.models.named import file_key
from curation.parts import part_uris, read_part, write_part
from curation.pool import Pool
from curation.recipe import POOL, Recipe, plain
from curation.records import read_record, remedy, write_record
from curation.rows import Rows, StageTable
from curation.schema import SCHEMA_VERSION, SHARDS, SUBSET, VERDICT, hex_id
from curation.shards.manifest import CLAIM
from curation.shards.mark import MARK, OPTIONAL, PARTS, phase_samples
from curation.shards.writer import shard_record

FOLDERS = ("shards", "subset", "manifest", "manifest/samples", "manifest/shards", "manifest/parts", "report")


@contextlib.contextmanager
def claim(out: str, recipe: Recipe, pool: Pool, store: str) -> Iterator[str]:
    """Hold the folder `out` for this recipe and pool while the block runs; gives its absolute URI.

    StaleOutputError where it holds another recipe or pool, or something else; LockedOutputError where another live
    process writes it.
    """
    folder = absolute(out)
    wanted = {"recipe": recipe.name, "pool_key": pool.key, "key": release_key(recipe, pool)}
    with locked(folder, wait=False):
        found = read_record(join(folder, CLAIM))
        if found is None and holds_files(folder):
            raise StaleOutputError(
                f"{folder} is not empty and no output of a recipe (no {CLAIM} there): name another OUT"
            )
        if found is not None and {k: found.get(k) for k in wanted} != wanted:
            raise StaleOutputError(
                f"{folder} holds recipe {found['recipe']} ({found['key'][:8]}) on pool {found['pool_key'][:8]}, "
                f"wanted {recipe.name} ({wanted['key'][:8]}) on pool {pool.key[:8]}: name another OUT (the store is "
                "shared anyway)"
            )
        with swept(folder, *(join(folder, name) for name in FOLDERS)):
            write_record(join(folder, CLAIM), wanted | {"pool": pool.uri, "store": store})
            yield folder


def release_key(recipe: Recipe, pool: Pool) -> str:
    """What a release depends on: its steps with settings and the files that they name, the signals, and the pool."""
    given = [{name: file_key(value) for name, value in plain(s.settings).items()} for s in recipe.steps]
    steps = [[s.name, s.spec.name, s.spec.version, list(s.on), g] for s, g in zip(recipe.steps, given)]
    signals = [sorted(recipe.graph.shared.items()), sorted(recipe.graph.aliases.items())]
    signals.append([(name, node.key) for name, node in _read(recipe).items()])
    return hex_id("release", json.dumps([steps, signals, pool.key]))  # in order: the first failing bound is the reason


def _read(recipe: Recipe) -> dict[str, Node]:
    """The signals that the steps of the recipe read, by column."""
    names = {n for s in recipe.steps for t in s.spec.reads for n in s.spec.columns(t, s.settings)}
    return {n: recipe.graph.node(n) for n in sorted(names) if n in recipe.graph}


def finished(out: str) -> dict[str, Any] | None:
    """The content of release.json where the release is committed and its files are there, else None."""
    done = read_record(join(out, MARK))
    if done is not None:
        part_uris(out, [part for kind in (*PARTS, *OPTIONAL) for part in done.get(kind, [])])
        remove_folder(join(out, "manifest", "parts"))  # a run may have been killed just before it did
    return done


def commit(spark: Any, out: str, recipe: Recipe, last: Rows, made: dict[str, Any]) -> dict[str, Any]:
    """Write subset and ledger; then release.json, after which the folder is a release."""
    key, stages = _claimed_key(out, recipe, last.pool), _stages(recipe, made)
    subset = _write_subset(spark, out, last, {made[s.name].chain[-1].folder: s.name for s in recipe.steps})
    written = _written(out, last.chain[-1])
    write_lines(join(out, "ledger.jsonl"), stages)
    untimed = [{k: v for k, v in s.items() if k != "seconds"} for s in stages]  # equal runs, equal release.json
    record = {
        "schema_version": SCHEMA_VERSION,
        "recipe": recipe.name,
        "recipe_text": recipe.text,
        "key": key,
        "pool_key": last.pool.key,
        "versions": {"curation": __version__},
        **({FORGOTTEN: last.pool.forgotten_rows} if last.pool.forgotten_rows else {}),
        "counts": {"pool": last.pool.rows + last.pool.forgotten_rows, "kept": last.count, "shards": len(written)},
        "stages": untimed,
        "signals": _signals(recipe, last),
        "signal_settings": recipe.graph.shared | recipe.graph.aliases,
        "phases": _phases(recipe, stages, [w["tar"] for w in written]),
        "samples": [w["samples"] for w in written],
        "tars": [w["tar"] for w in written],
        "shards": _write_shard_table(out, written),
        "subset": subset,
    }
    vectors = [part for w in written for part in w["embeddings"]]
    write_record(join(out, MARK), record | ({"embeddings": vectors} if vectors else {}))
    remove_folder(join(out, "manifest", "parts"))
    return record


def _claimed_key(out: str, recipe: Recipe, pool: Pool) -> str:
    """The key under which the folder was claimed; StaleOutputError where a file behind it was changed since."""
    key = release_key(recipe, pool)
    if read_record(join(out, CLAIM))["key"] != key:
        raise StaleOutputError(f"{out}: a file that its recipe names was changed while it was made; name another OUT")
    return key


def _stages(recipe: Recipe, made: dict[str, Any]) -> list[dict[str, Any]]:
    """One ledger entry per step, derived from its `_done.json`."""
    entries = []
    for step in recipe.steps:
        table = made[step.name].chain[-1]
        done = table.done
        entry = {k: done[k] for k in ("key", "version", "settings", "signals", "drops", "seconds", "curation")}
        entry |= {"name": step.name, "run": step.spec.name, "on": list(step.on)}
        if step.spec.ledger is not None:
            entry[step.spec.ledger] = _side_rows(table, step.spec.ledger)
        entries.append(entry | {"rows_in": done["rows"], "rows_out": done["kept"], "input_keys": done["input_keys"]})
    return entries


def _phases(recipe: Recipe, stages: list[dict[str, Any]], tars: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How the recipe means the release to be trained on: its [[phase]] tables, each with its shards and samples."""
    phases = []
    for phase in recipe.phases:
        chosen = [row for row in stages[-1].get("sets", []) if row["shards"] and phase.takes(row["set"])]
        spans = [[row["first_shard"], row["first_shard"] + row["shards"] - 1] for row in chosen]
        counts = {"shards": spans, "samples": phase_samples(spans, tars)}
        phases.append(phase.model_dump(exclude_none=True) | counts)
    return phases


def _side_rows(table: StageTable, name: str) -> list[dict[str, Any]]:
    """The rows of a side table of a stage; few."""
    uris = part_uris(join(table.folder, name), table.done["tables"][name])
    return [row for uri in uris for row in read_part(uri, None, None).to_pylist()]


def write_lines(uri: str, values: list[dict[str, Any]]) -> None:
    """Commit values as JSON, one a line."""
    with committing(uri) as file:
        for value in values:
            file.write(json.dumps(value, sort_keys=True, allow_nan=False).encode() + b"\n")


def _signals(recipe: Recipe, last: Rows) -> dict[str, Any]:
    """Every signal that the recipe reads: key, settings, and the models behind it as its commit record says."""
    from curation.graph import by_name, closure
    from curation.signal import PICTURES
    from curation.store import Store

    nodes = _read(recipe)
    nodes = by_name(n for n in closure(nodes.values()) if n.spec.type != PICTURES) | nodes
    store = Store(None, last.store)
    described = {}
    for name, node in nodes.items():
        settings = dict(node.settings)
        described[name] = {"of": node.spec.name, "key": node.key, "settings": settings, "stored": node.stored}
        done = tables.read_done(store.folder(node))
        if done:
            described[name] |= {"models": done["models"]}
    return described


def _write_subset(spark: Any, out: str, last: Rows, names: dict[str, str]) -> list[dict]:
    """The verdict on every pair of the pool, each once; LostRowsError otherwise."""
    from pyspark.sql import functions as F

    frames = []
    for table in last.chain:
        if table.done["rows"] > table.done["kept"]:
            dropped = table.read(spark).where("not keep").select("uid", *VERDICT.names)
            frames.append(dropped.withColumn("drop_stage", F.lit(names[table.folder])))
    empty = [F.lit(None).cast("string").alias(c) for c in ("drop_stage", "drop_reason", "drop_value")]
    kept = last.select(spark, ["uid"]).select("uid", F.lit(True).alias("keep"), *empty)
    pairs = last.pool.rows + last.pool.forgotten_rows
    if last.pool.forgotten_rows:
        frames.append(spark.createDataFrame(_forgotten(last.pool)))
    verdicts = functools.reduce(lambda a, b: a.unionByName(b), [*frames, kept])
    parts = tables.write_spark(verdicts, join(out, "subset"), SUBSET.arrow, pairs)
    rows = sum(p["rows"] for p in parts)
    if rows != pairs:
        raise LostRowsError(f"subset of {out}: {rows} verdicts for {pairs} pairs of the pool")
    return [{k: p[k] for k in ("bytes", "rows", "sha256", "tail")} | {"name": f"subset/{p['name']}"} for p in parts]


def _forgotten(pool: Pool) -> pa.Table:
    """The verdict on the pairs that the pool may not give any more."""
    rows = pool.forgotten_pairs()
    told = pc.binary_join_element_wise(rows["list"], pc.cast(rows["line"], pa.string()), " line ")
    keep = pa.array([False] * len(rows), pa.bool_())
    reason = pa.array([FORGOTTEN] * len(rows), pa.string())
    stage = pa.array([POOL] * len(rows), pa.string())
    return pa.table([rows["uid"], keep, stage, reason, told], names=SUBSET.names)


def _written(out: str, table: StageTable) -> list[dict[str, Any]]:
    """The records that the tasks of write_shards left, one per shard, by number; none without that stage."""
    if table.done["stage"] != "write_shards":
        return []
    shards = sum(row["shards"] for row in _side_rows(table, "sets"))
    records = []
    for uri in (shard_record(out, number) for number in range(shards)):
        records.append(read_record(uri, made_by=table.folder))
        if records[-1] is None:
            mark = join(out, MARK)
            raise BrokenTableError(f"{mark}: is to be made from {uri}, found no file; {remedy(uri, table.folder)}")
    parts = [part for r in records for part in (r["tar"], r["samples"], *r["embeddings"])]
    part_uris(out, parts, table.folder)
    return records


def _write_shard_table(out: str, written: list[dict]) -> list[dict]:
    rows = [
        {"shard": n, "samples": w["tar"]["rows"], "bytes": w["tar"]["bytes"], "sha256": w["tar"]["sha256"]}
        for n, w in enumerate(written)
    ]
    batch = pa.RecordBatch.from_pylist(rows, SHARDS.arrow)
    part = write_part(join(out, "manifest", "shards"), "00000000", [batch], SHARDS.arrow).record()
    return [part | {"name": f"manifest/shards/{part['name']}"}]
