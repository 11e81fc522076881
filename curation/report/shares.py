"""Languages, sources and attributes: what share each has before a step and after."""

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation.methods.lengths import UNDETERMINED
from curation.report.charts import Panel, compared, share
from curation.report.pairs import Pairs
from curation.report.plots import ASSOCIATIONS, LANGUAGE_SHARES, SOURCES, Plot
from curation.schema import Table
from curation.shards.manifest import Release
from curation.shown import plain

SHOWN = 40  # rows in a picture and in a table of the page; the file has all
BEFORE_AFTER = ("before", "after")
HALF = 0.5  # target of an attribute that the recipe does not give one: the default of weigh_attributes


def language_changes(sample: Pairs) -> dict[str, Any] | None:
    """What the page says of languages, with their `plot`: as balance_worldwide counted them; without that step, as
    the first step that asks for the language of captions found them in the sample; where none asks, as the packaged
    model says of the sample. None where nothing of these is there.
    """
    release = sample.release
    rows = _repeated(release, "languages")
    pairs = of = release.mark["counts"]["pool"]
    if not rows:
        rows, pairs = _predicted(sample), len(sample)
    if not rows:
        return None
    rows = _with_shares(rows, ["language"])
    rows = [row | {"kept_share": _part(row["pairs_kept"], row["pairs"])} for row in rows]
    shown = rows[:SHOWN]
    panels = [Panel("share of the pairs", _values(shown, "share_kept"), _values(shown, "share"))]
    if any(row.get("t") is not None for row in rows):
        notes = ["" if row.get("t") is None else f"t {row['t']:,}" for row in shown]
        tails = (_values(shown, "tail_share_kept"), _values(shown, "tail_share"))
        panels.append(Panel("share of matches in the tail", *tails, notes=notes))
    kept = [f"{row['pairs_kept']:,}" for row in shown]
    panels.append(Panel("kept of its pairs", _values(shown, "kept_share"), notes=kept))
    return _told(LANGUAGE_SHARES, rows, _labels(rows, ["language"]), panels, (pairs, of))


def source_changes(release: Release) -> dict[str, Any] | None:
    """What the page says of the sources that mix_sources mixed, with their `plot`; None without it."""
    rows = _with_shares(_repeated(release, "sources"), ["source"])
    if not rows:
        return None
    shown = rows[:SHOWN]
    total = Counter()
    for row in rows:
        total[row["step"]] += row["weight"]
    targets = [_part(row["weight"], total[row["step"]]) for row in shown]
    kept = [share(row["pairs_kept"], row["pairs"]) for row in shown]
    sides = (_values(shown, "share_kept"), _values(shown, "share"))
    shares = Panel("share of the pairs, and by weight (|)", *sides, targets)
    part = [_part(row["pairs_kept"], row["pairs"]) for row in shown]
    panels = [shares, Panel("kept of its pairs", part, notes=kept)]
    return _told(SOURCES, rows, _labels(rows, ["source"]), panels, _all(release))


def association_changes(release: Release) -> dict[str, Any] | None:
    """What the page says of the attributes that weigh_attributes balanced, with their `plot`; None without it."""
    settings = {step["name"]: step["settings"] for step in release.mark["stages"]}
    rows = []
    for row in _repeated(release, "associations"):
        rows.append(row | {"target": settings[row["step"]]["attributes"][row["attribute"]].get("target", HALF)})
    if not rows:
        return None
    shown = rows[:SHOWN]
    sides = (_values(shown, "share_kept"), _values(shown, "share"), _values(shown, "target"))
    panel = Panel("share that has the attribute, and its target (|)", *sides, notes=[f"{r['pairs']:,}" for r in shown])
    return _told(ASSOCIATIONS, rows, _labels(rows, ["attribute", "label"]), [panel], _all(release))


def _repeated(release: Release, table: str) -> list[dict[str, Any]]:
    """The rows that the ledger repeats of a step's side table, of every step that has one of this name."""
    return [{"step": s["name"]} | row for s in release.mark["stages"] for row in s.get(table, [])]


def _predicted(sample: Pairs) -> list[dict[str, Any]]:
    """Pairs by language of the sample: those that came to the first step that asks for it, and the kept ones.

    Where none asks: those that came to the first step.
    """
    stages = sample.release.mark["stages"]
    number = next((n for n, s in enumerate(stages) if "language_prediction" in s.get("signals", {})), 0)
    languages = sample.column("caption_language", number)
    if pa.types.is_null(languages.type) or languages.null_count == len(languages):
        return []  # pool or store does not have them any more
    languages = pc.fill_null(languages, UNDETERMINED)
    before = Counter(languages.filter(sample.reached(number)).to_pylist())
    after = Counter(languages.filter(sample.kept).to_pylist())
    named = {"step": stages[number]["name"]}
    return [named | {"language": k, "pairs": n, "pairs_kept": after[k]} for k, n in before.items()]


def _with_shares(rows: list[dict[str, Any]], names: list[str]) -> list[dict[str, Any]]:
    """`rows` with `share` and `share_kept` among those of their step, which come in order, the largest first."""
    steps = list(dict.fromkeys(row["step"] for row in rows))
    pairs, kept = Counter(), Counter()
    for row in rows:
        pairs[row["step"]] += row["pairs"]
        kept[row["step"]] += row["pairs_kept"]
    ordered = sorted(rows, key=lambda r: (steps.index(r["step"]), -r["pairs"], *(r[n] for n in names)))
    shared = []
    for row in ordered:
        before, after = _part(row["pairs"], pairs[row["step"]]), _part(row["pairs_kept"], kept[row["step"]])
        shared.append(row | {"share": before or 0.0, "share_kept": after})
    return shared


def _part(part: float, total: float) -> float | None:
    return part / total if total else None


def _values(rows: list[dict[str, Any]], name: str) -> list[float | None]:
    return [row.get(name) for row in rows]


def _labels(rows: list[dict[str, Any]], names: list[str]) -> list[str]:
    """What a row is called: its names, after that of its step where there is more than one."""
    several = len({row["step"] for row in rows}) > 1
    return [plain(" · ".join([row["step"]] * several + [row[n] for n in names if row[n]])) for row in rows]


def _all(release: Release) -> tuple[int, int]:
    return release.mark["counts"]["pool"], release.mark["counts"]["pool"]


def _told(
    table: Table, rows: list[dict[str, Any]], labels: list[str], panels: list[Panel], counts: tuple[int, int]
) -> dict[str, Any]:
    picture = compared(labels[:SHOWN], panels, BEFORE_AFTER)
    shown = [row | {"label": label} for row, label in zip(rows[:SHOWN], labels)]
    return {"plot": Plot.of_rows(table, rows, picture, *counts), "rows": shown, "others": max(0, len(rows) - SHOWN)}
