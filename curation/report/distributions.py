"""How the values that a recipe bounds are spread over the sample, each bound beside them."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.bounds import held
from curation.report.charts import bars, histogram
from curation.report.pairs import Pairs
from curation.report.parts import whole
from curation.shown import bound_text, plain

TOP_VALUES = 15  # bars of a column of names
EMPTY = {"picture": None, "failed": 0, "beyond": 0, "others": 0, "estimated": False}


def distributions(sample: Pairs) -> list[dict[str, Any]]:
    """One entry per bound of the recipe, in its order: step, name, bound, picture, and what the numbers say."""
    found = []
    for number, step in enumerate(sample.release.mark["stages"]):
        if step["run"] == "select_subset":
            reached = sample.reached(number)
            for name, bound in step["settings"]["keep"].items():
                values = sample.column(name, number).filter(reached)
                entry = {"step": step["name"], "name": name, "bound": bound_text(bound)}
                found.append(entry | _distribution(values, bound, _last_dropped(sample, step, name)))
    return found


def _distribution(values: pa.Array, bound: dict[str, Any], last_dropped: float | None) -> dict[str, Any]:
    present = values.drop_null()
    result = {"pairs": len(values), "null": len(values) - len(present)} | EMPTY
    if not len(present) or "in_file" in bound:  # what the file lists is not looked up for a page
        return result
    if "in" in bound:
        return result | _names(present.to_pylist(), [held(value, values.type) for value in bound["in"]])
    numbers = _numbers(present)
    finite = numbers[np.isfinite(numbers)]
    if not len(finite):
        return result
    passed, lines = _passing(finite, bound, last_dropped, values.type)
    picture, beyond = histogram(finite, passed, lines, pa.types.is_integer(values.type))
    failed = len(numbers) - int(passed.sum())
    return result | {
        "picture": picture,
        "beyond": beyond,
        "failed": failed,
        "estimated": "top_fraction" in bound and last_dropped is not None,
    }


def _numbers(values: pa.Array) -> np.ndarray:
    """float64, NaN for what is no number: a source's own column comes as text."""
    if pa.types.is_string(values.type):
        return np.array([_number(v) for v in values.to_pylist()], np.float64)
    return values.cast(pa.float64()).to_numpy(zero_copy_only=False)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _passing(
    values: np.ndarray, bound: dict[str, Any], last_dropped: float | None, type: pa.DataType
) -> tuple[np.ndarray, list[float]]:
    """Which values pass, and where the bound is drawn: between two whole numbers where the values are such."""
    if "top_fraction" in bound:
        if last_dropped is None:
            return np.ones(len(values), bool), []
        return values > held(last_dropped, type), [last_dropped]
    low, high = held(bound.get("min", -np.inf), type), held(bound.get("max", np.inf), type)
    margin = 0.5 if pa.types.is_integer(type) else 0
    lines = [x for x in (low - margin, high + margin) if np.isfinite(x)]
    return (values >= low) & (values <= high), lines


def _last_dropped(sample: Pairs, step: dict[str, Any], name: str) -> float | None:
    """The highest value in the sample that was not in the top fraction: where the bound came to lie, nearly."""
    verdicts = sample.verdicts
    here = pc.equal(verdicts["drop_stage"], step["name"])
    low = pc.starts_with(verdicts["drop_reason"], f"{name} not in top ")
    shown = whole(verdicts["drop_value"].filter(pc.fill_null(pc.and_(here, low), False)))
    return max((_number(v) for v in shown.drop_null().to_pylist()), default=None)


def _names(values: list[Any], wanted: list[Any]) -> dict[str, Any]:
    ordered = sorted(Counter(values).items(), key=lambda item: (-item[1], str(item[0])))
    rows = [(plain(str(value)), *((n, 0) if _among(value, wanted) else (0, n))) for value, n in ordered]
    picture = bars(rows[:TOP_VALUES], len(values), width=520)
    failed = sum(dropped for _, _, dropped in rows)
    return {"picture": picture, "failed": failed, "others": max(0, len(rows) - TOP_VALUES)}


def _among(value: Any, wanted: list[Any]) -> bool:
    """Whether a value is listed; a source's own column comes as text also where numbers are listed."""
    return value in wanted or (isinstance(value, str) and _number(value) in wanted)
