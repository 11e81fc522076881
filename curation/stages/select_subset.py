"""Thresholds: which pairs satisfy every bound of the recipe."""

from typing import Any

from curation.bounds import Bounds
from curation.bounds import verdict as bounds_verdict
from curation.schema import PAIRS, VERDICT
from curation.stage import stage


def _columns(settings: dict[str, Any]) -> list[str]:
    names = list(settings["keep"])
    return names + [f"{n}__error" for n in names if n not in PAIRS.names and not n.startswith("extra.")]


@stage(output=VERDICT.columns, version=2, pairs=_columns)
def select_subset(pairs: Any, *, keep: Bounds = ...) -> Any:
    """Keep the pairs that satisfy every bound of `keep`; drop_reason is the first failing bound as written.

    A bound names a signal (computed when needed), a pool column or `extra.NAME`: see curation.bounds.
    """
    return bounds_verdict(pairs, keep)
