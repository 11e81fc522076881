"""`@stage`: anything that looks at whole tables. The only framework; small.

A stage is a function from DataFrames to one DataFrame (and named side tables). Positional parameters are tables,
keyword-only parameters are settings: the signature is the whole configuration, and flags and recipe keys are read off
it. The decorator declares the columns each table must have and those that come out, and checks both:

    @stage(output=VERDICT.columns, pairs=["uid", "image_id", "caption"])
    def dedup_pairs(pairs: DataFrame) -> DataFrame: ...

A stage returns `uid` and the columns it adds; one that drops returns all its rows with keep, drop_reason, drop_value.
Nothing here decides how a stage is run, kept or resumed: that is curation.run.
"""

import contextlib
import functools
import inspect
import io
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from curation.errors import SchemaError
from curation.schema import Column
from curation.signal import setting_defaults

UID = Column("uid", pa.string(), "as in the pool")


@dataclass(frozen=True)
class StageSpec:
    """What the runner knows of a stage. `reads` gives each table's columns: a list, or a function of the settings."""

    name: str
    version: int
    reads: dict[str, Sequence[str] | Callable[[dict], Sequence[str]]]
    output: tuple[Column, ...]
    tables: dict[str, tuple[Column, ...]]
    ledger: str | None  # the side table, of few rows, that the ledger repeats
    optional: dict[str, tuple[Column, ...]]  # further columns, by the setting that asks for them
    settings: dict[str, Any]
    annotations: dict[str, Any]

    @property
    def drops(self) -> bool:
        return any(c.name == "keep" for c in self.output)

    def schema(self, settings: dict[str, Any]) -> pa.Schema:
        """The table that the stage makes under these settings."""
        asked = [c for name, columns in self.optional.items() if settings.get(name) for c in columns]
        return pa.schema([pa.field(c.name, c.type, c.nullable) for c in (UID, *self.output, *asked)])

    def columns(self, table: str, settings: dict[str, Any]) -> list[str]:
        """The columns read of one table under these settings; uid always."""
        declared = self.reads[table]
        names = declared(settings) if callable(declared) else declared
        return list(dict.fromkeys(["uid", *names] if table == "pairs" else names))


def stage(
    *,
    output: Iterable[Column] = (),
    tables: dict[str, tuple[Column, ...]] | None = None,
    ledger: str | None = None,
    optional: dict[str, tuple[Column, ...]] | None = None,
    version: int = 1,
    **reads: Sequence[str] | Callable[[dict], Sequence[str]],
) -> Callable[[Callable], Callable]:
    """Declare a stage: columns read per table parameter, columns added, side tables, the one of few rows that the
    ledger repeats, and columns that come out only where a setting is true. Raise `version` with results.
    """

    def mark(function: Callable) -> Callable:
        parameters = inspect.signature(function).parameters
        positional = [p.name for p in parameters.values() if p.kind is not p.KEYWORD_ONLY]
        if positional != list(reads):
            raise TypeError(f"stage {function.__name__} declares tables {list(reads)} but takes {positional}")
        spec = StageSpec(
            name=function.__name__,
            version=version,
            reads=dict(reads),
            output=tuple(output),
            tables=tables or {},
            ledger=ledger,
            optional=optional or {},
            settings=setting_defaults(function),
            annotations={k: p.annotation for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY},
        )

        @functools.wraps(function)
        def checked(*frames: Any, **settings: Any) -> Any:
            for name, frame in zip(positional, frames):
                _require(spec, name, frame, spec.settings | settings)
            return function(*frames, **settings)

        checked.spec = spec
        return checked

    return mark


def _require(spec: StageSpec, table: str, frame: Any, settings: dict[str, Any]) -> None:
    missing = [c for c in spec.columns(table, settings) if c not in frame.columns]
    if missing:
        raise SchemaError(f"stage {spec.name}: table {table} lacks {missing}; it has {frame.columns}")


_CACHED: ContextVar[list | None] = ContextVar("cached", default=None)


def cached(frame: Any) -> Any:
    """`frame`, kept in memory or on disk from its first use until the stage's tables are written."""
    held = _CACHED.get()
    if held is not None:
        held.append(frame)
    return frame.cache()


@contextlib.contextmanager
def releasing() -> Iterator[None]:
    """Let go, at the end of the block, of what `cached` kept inside it, and of nothing else in the session."""
    held: list = []
    token = _CACHED.set(held)
    try:
        yield
    finally:
        _CACHED.reset(token)
        for frame in held:
            frame.unpersist()


def collected(frame: Any) -> Any:
    """The rows of a small frame, as pandas; Spark's toPandas would add a warning to the one line of a failure."""
    return frame.toArrow().to_pandas()


def to_workers(frame: Any, value: Any) -> Any:
    """A value broadcast to every worker; OSError where Spark's scratch is full, without PySpark's traceback of it."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return frame.sparkSession.sparkContext.broadcast(value)
    except pickle.PicklingError as error:
        raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None


def verdict(frame: Any, drop_reason: Any, drop_value: Any = None) -> Any:
    """uid, keep, drop_reason, drop_value of every row: dropped where `drop_reason` (a string column) is not null."""
    from pyspark.sql import functions as F

    value = F.lit(None) if drop_value is None else drop_value
    shown = F.when(drop_reason.isNotNull(), value.cast("string"))
    return frame.withColumns(
        {"keep": drop_reason.isNull(), "drop_reason": drop_reason.cast("string"), "drop_value": shown}
    )
