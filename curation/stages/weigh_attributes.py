"""M4: sample pairs so that sensitive attributes are represented, and associated with labels, as asked for."""

import re
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from curation.errors import RecipeError
from curation.schema import VERDICT, Column
from curation.stage import cached, stage, verdict
from curation.stages.sample_budget import uniforms

GROUPS = 1 << 16  # of equal attributes and labels that the solver takes: 16 of them at their worst
ASSOCIATIONS = (
    Column("attribute", pa.string(), "name of the attribute"),
    Column("label", pa.string(), "name of the label; empty for all pairs"),
    Column("pairs", pa.int64(), "pairs that have the label"),
    Column("share", pa.float64(), "share of these that have the attribute; null where there are none", True),
    Column("share_kept", pa.float64(), "the same by expected numbers after sampling", True),
)


class Trait(BaseModel):
    """What makes a pair have an attribute or a label: words in its caption, or a column's value."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    words: list[str] | None = Field(None, min_length=1)
    column: str | None = None
    min: float | None = None
    max: float | None = None
    in_: list[str | float | bool] | None = Field(None, alias="in", min_length=1)
    among: list[str] | None = Field(None, min_length=1)
    target: Annotated[float, Field(ge=0, le=1)] = 0.5

    @model_validator(mode="after")
    def _one_kind(self) -> "Trait":
        if (self.words is None) == (self.column is None):
            raise ValueError("give either words or column")
        if self.column is not None and self.min is None and self.max is None and self.in_ is None:
            raise ValueError("a column needs min, max or in")
        return self

    def symbol(self) -> Any:
        """1 where a pair has it, 0 where it has not (no value, no trait), - where it does not apply."""
        from pyspark.sql import functions as F

        applies = F.lit(True) if self.among is None else _holds(self.among)
        return F.when(~applies, F.lit("-")).when(self._condition(), F.lit("1")).otherwise(F.lit("0"))

    def _condition(self) -> Any:
        from pyspark.sql import functions as F

        if self.words is not None:
            return _holds(self.words)
        column = F.col(f"`{self.column}`")
        number = column.try_cast("double")
        value = F.when(~F.isnan(number), number)  # Spark orders NaN above every number
        found = F.lit(True) if self.in_ is None else self._listed(column, value)
        found = found if self.min is None else found & (value >= _held(self.min, column))
        return found if self.max is None else found & (value <= _held(self.max, column))

    def _listed(self, column: Any, value: Any) -> Any:
        """Whether a column, as text and as a number, is one of `in`: 1 is also 1.0 and "1", true as Spark writes it."""
        texts = [str(v).lower() if isinstance(v, bool) else v for v in self.in_ if not isinstance(v, float)]
        numbers = [_held(v, column) for v in self.in_ if isinstance(v, float)]
        return column.cast("string").isin(texts) | value.isin(numbers)


def _held(number: float, column: Any) -> Any:
    """The number as a column of its type holds it: see curation.bounds."""
    from pyspark.sql import functions as F

    return F.when(F.typeof(column) == "float", F.lit(number).cast("float")).otherwise(F.lit(number))


def _holds(words: list[str]) -> Any:
    """Whether the caption holds one of these words, whole and whatever their case."""
    from pyspark.sql import functions as F

    pattern = "|".join(re.escape(word.lower()) for word in words)
    return F.lower("caption").rlike(rf"(?<![\p{{L}}\p{{N}}])(?:{pattern})(?![\p{{L}}\p{{N}}])")


def _not_attributes(labels: dict[str, Trait]) -> dict[str, Trait]:
    for name, label in labels.items():
        if given := sorted({"among", "target"} & label.model_fields_set):
            raise ValueError(f"{name}: {given} is for attributes; a label is there or not")
    return labels


Traits = dict[str, Trait]
Labels = Annotated[Traits, AfterValidator(_not_attributes)]


def _columns(settings: dict[str, Any]) -> list[str]:
    # The settings of a ledger are plain dictionaries.
    traits = [Trait.model_validate(t) for t in (*settings["attributes"].values(), *(settings["labels"] or {}).values())]
    return ["caption", *dict.fromkeys(t.column for t in traits if t.column is not None)]


@stage(
    output=(*VERDICT.columns, Column("keep_probability", pa.float64(), "with which M4 keeps the pair, in [0, 1]")),
    tables={"associations": ASSOCIATIONS},
    ledger="associations",
    version=4,
    pairs=_columns,
)
def weigh_attributes(
    pairs: Any,
    *,
    attributes: Traits = ...,
    labels: Labels | None = None,
    keep_share: Annotated[float, Field(gt=0, le=1)] = 0.5,
    max_representation_bias: Annotated[float, Field(ge=0)] = 0.01,
    max_association_bias: Annotated[float, Field(ge=0)] = 0.01,
    max_price: Annotated[float | None, Field(gt=0)] = None,
    seed: int = 0,
) -> Any:
    """Keep each pair with a probability so that every attribute has its `target` share, also among those of a label.

    M4 of "CLIP the Bias" (arXiv:2403.04547): KEEP_SHARE of the pairs stay in the mean; in shares of the pool,
    MAX_REPRESENTATION_BIAS bounds by how much an attribute misses its target, MAX_ASSOCIATION_BIAS the same together
    with a label; MAX_PRICE, if given, gives up constraints that cost more. A trait is `{ words = [...] }`, whole words
    in the caption whatever their case, or `{ column = NAME, min, max or in }`; an attribute may count only `among`
    captions that hold one of some words. Draws are keyed by (seed, uid). Side table `associations`, which the ledger
    repeats; drop_value is the probability.
    """
    from pyspark.sql import functions as F

    labels = labels or {}
    traits = [*attributes.values(), *labels.values()]
    bits = F.concat(*(t.symbol() for t in traits))
    grouped = cached(pairs.withColumn("_group", bits).select("uid", "_group"))
    counts = dict(grouped.groupBy("_group").count().limit(GROUPS + 1).collect())
    if len(counts) > GROUPS:
        raise RecipeError(f"weigh_attributes: over {GROUPS} groups of equal attributes and labels; name fewer")
    names = sorted(counts)
    bounds = (keep_share, max_representation_bias, max_association_bias, max_price)
    weights = _weights(names, [counts[n] for n in names], [t.target for t in attributes.values()], bounds)
    spark = pairs.sparkSession
    table = spark.createDataFrame(pa.table({"_group": names, "keep_probability": weights}))
    weighed = grouped.join(F.broadcast(table), "_group").join(uniforms(pairs, "weigh_attributes", seed), "uid")
    reason = F.when(-F.col("score") >= F.col("keep_probability"), F.lit("weighed_out"))
    summary = _associations(names, np.array([counts[n] for n in names]), weights, list(attributes), list(labels))
    return verdict(weighed, reason, F.col("keep_probability")), {"associations": spark.createDataFrame(summary)}


def _weights(names: list[str], counts: list[int], targets: list[float], bounds: tuple) -> np.ndarray:
    from curation.methods import attribute_weights

    if not names:
        return np.zeros(0)
    traits = _matrix(names)
    keep_share, representation, association, price = bounds
    s, y = np.split(traits, [len(targets)], axis=1)
    return attribute_weights(
        s, y, targets, keep_share, representation, association, V=np.inf if price is None else price, counts=counts
    )


def _associations(
    names: list[str], counts: np.ndarray, weights: np.ndarray, attributes: list[str], labels: list[str]
) -> pa.Table:
    traits = _matrix(names).reshape(len(names), len(attributes) + len(labels))
    rows = []
    for k, attribute in enumerate(attributes):
        for r, label in enumerate(["", *labels]):
            have = counts * ~np.isnan(traits[:, k]) * (traits[:, len(attributes) + r - 1] if label else 1)
            row = {"attribute": attribute, "label": label, "pairs": int(have.sum())}
            rows.append(row | {"share": _share(have, traits[:, k]), "share_kept": _share(have * weights, traits[:, k])})
    return pa.Table.from_pylist(rows, pa.schema([(c.name, c.type) for c in ASSOCIATIONS]))


def _share(numbers: np.ndarray, has: np.ndarray) -> float | None:
    return float(numbers @ np.nan_to_num(has) / numbers.sum()) if numbers.sum() else None


def _matrix(names: list[str]) -> np.ndarray:
    """Traits of each group, 0, 1 or NaN where one does not apply."""
    return np.array([[np.nan if symbol == "-" else float(symbol) for symbol in name] for name in names])
