"""A pool, a store and a release made by hand, as the pipeline lays them out, for the readers of releases. No Spark.

`make_release(folder)` gives a Made: where the release lies, and what became of each pair.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curation import tables
from curation.compute import signal_schema
from curation.files import join
from curation.parts import write_part
from curation.pool import Pool
from curation.records import read_record, write_record
from curation.report.parts import digests
from curation.schema import PAIRS, SHARDS, SUBSET, hex_id
from curation.shards.writer import shard_record, write_release_shard
from curation.signals import SIGNALS
from curation.stages import STAGES
from curation.stages.write_shards import CARRIED
from tests.made_pool import ENTRIES, make_pool, write_table

RECIPE = """# made by hand
[signals.second_score]
of = "clip_score"
[[stage]]
run = "clean_captions"
"""


@dataclass
class Made:
    """`fate` gives (step, reason, value) of each uid, None where it was kept; `pairs` the rows of the pool."""

    out: str
    pool: str
    pairs: dict[str, dict]
    fate: dict[str, tuple | None] = field(default_factory=dict)

    def dropped(self, reason: str) -> list[str]:
        return sorted(u for u, f in self.fate.items() if f and f[1] == reason)

    @property
    def kept(self) -> list[str]:
        return sorted(u for u, f in self.fate.items() if f is None)


@dataclass
class Maker:
    """A release under construction: `rows` are the pairs that are left, with the columns made so far."""

    made: Made
    store: str
    rows: list[dict]
    digits: int
    stages: list[dict] = field(default_factory=list)
    signals: dict[str, Any] = field(default_factory=dict)

    def signal(self, name: str, values: dict[str, Any], *, of: str | None = None, error: str | None = None) -> None:
        """Store values by uid, or by image_id where the signal is of the picture; in two parts, with a stale row."""
        spec = SIGNALS[of or name].spec
        of_image = spec.name.startswith("image_")
        inputs = [] if of_image else [pa.array([r["caption"] for r in self.rows], pa.string())]
        listed = []
        for row, digest in zip(self.rows, digests(inputs, len(self.rows)).to_pylist()):
            value = values[row["uid"]]
            told = {"value": value, "error": error if value is None else None}
            listed.append({"id": row["image_id" if of_image else "uid"], "digest": digest} | told)
        stale = [] if of_image or not listed else [listed[0] | {"digest": 7, "value": listed[-1]["value"]}]
        key = hex_id("signal", name)
        folder = join(self.store, "signals", f"{spec.name}-{key}")
        parts = []
        for number, rows in enumerate((stale + listed[::3], [r for i, r in enumerate(listed) if i % 3])):
            batch = pa.RecordBatch.from_pylist(sorted(rows, key=lambda r: r["id"]), signal_schema(spec.type))
            parts.append(write_part(folder, f"part{number}", [batch], batch.schema).record())
        models = {"clip": {"name": "made-clip", "digest": "ab" * 32, "dim": 4}} if "clip" in spec.name else {}
        tables.write_done(folder, {"parts": parts, "models": models})
        self.signals[name] = {"of": spec.name, "key": key, "settings": {}, "stored": True, "models": models}

    def step(
        self, name: str, run: str, settings: dict, verdict: Any, columns: Any = None, signals: tuple[str, ...] = ()
    ) -> None:
        """One stage: `verdict(row)` is None or (reason, value), `columns(row)` what the stage adds."""
        schema = STAGES[run].spec.schema(settings)
        table, counts = [], {}
        for row in self.rows:
            row |= columns(row) if columns else {}
            reason, value = verdict(row) or (None, None)
            row |= {"keep": reason is None, "drop_reason": reason, "drop_value": value}
            counts[reason] = counts.get(reason, 0) + 1
            table.append({n: row.get(n) for n in schema.names})
        key = hex_id(name, self.made.out)
        folder = join(self.made.out if run == "write_shards" else self.store, "stages", f"{run}-{key}")
        kept = counts.pop(None, 0)
        sides = self._entry_counts(folder) if run == "match_entries" else {}
        record = {"stage": run, "rows": len(table), "kept": kept, "drops": counts, "tables": sides}
        write_table(folder, table, schema, self.digits, record)
        entry = {"name": name, "run": run, "version": 1, "settings": settings, "key": key}
        entry |= {"signals": {name: {} for name in signals}}
        self.stages.append(entry | {"drops": counts, "rows_in": len(table), "rows_out": kept, "on": []})
        for row in self.rows:
            if not row["keep"]:
                self.made.fate[row["uid"]] = (name, row["drop_reason"], row["drop_value"])
        self.rows = [row for row in self.rows if row["keep"]]

    def _entry_counts(self, folder: str) -> dict[str, list[dict]]:
        counts = np.bincount([e for row in self.rows for e in row["entries"]], minlength=len(ENTRIES))
        named = [{"entry_id": i, "language": "", "entry": e} for i, e in enumerate(ENTRIES)]
        rows = [row | {"count": int(c)} for row, c in zip(named, counts)]
        fields = [pa.field(c.name, c.type, c.nullable) for c in STAGES["match_entries"].spec.tables["entry_counts"]]
        batch = pa.RecordBatch.from_pylist(rows, pa.schema(fields))
        part = write_part(join(folder, "entry_counts"), "all", [batch], batch.schema)
        return {"entry_counts": [part.record()]}


def run_steps(maker: Maker, least_words: int) -> None:
    """A recipe in miniature: every kind of stage that a report shows."""
    maker.step("clean_captions", "clean_captions", {}, _blank, _cleaned)
    languages = {r["uid"]: {"language": "de" if "Haus" in r["caption"] else "en", "score": 0.9} for r in maker.rows}
    maker.signal("language_prediction", languages)
    keep = {"caption_words": {"min": least_words}, "caption_language": {"in": ["en"]}, "extra.views": {"min": 0}}
    read = ("language_prediction",)
    maker.step("text", "select_subset", {"keep": keep}, lambda r: _text(r, languages, least_words), signals=read)
    sides = {r["uid"]: _side(r["document"]) for r in maker.rows}
    maker.signal("image_min_side_px", sides, error="decode_error: made")
    keep = {"image_min_side_px": {"min": 32}}
    maker.step("pixels", "select_subset", {"keep": keep}, lambda r: _pixels(sides[r["uid"]]))
    scores = {r["uid"]: int(r["uid"][:4], 16) / 65536 for r in maker.rows}
    maker.signal("clip_score", scores)
    maker.signal("second_score", {u: -s for u, s in scores.items()}, of="clip_score")
    last = sorted(scores.values(), reverse=True)[max(0, int(len(scores) * 0.8) - 1) :][:1] or [0]
    keep = {"clip_score": {"top_fraction": 0.8}, "second_score": {"max": 0.0}}
    maker.step("scores", "select_subset", {"keep": keep}, lambda r: _scored(scores[r["uid"]], last[0]))
    maker.step("match_entries", "match_entries", {"metadata": "made", "mode": "metaclip1"}, _unmatched, _entries)
    maker.step(
        "balance_entries", "balance_entries", {"t": 20, "seed": 0}, _thinned, lambda r: {"keep_probability": 0.25}
    )


def _blank(row: dict) -> tuple | None:
    return None if row["caption"].strip() else ("empty_caption", "")


def _cleaned(row: dict) -> dict:
    return {"caption_raw": row["caption"], "caption": " ".join(row["caption"].split())}


def _scored(score: float, last: float) -> tuple | None:
    return None if score >= last else ("clip_score not in top 0.8", str(score))


def _entries(row: dict) -> dict:
    return {"entries": [i for i, e in enumerate(ENTRIES) if e in row["caption"].split()], "entry_language": ""}


def _unmatched(row: dict) -> tuple | None:
    return None if row["entries"] else ("no_entry", row["caption"])


def _thinned(row: dict) -> tuple | None:
    return ("balanced_out", "0.25") if row["uid"][-1] in "0123" else None


def _text(row: dict, languages: dict, least: int) -> tuple | None:
    words = len(row["caption"].split())
    if words < least:
        return f"caption_words<{least}", str(words)
    return ("caption_language not in en", "de") if languages[row["uid"]]["language"] == "de" else None


def _side(document: str) -> int | None:
    number = int(document.split()[1])
    return None if number % 17 == 16 else 40 if number % 11 else 20


def _pixels(side: int | None) -> tuple | None:
    if side is None:
        return "image_min_side_px is null", "not_an_image: made"
    return ("image_min_side_px<32", str(side)) if side < 32 else None


def write_shards(maker: Maker, per_shard: int) -> tuple[list[dict], list[dict]]:
    """The shards through the pipeline's own writer, and the step that writes them."""
    schema = pa.schema([*(PAIRS.arrow.field(n) for n in CARRIED), pa.field("clip_score", pa.float64())])
    shards, errors = {}, {}
    for place, row in enumerate(sorted(maker.rows, key=lambda r: r["uid"][::-1])):
        row |= {"shard": place // per_shard, "clip_score": 0.25}
        shards.setdefault(row["shard"], []).append({n: row[n] for n in schema.names})
    records = []
    for number, rows in shards.items():
        table = pa.Table.from_pylist(rows, schema)
        uri = shard_record(maker.made.out, number)
        found = write_release_shard(maker.made.out, number, table, ["clip_score"])
        errors |= {r["uid"]: e for r, e in zip(rows, found.to_pylist()) if e}
        records.append(read_record(uri))
    settings = {"samples_per_shard": per_shard, "signals": ["clip_score"], "seed": 0, "out": maker.made.out}

    def unreadable(row: dict) -> tuple | None:
        return ("unreadable_image", errors[row["uid"]]) if row["uid"] in errors else None

    maker.step("write_shards", "write_shards", settings, unreadable)
    return [r["tar"] for r in records], [r["samples"] for r in records]


def make_release(
    folder: Path, *, size: int = 120, first: int = 0, digits: int = 0, least_words: int = 2, shards: bool = True
) -> Made:
    """Write folder/pool and folder/out from the pairs numbered first to first + size."""
    pool, out = folder / "pool", str(folder / "out")
    rows = make_pool(pool, size, first, digits)
    made = Made(out, str(pool), {r["uid"]: dict(r) for r in rows}, {r["uid"]: None for r in rows})
    maker = Maker(made, str(pool / "store"), rows, digits)
    run_steps(maker, least_words)
    tars, samples = write_shards(maker, 25) if shards else ([], [])
    verdicts = [
        dict(zip(SUBSET.names, (uid, fate is None, *(fate or (None, None, None))))) for uid, fate in made.fate.items()
    ]
    subset = write_table(join(out, "subset"), verdicts, SUBSET.arrow, digits, {})
    write_mark(maker, size, tars, samples, subset)
    return made


def write_mark(maker: Maker, size: int, tars: list[dict], samples: list[dict], subset: list[dict]) -> None:
    """The table of shards and release.json, which makes it a release."""
    out = maker.made.out
    sizes = [{"shard": n, "samples": t["rows"], "bytes": t["bytes"], "sha256": t["sha256"]} for n, t in enumerate(tars)]
    batch = pa.RecordBatch.from_pylist(sizes, SHARDS.arrow)
    shards = write_part(join(out, "manifest", "shards"), "00000000", [batch], SHARDS.arrow).record()
    mark = {
        "schema_version": 1,
        "recipe": "made",
        "recipe_text": RECIPE,
        "key": "11" * 16,
        "pool_key": Pool.open(maker.made.pool).key,
        "versions": {"curation": "0.1.0"},
        "counts": {"pool": size, "kept": len(maker.made.kept), "shards": len(tars)},
        "stages": maker.stages,
        "signals": maker.signals,
        "samples": samples,
        "tars": tars,
        "shards": [shards | {"name": f"manifest/shards/{shards['name']}"}],
        "subset": [p | {"name": f"subset/{p['name']}"} for p in subset],
    }
    write_record(join(out, "recipe.json"), {"recipe": "made", "pool": maker.made.pool, "store": maker.store})
    write_record(join(out, "manifest", "release.json"), mark)
