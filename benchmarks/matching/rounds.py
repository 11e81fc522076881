"""Rounds of the job inside Spark, side beside side, and what comes of them."""

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from paired import in_turn, say

BENCHMARKS = Path(__file__).resolve().parents[1]
TIMES = 3  # jobs in a session: the first builds, the others find what it has built
GROUP = 1 << 16  # rows of a row group: a Parquet file is cut into tasks between them
SHOWN = 5  # differences that are printed


def inside_spark(captions: list[str], entries: list[str], count: int, rounds: int) -> tuple[dict[str, Any], list]:
    """What the two sides took in a session each, in turn, and where their results differ.

    `count` captions are made of those given by taking them again and again.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        texts = list(itertools.islice(itertools.cycle(captions), count))
        table = pa.table({"uid": [f"{number:032x}" for number in range(count)], "caption": texts})
        pq.write_table(table, work / "captions.parquet", row_group_size=GROUP)
        pq.write_table(pa.table({"entry": entries}), work / "entries.parquet")
        names = ("ours", "peer")
        runs = in_turn({name: name for name in names}, rounds, lambda name: _job(work, name))
        return summary(runs) | {"captions": count}, differences(*(work / name for name in names))


def _job(work: Path, name: str) -> list[dict[str, float]]:
    inputs = [str(work / "captions.parquet"), str(work / "entries.parquet")]
    path = os.pathsep.join([str(BENCHMARKS.parent), str(BENCHMARKS)])
    command = [sys.executable, "-m", "matching.job", name, *inputs, str(work / name), str(TIMES)]
    done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path})
    runs = json.loads(done.stdout.splitlines()[-1])
    say(f"Spark, {name}: " + ", ".join(f"{run['cpu']:.1f} CPU s in {run['wall']:.1f} s" for run in runs[1:]))
    return runs


def summary(runs: dict[str, list[list[dict[str, float]]]]) -> dict[str, Any]:
    """Medians over the rounds: of the first job of a session, which builds, and of the others, which do not."""
    first = {name: [each[1] for each in rounds] for name, rounds in runs.items()}
    later = {name: [run for each in rounds for run in each[2:]] for name, rounds in runs.items()}
    ratios = [peer["cpu"] / mine["cpu"] for mine, peer in zip(first["ours"], first["peer"])]
    cpu = {name: _median(found, "cpu") for name, found in first.items()}
    built = {name: _median(found, "cpu") for name, found in later.items()}
    wall = {name: _median(found, "wall") for name, found in first.items()}
    idle = {f"{name}_single_entry": max(each[0]["worker_mb"] for each in rounds) for name, rounds in runs.items()}
    memory = {name: max(each[-1]["worker_mb"] for each in rounds) for name, rounds in runs.items()}
    return {
        "ratio": round(cpu["peer"] / cpu["ours"], 2),
        "ratio_range": [round(min(ratios), 2), round(max(ratios), 2)],
        "cpu_seconds": cpu,
        "ratio_built": round(built["peer"] / built["ours"], 2),
        "cpu_seconds_built": built,
        "ratio_wall": round(wall["peer"] / wall["ours"], 2),
        "wall_seconds": wall,
        "worker_mb": memory | idle,
        "rounds": len(first["ours"]),
    }


def _median(runs: list[dict[str, float]], what: str) -> float:
    return round(statistics.median(run[what] for run in runs), 2)


def differences(ours: Path, peer: Path) -> list[dict[str, Any]]:
    """The captions, and the counts of entries, that the two outputs do not agree on; the first of each."""
    mine, theirs = (_lists(path / "entries") for path in (ours, peer))
    unequal = [uid for uid in mine.keys() | theirs.keys() if not np.array_equal(mine.get(uid), theirs.get(uid))]
    counts = [dict(zip(*_columns(path / "counts", "entry_id", "count"))) for path in (ours, peer)]
    entries = [entry for entry in counts[0].keys() | counts[1].keys() if counts[0].get(entry) != counts[1].get(entry)]
    found = [{"spark_uid": uid, "ours": _shown(mine, uid), "peer": _shown(theirs, uid)} for uid in sorted(unequal)]
    found = found[:SHOWN]
    found += [{"spark_entry": e, "ours": counts[0].get(e), "peer": counts[1].get(e)} for e in sorted(entries)[:SHOWN]]
    return found


def _columns(folder: Path, *names: str) -> list[list]:
    table = pq.read_table(folder)
    return [table[name].to_pylist() for name in names]


def _lists(folder: Path) -> dict[str, np.ndarray]:
    """The ids of each caption, in order."""
    table = pq.read_table(folder).combine_chunks()
    flat, ends = np.asarray(table["entries"].combine_chunks().flatten()), np.asarray(_ends(table))
    return {uid: np.sort(ids) for uid, ids in zip(table["uid"].to_pylist(), np.split(flat, ends[:-1]))}


def _ends(table: pa.Table) -> np.ndarray:
    return np.cumsum(table["entries"].combine_chunks().value_lengths())


def _shown(lists: dict[str, np.ndarray], uid: str) -> list[int] | None:
    return lists[uid].tolist() if uid in lists else None
