"""One stage alone, as a job: tables in by path, its table out by path."""

import inspect
from collections.abc import Callable
from typing import Any

from curation.errors import RecipeError
from curation.files import absolute, join
from curation.graph import Graph
from curation.pool import POOL, Pool
from curation.recipe import Step, check_settings, signal_files
from curation.records import read_record
from curation.rows import Rows, SideTable, StageTable
from curation.tables import DONE


def stage_command(stage: Callable) -> Callable:
    """A function with the stage's tables and settings as flags, plus where to put its table.

    --pairs takes a pool or the folder of a stage table (whose kept rows are meant); other tables take the folder of a
    stage's side table; --store is what gets `stages/NAME-KEY/`, by default the pool's; --signals are a recipe's
    [signals] as JSON, for those that the stage reads beyond what its tables were made with.
    """
    spec = stage.spec

    def command(**flags: Any) -> dict[str, Any]:
        from curation.run import run_stage
        from curation.session import spark_session

        given = {k: flags[k] for k in spec.settings if k != "store"}  # where it lies is no setting: run_stage says
        settings = check_settings(spec, given, f"job {spec.name}")
        # As a recipe's [inputs]: for the stage and for the signals that it reads.
        files = {name: settings[name] for name in sorted(signal_files() & set(settings)) if settings[name]}
        inputs = [open_table(flags[name], files | (flags.get("signals") or {})) for name in spec.reads]
        step = Step(spec.name, stage, tuple(spec.reads), settings)
        store = absolute(flags["store"]) if flags["store"] else inputs[0].store
        table, fresh = run_stage(spark_session(), step, inputs, settings, store)
        done = table.done
        return {"table": table.folder, "computed": fresh} | {k: done[k] for k in ("rows", "kept", "drops")}

    parameters = inspect.signature(stage).parameters.values()
    tables = [p.replace(kind=p.KEYWORD_ONLY, annotation=str) for p in parameters if p.name in spec.reads]
    settings = [p for p in parameters if p.name in spec.settings and p.name != "store"]
    more = {"store": str | None, "signals": dict[str, Any] | None}
    flags = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=a) for n, a in more.items()]
    command.__signature__ = inspect.Signature([*tables, *settings, *flags])
    command.__name__, command.__doc__ = spec.name, inspect.getdoc(stage)
    return command


def open_table(path: str, signals: dict[str, Any] | None = None) -> Rows | SideTable:
    """A pool, what a committed stage table left of it, or a side table, by the path of its folder.

    `signals`: settings of signals, beside those that the table was made with.
    """
    folder = absolute(path)
    if read_record(join(folder, POOL)) is not None:
        pool = Pool.open(folder)
        return Rows(pool, pool.store, Graph(signals or {}))
    table = StageTable.open(folder)
    if table is not None:
        return reopen(table, signals or {})
    parent, _, name = folder.rpartition("/")
    owner = StageTable.open(parent)
    if owner is not None and name in owner.done["tables"]:
        return SideTable(owner, name)
    raise RecipeError(f"{folder} is neither a pool ({POOL}), a stage table ({DONE}) nor a side table of one")


def reopen(table: StageTable, signals: dict[str, Any]) -> Rows:
    """The rows a stage table left, found again from what its commit record says of its input."""
    chain = [table]
    while folder := chain[0].done["input_folder"]:
        before = StageTable.open(folder)
        if before is None:
            raise RecipeError(f"{chain[0].folder} was made of {folder}, where no stage table ({DONE}) is any more")
        chain.insert(0, before)
    pool = Pool.open(chain[0].done["pool"])
    return Rows(pool, chain[0].done["store"], Graph(chain[0].done["signal_settings"] | signals), tuple(chain))
