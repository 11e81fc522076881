"""The report of a release: one HTML page that holds everything it shows and asks for nothing, not even a script; and
the numbers before and after with their pictures, as files to be used elsewhere.
"""

import base64
import hashlib
import re
from importlib import resources
from typing import Any

from curation.files import committing, join
from curation.forgetting import FORGOTTEN
from curation.report.pairs import Pairs
from curation.shards.manifest import Release
from curation.shown import bound_text, plain, public, value_text

SAMPLE = 20_000  # pairs whose captions and values are read: shares are then good to half a percent, memory is flat
REASONS = 20  # bars in the picture of drops; the table has all


def report(out: str) -> dict[str, Any]:
    """Write OUT/report.html: funnel, drops, distributions, words before and after, lengths, samples kept and dropped,
    groups of duplicates, leaked evaluation pictures.

    And beside it OUT/report/NAME.parquet and NAME.png, numbers before and after and their picture: word_frequencies,
    caption_lengths (no picture), entry_counts (with match_entries), language_shares, sources (with mix_sources),
    associations (with weigh_attributes). The same release gives the same bytes. What the store or the pool no longer
    has is left out; a file made before stays.
    """
    from curation.report.plots import write_plot

    release = Release.open(out)
    sample = Pairs.sample(release, SAMPLE)
    tabled = _tabled(release, sample)
    names = [write_plot(out, section["plot"], release.mark) for section in tabled.values() if section]
    path = join(out, "report.html")
    with committing(path) as file:
        file.write(_render(_content(release, sample) | tabled).encode())
    return {"report": path, "files": names}


def _render(content: dict[str, Any]) -> str:
    from jinja2 import Environment, StrictUndefined

    from curation.report.charts import share

    text = (resources.files("curation.report") / "page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["thousands"] = "{:,}".format
    environment.filters["percent"] = lambda part: "–" if part is None else share(part, 1)
    page = environment.from_string(text).render(**content)
    # The one style sheet is allowed by its digest, so no other can get in.
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return page.replace("STYLE_DIGEST", digest, 1)


def _tabled(release: Release, sample: Pairs) -> dict[str, dict[str, Any] | None]:
    """The sections of the page that are files, too: each what the page says of it, with its `plot`, or None."""
    from curation.report.entries import entry_changes
    from curation.report.lengths import caption_lengths
    from curation.report.shares import association_changes, language_changes, source_changes
    from curation.report.words import word_changes

    return {
        "words": word_changes(sample),
        "lengths": caption_lengths(sample),
        "entries": entry_changes(release),
        "languages": language_changes(sample),
        "sources": source_changes(release),
        "associations": association_changes(release),
    }


def _content(release: Release, sample: Pairs) -> dict[str, Any]:
    from curation.report import charts
    from curation.report.copies import duplicate_groups, leaks
    from curation.report.distributions import distributions
    from curation.report.gallery import dropped_groups, kept_cards

    mark = release.mark
    pool, kept = mark["counts"]["pool"], mark["counts"]["kept"]
    drops = _drops(mark)
    top = sorted(drops, key=lambda d: -d["pairs"])[:REASONS]
    return {
        "recipe": mark["recipe"],
        "recipe_text": mark["recipe_text"],
        "subtitle": _subtitle(mark["recipe_text"]),
        "pool_uri": public(release.places["pool"]),
        "store_uri": public(release.places["store"]),
        "keys": {"release": mark["key"], "pool": mark["pool_key"]},
        "versions": mark["versions"],
        "counts": {"pool": pool, "kept": kept, "dropped": pool - kept, "shards": mark["counts"]["shards"]},
        "bytes": _size(sum(tar["bytes"] for tar in release.tars)),
        "kept_share": charts.share(kept, pool),
        "sampled": len(sample),
        "funnel": charts.bars(_funnel(mark), pool),
        "drops": drops,
        "drops_picture": charts.bars([(f"{d['step']}: {d['reason']}", 0, d["pairs"]) for d in top], pool),
        "distributions": distributions(sample),
        "phases": _phases(mark),
        "kept": kept_cards(release),
        "dropped": dropped_groups(sample),
        "duplicates": duplicate_groups(release),
        "leaks": leaks(release),
        "steps": _steps(mark),
        "signals": _signals(mark),
    }


def _phases(mark: dict[str, Any]) -> list[dict[str, Any]]:
    """The phases of training that the recipe asks for: their settings as text, and which shards each reads."""
    rows = []
    for phase in mark.get("phases", []):
        spans = [str(first) if first == last else f"{first} to {last}" for first, last in phase["shards"]]
        settings = [f"{k} = {value_text(v)}" for k, v in phase.items() if k not in ("name", "shards", "samples")]
        rows.append(phase | {"name": plain(phase["name"]), "shards": ", ".join(spans), "settings": settings})
    return rows


def _subtitle(recipe_text: str) -> str:
    """The comment with which a recipe begins, empty where there is none."""
    first = recipe_text.partition("\n")[0]
    return first.lstrip("# ") if first.startswith("#") else ""


def _funnel(mark: dict[str, Any]) -> list[tuple[str, int, int]]:
    steps = [(s["name"], s["rows_out"], s["rows_in"] - s["rows_out"]) for s in mark["stages"]]
    forgotten = mark.get(FORGOTTEN, 0)
    return [("pool", mark["counts"]["pool"] - forgotten, forgotten), *steps]


def _drops(mark: dict[str, Any]) -> list[dict[str, Any]]:
    from curation.report.charts import share

    rows = []
    if count := mark.get(FORGOTTEN, 0):  # before any step: the pool did not give them
        part = share(count, mark["counts"]["pool"])
        rows.append({"step": "pool", "reason": FORGOTTEN, "pairs": count, "share": part, "of_step": part})
    for step in mark["stages"]:
        for reason, n in sorted(step["drops"].items(), key=lambda item: (-item[1], item[0])):
            shares = {"share": share(n, mark["counts"]["pool"]), "of_step": share(n, step["rows_in"])}
            rows.append({"step": step["name"], "reason": plain(reason), "pairs": n} | shares)
    return rows


def _steps(mark: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": s["name"], "run": s["run"], "version": s["version"], "settings": _settings(s["settings"])}
        for s in mark["stages"]
    ]


def _settings(settings: dict[str, Any]) -> list[str]:
    """A line per setting; `out` is left out, so that equal releases in two folders have equal reports."""
    bounds = settings.get("keep")
    bounded = bounds is None or isinstance(bounds, dict)  # a stage may have a setting of that name that is none
    keep = [f"{name}: {bound_text(bound)}" for name, bound in (bounds or {}).items()] if bounded else []
    left_out = ("keep", "out") if bounded else ("out",)
    return keep + [f"{k} = {public(value_text(v))}" for k, v in settings.items() if k not in left_out]


def _signals(mark: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for name, signal in sorted(mark["signals"].items()):
        settings = [f"{k} = {public(value_text(v))}" for k, v in signal["settings"].items()]
        models = [_model(model) for model in signal.get("models", {}).values()]
        rows.append({"name": name, "settings": settings, "models": models, "stored": signal["stored"]})
    return rows


def _model(model: dict[str, Any]) -> str:
    """Name and digest of the weights, and what else of the model's record is short."""
    shown = [f"{k} {public(value_text(v))}" for k, v in sorted(model.items()) if isinstance(v, str | int | float)]
    return ", ".join(shown)


def _size(size: int) -> str:
    """Bytes in the largest unit that leaves a number of at least 1.

    >>> _size(999), _size(20_971_520)
    ('999 B', '21.0 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.1f} {unit}" if unit != "B" else f"{size} B"
        size /= 1000
    return f"{size:,.1f} TB"
