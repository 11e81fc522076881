"""What a run will cost, measured on a sample of the pool before anything is spent."""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation import opt_outs, tables
from curation.errors import RecipeError
from curation.files import join
from curation.parts import write_part
from curation.pool import Pool
from curation.recipe import Recipe, load_recipe
from curation.report.parts import first_rows
from curation.run import run
from curation.schema import PAIRS, hex_id
from curation.session import scratch_folder, spark_session
from curation.shards.manifest import Release

LEAST = 40  # pairs of a sample: fewer say nothing of shares
WARM = (
    4  # the first runs see a quarter of the sample: one to start everything, one to tell fixed cost from cost per pair
)
# Settings that count pairs of the whole pool, by stage.
COUNTED = {
    "balance_entries": "t",
    "balance_worldwide": "t",
    "sample_budget": "size",
    "select_coverage": "size",
    "mix_sources": "budget",
}


def plan(recipe: str, pool: str, *, set: list[str] | None = None, sample: int = 2000) -> dict[str, Any]:
    """Estimate what `curate run RECIPE POOL` will keep, take and write here, by running it on SAMPLE pairs.

    The sample are the pairs of smallest uid, which are hashes; it is run in a folder that is deleted after. A step's
    time is a fixed part and one per pair, told apart by runs of two sizes; rows grow in proportion. Thresholds that
    count pairs (`t` of balancing, `size`, `budget`) are made smaller with the sample. Duplicates are rarer in a sample
    than in the whole: what is kept is an upper bound where duplicates are dropped. Bytes are those of the tars and of
    the store. model_hours are those of the steps that run a model, on the device that this machine has.
    """
    checked, opened = load_recipe(recipe, set), Pool.open(pool)
    rows = _sample(opened, sample)
    if len(rows) < LEAST:
        raise RecipeError(f"plan: {opened.uri} has {len(rows)} pairs, at least {LEAST} are wanted; just run it")
    downloads = any(step.spec.name == "download_images" for step in checked.steps)
    terms = opt_outs.of_pool(spark_session(), opened) if downloads else None
    with tempfile.TemporaryDirectory(prefix="curation-plan-", dir=scratch_folder()) as folder:
        runs = []
        for number, count in enumerate([len(rows) // WARM, len(rows) // WARM, len(rows)]):
            place = Path(folder, str(number))
            made = _pool(str(place / "pool"), rows.slice(0, count), terms)
            smaller = [*(set or []), *_counted(checked, count / opened.rows)]
            run(recipe, made, str(place / "out"), set=smaller)
            runs.append((count, _ledger(place / "out"), place))
        (fewer, before, _), (count, after, place) = runs[1:]
        steps = [_step(a, b, fewer, count, opened.rows) for a, b in zip(before, after)]
        found = _summary(steps, Release.open(str(place / "out")), place, opened.rows / count)
    for each in steps:
        told = f"{each['rows_in']:,} in, {each['rows_out']:,} out, {each['hours']:.3f} h"
        print(f"{each['name']}: {told}", file=sys.stderr)
    return {"pool": opened.uri, "pairs": opened.rows, "sample": count, **found, "steps": steps}


def _sample(pool: Pool, count: int) -> pa.Table:
    """The pairs of smallest uid that are to be used, ascending."""
    gone = pool.forgotten_pairs()["uid"].combine_chunks()
    found = [first_rows(folder, parts, PAIRS.names, count + len(gone)) for folder, parts in pool.tables()]
    table = pa.concat_tables(each for each in found if each is not None).sort_by("uid")
    return table.filter(pc.invert(pc.is_in(table["uid"], gone))).slice(0, count)


def _pool(uri: str, rows: pa.Table, terms: Any | None) -> str:
    """A pool of these pairs, with the TERMS on which pages show their images, where any are to be fetched."""
    key = hex_id(*rows["uid"].to_pylist())
    folder = join(uri, "pairs", key)
    part = write_part(folder, "all", rows.to_batches(), PAIRS.arrow).record()
    tables.write_done(folder, {"table": "pairs", "parts": [part]})
    said = None if terms is None else terms.where(terms["image_id"].isin(rows["image_id"].unique().to_pylist()))
    Pool(uri).with_part(opt_outs.write({"key": key, "content": key, "rows": len(rows)}, said, uri, len(rows)))
    return uri


def _counted(recipe: Recipe, share: float) -> list[str]:
    """The settings that count pairs, for a share of them."""
    found = [(s.name, name, s.settings[name]) for s in recipe.steps if (name := COUNTED.get(s.spec.name))]
    return [f"{step}.{name}={max(1, round(value * share))}" for step, name, value in found if value]


def _ledger(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "ledger.jsonl").read_text().splitlines()]


def _step(before: dict, after: dict, fewer: int, count: int, pairs: int) -> dict[str, Any]:
    """One step on all pairs, from what it did on two samples."""
    scale = pairs / count
    per_pair = max(0.0, (after["seconds"] - before["seconds"]) / (count - fewer))
    seconds = after["seconds"] + per_pair * (pairs - count)
    rows = {"rows_in": round(after["rows_in"] * scale), "rows_out": round(after["rows_out"] * scale)}
    return {"name": after["name"], **rows, "hours": round(seconds / 3600, 4), "signals": sorted(after["signals"])}


def _summary(steps: list[dict], release: Release, place: Path, scale: float) -> dict[str, Any]:
    modelled = {name for name, signal in release.mark["signals"].items() if signal.get("models")}
    hours = sum(step["hours"] for step in steps if modelled & {*step["signals"]})
    return {
        "kept": steps[-1]["rows_out"],
        "shard_bytes": round(sum(tar["bytes"] for tar in release.tars) * scale),
        "store_bytes": round(_bytes(place / "pool" / "store") * scale),
        "hours": round(sum(step["hours"] for step in steps), 3),
        "model_hours": round(hours, 3),
        "device": _device() if modelled else None,
        "cores": os.cpu_count(),
    }


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _device() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
