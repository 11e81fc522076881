"""One measurement: sources of one size through `curate ingest` and `curate run`, watched, cut into phases.

The phases of a run are its start, a stage each, and the release that follows them; those of an ingest are one. CPU
seconds of a phase are differences of what the sampler saw at its two ends.
"""

import hashlib
import json
import os
import re
import shutil
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import curation
from scaling.watching import KINDS, SAMPLE, megabytes, watched

STAGE_DONE = re.compile(r"\[\d+/\d+\] (\S+): ")  # the line that a run prints when a stage is finished
# With the settings that a run of 100 pairs gets: those of a large one start more of Java.
SESSION = "from curation.session import spark_session as s; spark = s(100); spark.range(1).count(); spark.stop()"


class Series(NamedTuple):
    """One recipe measured at several sizes; `write` makes the sources, `t_share` is t over the number of pairs.

    Without `t_share` the recipe does not balance.
    """

    name: str
    recipe: str
    write: Callable[[Path, int], list[Path]]
    sources: Path
    t_share: float | None


def code() -> str:
    """SHA-256 of the package's own files: what was measured with other code is measured again."""
    digest = hashlib.sha256()
    root = Path(curation.__file__).parent
    for path in sorted(p for p in root.rglob("*") if p.suffix in (".py", ".toml")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def measure(series: Series, size: int, work: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Ingest and run one size, or what an earlier call left of it with this code."""
    folder = work / series.name / str(size)
    found = _kept(folder)
    if found is not None:
        return found
    say(f"{series.name}, {size:,} pairs: sources")
    sources = series.write(series.sources, size)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pool, out = folder / "pool", folder / "out"
    say(f"{series.name}, {size:,} pairs: ingest")
    ingest = _curate(["ingest", *map(str, sources), "--out", str(pool)], say)
    say(f"{series.name}, {size:,} pairs: run")
    run = _curate(["run", series.recipe, str(pool), str(out), *_settings(series, size)], say)
    ledger = [json.loads(line) for line in (out / "ledger.jsonl").read_text().splitlines()]
    result = {
        "series": series.name,
        "size": size,
        "pairs": json.loads(ingest["stdout"])["pool_rows"],
        "ingest": ingest | {"phases": [_phase(ingest, "ingest", 0, ingest["seconds"])]},
        "run": run | {"phases": _phases(run, ledger)},
        "mb": {name: round(megabytes(path), 1) for name, path in _places(sources, pool, out).items()},
    }
    return _keep(folder, result)


def _settings(series: Series, size: int) -> list[str]:
    """A fixed t would keep a smaller share of a larger pool, and what comes after would look cheaper."""
    return [] if series.t_share is None else ["--set", f"balance_entries.t={max(1, round(size * series.t_share))}"]


def measure_session(work: Path, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """The one phase of a Spark session with one trivial job: what no run can go below."""
    folder = work / "session"
    found = _kept(folder)
    if found is None:
        say("bare session")
        folder.mkdir(parents=True, exist_ok=True)
        session = watched([sys.executable, "-c", SESSION], say)
        found = _keep(folder, session | {"phases": [_phase(session, "session", 0, session["seconds"])]})
    return found["phases"]


def _kept(folder: Path) -> dict[str, Any] | None:
    path = folder / "result.json"
    found = json.loads(path.read_text()) if path.exists() else {"code": None}
    return found if found["code"] == code() else None


def _keep(folder: Path, result: dict[str, Any]) -> dict[str, Any]:
    (folder / "result.json").write_text(json.dumps(result | {"code": code()}))
    return result


def _curate(arguments: list[str], say: Callable[[str], None]) -> dict[str, Any]:
    return watched([sys.executable, "-m", "curation.cli", *arguments], say, Path(os.environ["CURATION_TMP"]))


def _phases(run: dict[str, Any], ledger: list[dict]) -> list[dict[str, Any]]:
    """Start, stages and release of a run; a stage ends when its line comes."""
    ends = {m.group(1): at for at, line in run["lines"] if (m := STAGE_DONE.match(line))}
    began = ends[ledger[0]["name"]] - ledger[0]["seconds"]
    phases = [_phase(run, "start", 0, began)]
    for entry in ledger:
        phase = _phase(run, entry["name"], began, ends[entry["name"]])
        phases.append(phase | {"rows_in": entry["rows_in"], "rows_out": entry["rows_out"]})
        began = ends[entry["name"]]
    return [*phases, _phase(run, "release", began, run["seconds"])]


def _phase(watch: dict[str, Any], name: str, began: float, ended: float) -> dict[str, Any]:
    """Seconds, CPU seconds and highest resident MB by kind between two times."""
    samples = np.array(watch["samples"])
    columns = {column: samples[:, number] for number, column in enumerate(SAMPLE)}
    inside = (columns["t"] >= began) & (columns["t"] <= ended)
    cpu = {kind: float(np.diff(np.interp([began, ended], columns["t"], columns[f"cpu_{kind}"]))[0]) for kind in KINDS}
    highest = {
        name: float(columns[f"rss_{name}"][inside].max(initial=0)) for name in ("driver", "jvm", "workers", "worker")
    }
    return {"name": name, "seconds": round(ended - began, 2), "cpu": cpu, "mb": highest}


def _places(sources: list[Path], pool: Path, out: Path) -> dict[str, list[Path]]:
    store = pool / "store"
    return {"sources": sources, "pool": [p for p in pool.iterdir() if p != store], "store": [store], "release": [out]}


def cpu_seconds(result: dict[str, Any], what: str) -> float:
    """Of all processes of an ingest or a run."""
    return sum(sum(phase["cpu"].values()) for phase in result[what]["phases"])


def median_phases(measured: list[list[dict]]) -> dict[str, dict[str, Any]]:
    """Per phase the median seconds and CPU seconds of several equal runs."""
    result = {}
    for same in zip(*measured):
        cpu = {kind: statistics.median(phase["cpu"][kind] for phase in same) for kind in KINDS}
        seconds = statistics.median(phase["seconds"] for phase in same)
        result[same[0]["name"]] = {"seconds": seconds, "cpu": cpu}
    return result
