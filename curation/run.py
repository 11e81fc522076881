"""Run a recipe on a pool: each stage once, its table kept under a key; then the verdict on every pair, and the release.

Three doors lead here: `curate run`, `spark-submit jobs/curate.py`, and this module's `run` from Python.
"""

import json
import sys
import time
from dataclasses import replace
from typing import Any

from curation import __version__, release, tables
from curation.errors import LostRowsError, SchemaError, StaleOutputError
from curation.files import absolute, join, locked, swept
from curation.graph import by_name, closure
from curation.models.named import file_key
from curation.pool import Pool
from curation.recipe import POOL, Recipe, Step, load_recipe, plain
from curation.report.report import report
from curation.rows import Rows, SideTable, StageTable
from curation.schema import hex_id
from curation.stage import StageSpec, releasing


def run(
    recipe: str,
    pool: str,
    out: str,
    *,
    set: list[str] | None = None,
    store: str | None = None,
) -> dict[str, Any]:
    """Run RECIPE (a name, see `curate recipes`, or a path ending in .toml) on POOL and write the release OUT.

    --set STEP.SETTING=VALUE changes a setting (repeat it for more). STORE, default POOL/store, holds computed signals
    and stage tables; whatever is there already under the same key is used again. Run again after an interruption: what
    was finished stays. An OUT that holds another recipe or pool is refused.
    """
    from curation.session import spark_session

    checked = load_recipe(recipe, set)
    opened = Pool.open(pool)
    kept = opened.store if store is None else absolute(store)
    with release.claim(out, checked, opened, kept) as folder:
        done = release.finished(folder)
        if done is not None:
            report(folder)  # a run may have been killed between release.json and its report
            return _summary(done, folder, computed=0)
        return _run(spark_session(opened.rows), checked, opened, folder, kept)


def _run(spark: Any, recipe: Recipe, pool: Pool, out: str, store: str) -> dict[str, Any]:
    made: dict[str, Rows | SideTable] = {POOL: Rows(pool, store, recipe.graph)}
    computed = 0
    for number, step in enumerate(recipe.steps, 1):
        inputs = [made[name] for name in step.on]
        if isinstance(inputs[0], Rows):
            inputs[0] = replace(inputs[0], cheap=recipe.cheap_signals(number))
        started = time.monotonic()
        writes = "out" in step.settings  # what it writes lies in OUT, and so does its table: both go together
        settings = step.settings | {"out": out} if writes else step.settings
        table, fresh = run_stage(spark, step, inputs, settings, out if writes else store)
        computed += fresh
        took = f"{time.monotonic() - started:.1f} s" if fresh else "already there"
        counts = f"{table.done['rows']:,} in, {table.done['kept']:,} out"
        print(f"[{number}/{len(recipe.steps)}] {step.name}: {counts} ({took})", file=sys.stderr, flush=True)
        made[step.name] = inputs[0].then(table)
        made |= {f"{step.name}.{name}": SideTable(table, name) for name in table.done["tables"]}
    last = made[recipe.steps[-1].name]
    done = release.commit(spark, out, recipe, last, made)
    report(out)
    return _summary(done, out, computed)


def _summary(done: dict[str, Any], out: str, computed: int) -> dict[str, Any]:
    return {"release": out, "recipe": done["recipe"], **done["counts"], "stages_computed": computed}


def run_stage(
    spark: Any, step: Step, inputs: list[Any], settings: dict[str, Any], store: str
) -> tuple[StageTable, bool]:
    """The committed table of one step, and whether it had to be computed (False: it was in the store)."""
    spec = step.spec
    columns = {name: spec.columns(name, settings) for name in spec.reads}
    key = stage_key(spec, settings, inputs, columns)
    folder = join(store, "stages", f"{spec.name}-{key}")
    table = StageTable.open(folder)
    if table is not None:
        return table, False
    with locked(folder, wait=True):
        table = StageTable.open(folder)  # another run may have made it while this one waited
        if table is not None:
            return table, False
        return _made(spark, step, inputs, settings, store=store, key=key, folder=folder), True


def _made(
    spark: Any, step: Step, inputs: list[Any], settings: dict[str, Any], *, store: str, key: str, folder: str
) -> StageTable:
    """The table of a step, computed and committed."""
    spec = step.spec
    columns = {name: spec.columns(name, settings) for name in spec.reads}
    started = time.monotonic()
    placed = settings | ({"store": store} if "store" in settings else {})
    with swept(folder, *(join(folder, name) for name in spec.tables)), releasing():
        frames = [rows.select(spark, columns[name]) for name, rows in zip(spec.reads, inputs)]
        result = step.stage(*frames, **placed)
        main, sides = result if isinstance(result, tuple) else (result, {})
        record = _write(main, folder, spec, settings, inputs[0].count)
        side_parts = {name: _write_side(frame, folder, name, spec) for name, frame in sides.items()}
    if stage_key(spec, settings, inputs, columns) != key:  # files are read here and there while it runs
        raise StaleOutputError(f"step {step.name}: a file that it reads was changed while it ran; run it again")
    record |= {
        "stage": spec.name,
        "version": spec.version,
        "settings": _without_out(settings),
        "key": key,
        "input_keys": [rows.key for rows in inputs],
        "columns": spec.schema(settings).names,
        "tables": side_parts,
        "seconds": round(time.monotonic() - started, 2),
    }
    record |= _origin(inputs[0], store) | {"signals": _signals_read(inputs, columns)}
    tables.write_done(folder, record)
    return StageTable(folder, record)


def _signals_read(inputs: list[Any], columns: dict[str, list[str]]) -> dict[str, Any]:
    """The signals behind the columns that the stage reads, each with its settings: what was measured, and by what."""
    read = zip(inputs, columns.values())
    nodes = [n for rows, names in read if isinstance(rows, Rows) for n in rows.nodes(names).values()]
    return {name: dict(node.settings) for name, node in sorted(by_name(closure(nodes)).items())}


def _origin(rows: Rows, store: str) -> dict[str, Any]:
    """Where the rows came from, so that the table can be opened by its folder alone (curation.single)."""
    settings = rows.graph.shared | rows.graph.aliases
    folder = rows.chain[-1].folder if rows.chain else ""
    return {"pool": rows.pool.uri, "store": store, "input_folder": folder, "signal_settings": settings}


def stage_key(spec: StageSpec, settings: dict[str, Any], inputs: list[Any], columns: dict[str, list[str]]) -> str:
    """What a stage table depends on: the stage, its version and settings, its inputs and the signals it reads."""
    signals = {}
    for rows, names in zip(inputs, columns.values()):
        if isinstance(rows, Rows):
            signals |= {name: node.key for name, node in rows.nodes(names).items()}
    keyed = {name: file_key(value) for name, value in _without_out(settings).items()}
    parts = [spec.name, spec.version, keyed, [rows.key for rows in inputs], signals]
    return hex_id("stage", json.dumps(parts))  # in order: the first failing bound is the reason


def _without_out(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as JSON can hold them, less where output and store lie, which changes nothing in it."""
    return {name: plain(value) for name, value in settings.items() if name not in ("out", "store")}


def _write(frame: Any, folder: str, spec: StageSpec, settings: dict[str, Any], rows_in: int) -> dict[str, Any]:
    """Write a stage's own table; LostRowsError unless each row in is one row out."""
    schema = spec.schema(settings)
    missing = [n for n in schema.names if n not in frame.columns]
    if missing:
        raise SchemaError(f"stage {spec.name}: its result lacks {missing}; it has {frame.columns}")
    parts = tables.write_spark(frame, folder, schema, rows_in)
    rows = sum(p["rows"] for p in parts)
    if rows != rows_in:
        raise LostRowsError(f"stage {spec.name}: {rows_in} rows in, {rows} rows out (kept and dropped together)")
    counts: dict[str, int] = {}
    for part in parts:
        for reason, count in part.get("counts", {}).items():
            counts[reason] = counts.get(reason, 0) + count
    kept = counts.pop("kept", 0) if spec.drops else rows
    return {"parts": parts, "rows": rows, "kept": kept, "drops": dict(sorted(counts.items())), "curation": __version__}


def _write_side(frame: Any, folder: str, name: str, spec: StageSpec) -> list[dict]:
    """Write a side table: one part, sorted by its columns in order, or parts by uid prefix where it has uids."""
    import pyarrow as pa

    columns = spec.tables[name]
    schema = pa.schema([pa.field(c.name, c.type, c.nullable) for c in columns])
    if "uid" in schema.names:
        return tables.write_spark(frame, join(folder, name), schema, frame.count())
    return tables.write_sorted(frame, join(folder, name), schema)
