"""A pool, a store and a release made by hand, as the pipeline lays them out: for the readers of releases, without Spark.

`make_release(folder)` gives a Made: where the release lies, and what became of each pair.
"""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from curation import tables
from curation.compute import signal_schema
from curation.files import join, write_json
from curation.pool import Pool
from curation.release import shard_record
from curation.report.parts import digests
from curation.schema import PAIRS, SHARDS, SUBSET, hex_id
from curation.shards.writer import write_release_shard
from curation.signals import SIGNALS
from curation.stages import STAGES

HOSTILE = [
    "<script>alert(1)</script> a red house",
    '"><img src=x onerror="alert(2)"> a blue house',
    "\x1b[31ma green\x1b[0m house\nwith a second line",
    "a \u202ehouse\u202c turned round {{ 7 * 7 }} $\\frac{1}{2}$",
    "</style><style>*{display:none}</style> a white house",
    "a house \ud55c\uad6d\uc5b4 \u0627\u0644\u0639\u0631\u0628\u064a\u0629 and '=HYPERLINK(\"http://evil.example\")'",
]
ENTRIES = ["house", "red", "blue", "green", "number"]
SECRET_URL = "https://me:hunter2@example.com/a.jpg?w=1&token=t0ps3cret"
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


def encoded(number: int) -> bytes:
    """A small picture; every 13th is cut short, every 17th no picture at all."""
    if number % 17 == 16:
        return b"<html>not found</html>"
    pixels = np.full((40 if number % 11 else 20, 60 + number % 5, 3), (number * 37 % 256, 90, 200), np.uint8)
    pixels[: number % 20] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, ("JPEG", "PNG", "WEBP")[number % 3])
    return file.getvalue()[: 300 if number % 13 == 12 else None]


def caption(number: int) -> str:
    if number % 10 == 9:
        return ("x", "ein Haus am See im Wald", "  ")[number // 10 % 3]
    if number % 5 == 4:
        return HOSTILE[number // 5 % len(HOSTILE)]
    return f"a {ENTRIES[1 + number % 3]} house with the number {number}"


def make_pool(folder: Path, size: int, first: int, digits: int) -> list[dict]:
    """The rows of a pool in two parts, pictures end to end in one file."""
    folder.mkdir(parents=True, exist_ok=True)
    data = [encoded(n) for n in range(first, first + size)]
    images = folder / "images" / "made.tar"
    images.parent.mkdir()
    images.write_bytes(b"".join(data))
    offsets = np.cumsum([0, *map(len, data)])
    rows = []
    for place, number in enumerate(range(first, first + size)):
        pointer = {"uri": str(images), "offset": int(offsets[place]), "length": len(data[place])}
        url = ("javascript:alert(3)", SECRET_URL, f"https://example.com/{number}.jpg")[min(number % 7, 2)]
        row = dict.fromkeys(PAIRS.names) | {"image": pointer, "caption": caption(number), "url": url}
        row |= {"uid": hex_id(f"made:{number}", caption(number)), "image_id": hex_id(f"made:{number}")}
        row |= {"caption_kind": "alt", "source": "made", "kind": "table", "source_uri": "/data/made.parquet"}
        row |= {"document": f"row {number}", "repeats": 1 + number % 2, "extra": [("views", str(number))]}
        rows.append(row)
    pool = Pool(str(folder))
    for half in (rows[::2], rows[1::2]):
        key = hex_id(*(r["uid"] for r in half))
        write_table(join(str(folder), "pairs", key), half, PAIRS.arrow, digits, {})
        pool = pool.with_part({"key": key, "content": key, "rows": len(half)})
    return rows


def write_table(folder: str, rows: list[dict], schema: pa.Schema, digits: int, record: dict) -> list[dict]:
    """A committed table in parts by uid prefix, each sorted by uid; the records of the parts."""
    starts = sorted({r["uid"][:digits] for r in rows}) if digits else [""]
    parts = []
    for start in starts:
        here = sorted((r for r in rows if r["uid"].startswith(start)), key=lambda r: r["uid"])
        batch = pa.RecordBatch.from_pylist(here, schema)
        parts.append(tables.write_part(folder, start or "all", [batch], schema).record())
    tables.write_done(folder, record | {"parts": parts, "columns": schema.names})
    return parts


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
        """Store values by uid, or by image_id where the signal is of the picture; in two parts, and a stale row."""
        function = SIGNALS[of or name]
        of_image = function.spec.name.startswith("image_")
        names = [("image_id" if of_image else "uid"), "caption"]
        rows = [(r[names[0]], None if of_image else r["caption"], values[r["uid"]]) for r in self.rows]
        key = hex_id("signal", name)
        folder = join(self.store, "signals", f"{function.spec.name}-{key}")
        found = digests([] if of_image else [pa.array([r[1] for r in rows], pa.string())], len(rows)).to_pylist()
        listed = [
            {"id": i, "digest": d, "value": v, "error": error if v is None else None}
            for (i, _, v), d in zip(rows, found)
        ]
        schema = signal_schema(function.spec.type)
        stale = [] if of_image else [listed[0] | {"digest": 7, "value": listed[1]["value"]}]
        parts = []
        for number, part in enumerate((listed[::3] + stale, [x for i, x in enumerate(listed) if i % 3])):
            batch = pa.RecordBatch.from_pylist(sorted(part, key=lambda r: r["id"]), schema)
            parts.append(tables.write_part(folder, f"part{number}", [batch], schema).record())
        models = {"clip": {"name": "made-clip", "digest": "ab" * 32, "dim": 4}} if function.spec.models else {}
        tables.write_done(folder, {"parts": parts, "models": models})
        self.signals[name] = {"key": key, "settings": {}, "stored": True, "folder": folder, "models": models}

    def step(self, name: str, run: str, settings: dict, verdict: Any, columns: Any = None) -> None:
        """One stage: `verdict(row)` is None or (reason, value), `columns(row)` what the stage adds."""
        schema = STAGES[run].spec.schema
        table, counts = [], {}
        for row in self.rows:
            row |= columns(row) if columns else {}
            row["_out"] = verdict(row)
            reason, value = row["_out"] or (None, None)
            counts[reason] = counts.get(reason, 0) + 1
            verdict_row = {"keep": reason is None, "drop_reason": reason, "drop_value": value}
            table.append({n: (row | verdict_row).get(n) for n in schema.names})
        folder = join(self.store, "stages", f"{run}-{hex_id(name, self.made.out)}")
        kept = counts.pop(None, 0)
        sides = self._entry_counts(folder) if run == "match_entries" else {}
        record = {"stage": run, "rows": len(table), "kept": kept, "drops": counts, "tables": sides}
        write_table(folder, table, schema, self.digits, record)
        entry = {"name": name, "run": run, "version": 1, "settings": settings, "folder": folder, "key": "00"}
        self.stages.append(entry | {"drops": counts, "rows_in": len(table), "rows_out": kept, "on": []})
        for row in self.rows:
            if row["_out"]:
                self.made.fate[row["uid"]] = (name, *row["_out"])
        self.rows = [row for row in self.rows if not row["_out"]]

    def _entry_counts(self, folder: str) -> dict[str, list[dict]]:
        counts = np.bincount([e for row in self.rows for e in row["entries"]], minlength=len(ENTRIES))
        rows = [{"entry_id": i, "entry": e, "count": int(c)} for i, (e, c) in enumerate(zip(ENTRIES, counts))]
        fields = [pa.field(c.name, c.type, c.nullable) for c in STAGES["match_entries"].spec.tables["entry_counts"]]
        batch = pa.RecordBatch.from_pylist(rows, pa.schema(fields))
        return {"entry_counts": [tables.write_part(join(folder, "entry_counts"), "all", [batch], batch.schema).record()]}


def run_steps(maker: Maker, least_words: int) -> None:
    """A recipe in miniature: every kind of stage that a report shows."""
    cleaned = {"clean": lambda row: {"caption_raw": row["caption"], "caption": " ".join(row["caption"].split())}}
    maker.step("clean_captions", "clean_captions", {}, lambda r: None if r["caption"].strip() else ("empty_caption", ""),
               cleaned["clean"])  # fmt: skip
    german = {r["uid"]: {"language": "de" if "Haus" in r["caption"] else "en", "score": 0.9} for r in maker.rows}
    maker.signal("language_prediction", german)
    keep = {"caption_words": {"min": least_words}, "caption_language": {"in": ["en"]}, "extra.views": {"min": 0}}
    maker.step("text", "select_subset", {"keep": keep}, lambda r: _text(r, german, least_words))
    sides = {r["uid"]: _side(r["document"]) for r in maker.rows}
    maker.signal("image_min_side_px", sides, error="decode_error: made")
    maker.step("pixels", "select_subset", {"keep": {"image_min_side_px": {"min": 32}}}, lambda r: _pixels(sides[r["uid"]]))
    scores = {r["uid"]: int(r["uid"][:4], 16) / 65536 for r in maker.rows}
    maker.signal("clip_score", scores)
    maker.signal("second_score", {u: -s for u, s in scores.items()}, of="clip_score")
    last = sorted(scores.values(), reverse=True)[int(len(scores) * 0.8) - 1]
    maker.step("scores", "select_subset",
               {"keep": {"clip_score": {"top_fraction": 0.8}, "second_score": {"max": 0.0}}},
               lambda r: None if scores[r["uid"]] >= last else ("clip_score not in top 0.8", str(scores[r["uid"]])))  # fmt: skip
    maker.step("match_entries", "match_entries", {"metadata": "made", "mode": "metaclip1"},
               lambda r: None if r["entries"] else ("no_entry", r["caption"]),
               lambda r: {"entries": [i for i, e in enumerate(ENTRIES) if e in r["caption"].split()]})  # fmt: skip
    maker.step("balance_entries", "balance_entries", {"t": 20, "seed": 0},
               lambda r: ("balanced_out", "0.25") if r["uid"][-1] in "0123" else None,
               lambda r: {"keep_probability": 0.25})  # fmt: skip


def _text(row: dict, german: dict, least: int) -> tuple | None:
    words = len(row["caption"].split())
    if words < least:
        return f"caption_words<{least}", str(words)
    return ("caption_language not in en", "de") if german[row["uid"]]["language"] == "de" else None


def _side(document: str) -> int | None:
    number = int(document.split()[1])
    return None if number % 17 == 16 else 40 if number % 11 else 20


def _pixels(side: int | None) -> tuple | None:
    if side is None:
        return "image_min_side_px is null", "not_an_image: made"
    return ("image_min_side_px<32", str(side)) if side < 32 else None


def write_shards(maker: Maker, per_shard: int) -> tuple[list[dict], list[dict]]:
    """The shards through the pipeline's own writer, and the step that writes them."""
    names = [n for n in PAIRS.names if n not in ("extra", "context", "repeats", "caption_kind", "source_uri")]
    schema = pa.schema([PAIRS.arrow.field(n) for n in names] + [pa.field("clip_score", pa.float64())])
    shards, errors = {}, {}
    for place, row in enumerate(sorted(maker.rows, key=lambda r: r["uid"][::-1])):
        row |= {"shard": place // per_shard, "clip_score": 0.25}
        shards.setdefault(row["shard"], []).append({n: row[n] for n in schema.names})
    records = []
    for number, rows in shards.items():
        table = pa.Table.from_pylist(rows, schema)
        uri = shard_record(maker.made.out, number)
        found = write_release_shard(maker.made.out, number, table, ["clip_score"], uri)
        errors |= {r["uid"]: e for r, e in zip(rows, found.to_pylist()) if e}
        records.append(tables.read_json(uri))
    settings = {"samples_per_shard": per_shard, "signals": ["clip_score"], "seed": 0, "out": maker.made.out}
    maker.step("write_shards", "write_shards", settings,
               lambda r: ("unreadable_image", errors[r["uid"]]) if r["uid"] in errors else None)  # fmt: skip
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
    verdicts = []
    for uid, fate in made.fate.items():
        step, reason, value = fate or (None, None, None)
        row = {"uid": uid, "keep": fate is None}
        verdicts.append(row | {"drop_stage": step, "drop_reason": reason, "drop_value": value})
    subset = write_table(join(out, "subset"), verdicts, SUBSET.arrow, digits, {})
    lines = [
        {"shard": n, "samples": t["rows"], "bytes": t["bytes"], "sha256": t["sha256"]} for n, t in enumerate(tars)
    ]
    batch = pa.RecordBatch.from_pylist(lines, SHARDS.arrow)
    listed = tables.write_part(join(out, "manifest", "shards"), "00000000", [batch], SHARDS.arrow).record()
    opened = Pool.open(str(pool))
    mark = {
        "schema_version": 1, "recipe": "made", "recipe_text": RECIPE, "key": "11" * 16, "pool": str(pool),
        "pool_key": opened.key, "store": maker.store, "versions": {"curation": "0.1.0"},
        "counts": {"pool": size, "kept": len(made.kept), "shards": len(tars)},
        "stages": maker.stages, "signals": maker.signals, "samples": samples, "tars": tars,
        "shards": [listed | {"name": f"manifest/shards/{listed['name']}"}],
        "subset": [p | {"name": f"subset/{p['name']}"} for p in subset],
    }  # fmt: skip
    write_json(join(out, "manifest", "release.json"), mark)
    return made
