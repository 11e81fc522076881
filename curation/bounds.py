"""Bounds: a filter is not code but a bound on a signal, written in a recipe, so the reason for a drop cannot lie.

    caption_words = { min = 3, max = 77 }                  inclusive
    caption_language = { in = ["en", "de"] }
    document = { in_file = "subset.npy" }                  listed in a file: see curation.lists
    clip_score = { top_fraction = 0.3 }                    exactly int(n * 0.3) rows, ties by uid
    clip_score = { top_fraction = 0.3, rule = "datacomp" } DataComp's: every row >= the value at index int(n * 0.3)

n counts the rows of the stage's input that have a finite value, whatever its other bounds. Null, NaN and infinity pass
no bound and are reasons of their own. A number counts as the column holds it: 1.6 in float32 is 1.60000002, and what
was stored as 1.6 equals that. Reasons read as the bound was written: `caption_words<3`,
`clip_score not in top 0.3`.
"""

import os
from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from curation.errors import RecipeError
from curation.files import local_path
from curation.stage import cached

# What Spark's long and double hold; a bound at NaN or infinity would say nothing.
Number = Annotated[int, Field(ge=-(2**63), lt=2**63)] | Annotated[float, Field(allow_inf_nan=False)]
RATIO_BINS = 1024  # per pass of the search for a rank: 10^10 rows come down to 10^4 in two passes
FINITE = "score is not null and not isnan(score) and abs(score) < double('Infinity')"
COLLECTED = 100_000  # rows that may come to the driver at the end of the search: a few megabytes


class Bound(BaseModel):
    """One bound. `in_` is spelled `in` in a recipe."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    min: Number | None = None
    max: Number | None = None
    in_: list[str | Number | bool] | None = Field(None, alias="in", min_length=1)
    in_file: str | None = None
    top_fraction: Annotated[float, Field(ge=0, le=1)] | None = None
    rule: Literal["exact", "datacomp"] = "exact"

    @model_validator(mode="after")
    def _one_kind(self) -> "Bound":
        is_range = self.min is not None or self.max is not None
        if [is_range, *(v is not None for v in (self.in_, self.in_file, self.top_fraction))].count(True) != 1:
            raise ValueError("a bound has either min and/or max, or in, or in_file, or top_fraction")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is above max, so nothing would pass")
        if self.in_file is not None and local_path(self.in_file) and not os.path.isfile(local_path(self.in_file)):
            raise ValueError(f"no file {self.in_file}")
        if self.rule == "datacomp" and self.top_fraction == 1:
            raise ValueError("DataComp's rule is undefined for top_fraction = 1 (index past the end)")
        if len({_kind_of(value) for value in self.in_ or []}) > 1:
            raise ValueError("the values of `in` are all text, all numbers, or all true and false")
        return self

    @property
    def kind(self) -> str:
        """Of which columns it can be: `text`, `number` or `boolean`."""
        return "text" if self.in_file else _kind_of(self.in_[0]) if self.in_ else "number"


def _kind_of(value: Any) -> str:
    return "text" if isinstance(value, str) else "boolean" if isinstance(value, bool) else "number"


def check_type(name: str, bound: Bound, type: pa.DataType) -> None:
    """RecipeError where a column of this type cannot be bounded so; a source's own (`extra.NAME`) is cast instead."""
    is_number = pa.types.is_integer(type) or pa.types.is_floating(type) or pa.types.is_decimal(type)
    fits = {"text": pa.types.is_string(type), "number": is_number, "boolean": pa.types.is_boolean(type)}
    if not name.startswith("extra.") and not fits[bound.kind]:
        written = bound.model_dump(by_alias=True, exclude_unset=True)
        raise RecipeError(f"keep.{name} = {written}: wanted a column of kind {bound.kind}, {name} is {type}")


def held(value: Any, type: pa.DataType) -> Any:
    """What a column of this type makes of a value of a bound.

    >>> held(1.6, pa.float32()), held(1.6, pa.float64()), held("en", pa.string())
    (1.600000023841858, 1.6, 'en')
    """
    with np.errstate(over="ignore"):  # beyond float32's range lies infinity, on the right side of all numbers
        return float(np.float32(value)) if pa.types.is_float32(type) else value


def _not_empty(bounds: dict[str, Bound]) -> dict[str, Bound]:
    if not bounds:
        raise ValueError("at least one bound is needed, e.g. caption_words = { min = 3 }")
    return bounds


Bounds = Annotated[dict[str, Bound], AfterValidator(_not_empty)]


def verdict(frame: Any, bounds: dict[str, Bound]) -> Any:
    """`frame` (uid and one column per bound) -> uid, keep, drop_reason, drop_value: the first failing bound as written.

    For a column that is null, drop_value is the reason kept beside it (NAME__error) where there is one. Raises
    RecipeError where a bound and its column are of different kinds.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.types import to_arrow_type

    from curation.lists import listed

    for name, bound in bounds.items():
        check_type(name, bound, to_arrow_type(frame.schema[name].dataType))
        if bound.in_file is not None:
            values = listed(frame.sparkSession, bound.in_file).withColumn(f"{name}__listed", F.lit(True))
            frame = frame.join(values, F.col(f"`{name}`") == F.col("value"), "left").drop("value")
    reason, value = F.lit(None).cast("string"), F.lit(None).cast("string")
    for name, bound in reversed(bounds.items()):
        column = _typed(frame, name, bound)
        for failed, text, shown in reversed(_failures(frame, name, column, bound)):
            reason = F.when(failed, F.lit(text)).otherwise(reason)
            value = F.when(failed, shown).otherwise(value)
    return frame.select("uid", reason.alias("drop_reason"), value.alias("drop_value")).select(
        "uid", F.col("drop_reason").isNull().alias("keep"), "drop_reason", "drop_value"
    )


def _typed(frame: Any, name: str, bound: Bound) -> Any:
    """The column; a source's own column (`extra.NAME`, a string) is cast to the bound's type, uncastable is null."""
    from pyspark.sql import functions as F

    column = F.col(f"`{name}`")
    if not name.startswith("extra.") or bound.kind == "text":
        return column
    return column.try_cast("double" if bound.kind == "number" else "boolean")


def _failures(frame: Any, name: str, column: Any, bound: Bound) -> list[tuple[Any, str, Any]]:
    """(condition, reason, value shown) in the order they are tried."""
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.types import to_arrow_type

    type = to_arrow_type(frame.schema[name].dataType)
    error = F.col(f"`{name}__error`") if f"{name}__error" in frame.columns else F.lit(None)
    failures = [(column.isNull(), f"{name} is null", error.cast("string"))]
    floating = name.startswith("extra.") or pa.types.is_floating(type)
    if floating and bound.kind == "number":
        failures.append((F.isnan(column), f"{name} is NaN", F.lit("nan")))
        failures.append((F.abs(column) == F.lit(float("inf")), f"{name} is infinite", column.cast("string")))
    shown = column.cast("string")
    if bound.min is not None:
        failures.append((column < F.lit(held(bound.min, type)), f"{name}<{bound.min}", shown))
    if bound.max is not None:
        failures.append((column > F.lit(held(bound.max, type)), f"{name}>{bound.max}", shown))
    if bound.in_ is not None:
        listed = [held(value, type) for value in bound.in_]
        failures.append((~column.isin(listed), f"{name} not in {','.join(map(str, bound.in_))}", shown))
    if bound.in_file is not None:
        failures.append((F.col(f"`{name}__listed`").isNull(), f"{name} not in {bound.in_file}", shown))
    if bound.top_fraction is not None:
        failures.append((~_in_top(frame, column, bound), f"{name} not in top {bound.top_fraction}", shown))
    return failures


def _in_top(frame: Any, column: Any, bound: Bound) -> Any:
    """The condition that a row is in the top fraction."""
    from pyspark.sql import functions as F

    scores = cached(frame.select(column.cast("double").alias("score"), "uid").where(FINITE))
    last = nth_best(scores, lambda n: int(n * bound.top_fraction) - (bound.rule == "exact"))
    value = column.cast("double")
    if bound.rule == "datacomp" and last is not None:
        return value >= F.lit(last[0])
    return no_later(last, value)


def no_later(last: tuple[float, str] | None, score: Any) -> Any:
    """The condition on a column of scores and `uid` to stand at `last`, as `nth_best` gives it, or before it."""
    from pyspark.sql import functions as F

    if last is None:
        return F.lit(False)
    return (score > F.lit(last[0])) | ((score == F.lit(last[0])) & (F.col("uid") <= F.lit(last[1])))


def nth_best(scores: Any, index_of: Callable[[int], int]) -> tuple[float, str] | None:
    """(score, uid) at a place (from 0) in the order score descending, uid ascending; None if there is no such row.

    `index_of` gives the place for a number of rows. Exact and in bounded memory: the range of scores is narrowed by
    histograms until few rows are left, and only those come to the driver; equal scores are narrowed by uid.
    """
    from pyspark.sql import functions as F

    low, high, count = scores.agg(F.min("score"), F.max("score"), F.count("*")).first()
    index = index_of(count)
    if not 0 <= index < count:
        return None
    while count > COLLECTED and low < high:
        number = _bin_number(low, high)
        bins = scores.groupBy(number.alias("bin")).agg(F.count("*").alias("n"), F.min("score"), F.max("score"))
        for row in sorted(bins.collect(), key=lambda r: -r.bin):
            if index < row.n:
                break
            index -= row.n
        (_, count, low, high), scores = row, scores.where(number == row.bin)
    if count > COLLECTED:
        return low, _nth_uid(scores, index)
    rows = sorted((-r.score, r.uid) for r in scores.collect())
    return -rows[index][0], rows[index][1]


def _bin_number(low: float, high: float) -> Any:
    """Number of the bin of `score`, from 0; the lowest and the highest score are never in one bin."""
    from pyspark.sql import functions as F

    width = (high / 2 - low / 2) / RATIO_BINS  # of halves: the difference of the largest numbers is no number
    if width == 0:  # nor has that of the smallest ones a thousandth
        return (F.col("score") > low).cast("int")
    halves = F.col("score") / 2 - F.lit(low / 2)
    return F.least(F.floor(halves / F.lit(width)), F.lit(RATIO_BINS - 1)).cast("int")


def _nth_uid(rows: Any, index: int) -> str:
    """The uid at `index` in ascending order, found by its hex digits from the left."""
    from pyspark.sql import functions as F

    prefix = ""
    while len(prefix) < 32:
        digits = F.substring("uid", 1, len(prefix) + 3).alias("digits")
        counts = sorted(rows.where(F.col("uid").startswith(prefix)).groupBy(digits).count().collect())
        for row in counts:
            if index < row[1]:
                break
            index -= row[1]
        prefix = row[0]
    return prefix
