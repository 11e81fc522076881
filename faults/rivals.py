"""Two commands at once (C7): on one output, on one store, on one pool; and the lock of a killed one."""

import json
import os
import signal
import time
import uuid
from pathlib import Path

import pyarrow.parquet as pq

from faults.criterion import failure_faults, success_faults, z_faults
from faults.kills import read
from faults.reader import Reader
from faults.runs import Run
from faults.setting import Setting, into_window

REFUSED_S = 5  # reliability.md, C7


def rivals(setting: Setting) -> None:
    """All of the above, once each."""
    for delay in (0.0, 0.5):
        one_output(setting, delay)
    lock_of_the_dead(setting)
    one_store(setting)
    one_pool(setting)


def one_output(setting: Setting, fraction: float) -> None:
    """Two drivers on one output, the second started at once or in the middle of the first."""
    setting.fresh()
    with Reader(setting.out, setting.store) as reader:
        first = rival(setting)
        if fraction:
            into_window(setting, first, "pixels", fraction)
        second = rival(setting)
        while not (first.ended() or second.ended()):
            time.sleep(0.01)
        loser, winner = (first, second) if first.ended() else (second, first)
        faults = lost(setting, loser)
        winner.wait()
        faults += z_faults(setting, winner) + reader.faults
    row = setting.findings.row("two drivers on one output")
    row.add("started together" if not fraction else "the second in the middle of the first", faults)
    read(setting, reader)


def rival(setting: Setting) -> Run:
    """The main job, which notes when it comes to the lock."""
    return setting.run(None, setting.plan(record=setting.room / "claims" / uuid.uuid4().hex))


def lost(setting: Setting, loser: Run) -> list[str]:
    """What is wrong with how a second driver was turned away."""
    faults = failure_faults(loser, loser.wait(), (1,), str(setting.out))
    if not any(line.startswith("LockedOutputError") for line in loser.messages()):
        faults.append("it does not speak of a lock")
    lines = Path(loser.plan["record"]).read_text().splitlines()
    came = next((float(line.split(" ")[0]) for line in lines if line.endswith("/lock")), loser.began)
    at_lock = loser.began + loser.seconds - came
    row = setting.findings.row("two drivers on one output")
    row.note("turned away s after its start", loser.seconds)
    row.note("s after it came to the lock", at_lock)
    return faults + ([f"it ended only {at_lock:.1f} s after it came to the lock"] if at_lock > REFUSED_S else [])


def lock_of_the_dead(setting: Setting) -> None:
    """The lock of a driver killed this moment does not hold up the next, though its JVM still lives."""
    setting.fresh()
    with Reader(setting.out, setting.store) as reader:
        run = setting.run()
        into_window(setting, run, "dedup_pairs", 0.5)
        os.kill(run.process.pid, signal.SIGKILL)
        run.wait()
        run = setting.run()
        run.wait()
    faults = z_faults(setting, run) + reader.faults
    setting.findings.row("lock of a killed driver").add("run again at once", faults, run.start_seconds())
    read(setting, reader)


def one_store(setting: Setting) -> None:
    """Two drivers with an output each on one store: both right."""
    setting.fresh()
    other = setting.room / "out2"
    with Reader(setting.out, setting.store, other) as reader:
        first, second = setting.run(), setting.run(setting.run_arguments(other))
        codes = [first.wait(), second.wait()]
    faults = [] if codes == [0, 0] else [f"exits {codes}, wanted 0 and 0"]
    faults += z_faults(setting, first) + z_faults(setting, second, other) + reader.faults
    setting.findings.row("two drivers, two outputs, one store").add("started together", faults)
    read(setting, reader)


def one_pool(setting: Setting) -> None:
    """Two ingests into one pool, of other files, then of files that share pairs: no part lost, no uid twice."""
    table, packed = setting.sources
    for name, pairs in (("other files", ((table,), (packed,))), ("shared pairs", ((table,), (table, packed)))):
        setting.fresh()
        with Reader(setting.new_pool) as reader:
            runs = [setting.run(setting.ingest_arguments(*sources)) for sources in pairs]
            codes = [run.wait() for run in runs]
        faults = [] if codes == [0, 0] else [f"exits {codes}, wanted 0 and 0"]
        faults += [fault for run in runs for fault in success_faults(run)] + reader.faults
        faults += _union_faults(setting) if not faults else []
        setting.findings.row("two ingests, one pool").add(name, faults)
        read(setting, reader)


def _union_faults(setting: Setting) -> list[str]:
    found, wanted = _uids(setting.new_pool), _uids(setting.reference.pool)
    faults = [] if sorted(set(found)) == sorted(wanted) else [f"{len(set(found))} pairs, wanted {len(wanted)}"]
    return faults + ([f"{len(found) - len(set(found))} uids twice"] if len(set(found)) < len(found) else [])


def _uids(pool: Path) -> list[str]:
    """The uids of a pool, from its commit records."""
    uids = []
    for part in json.loads((pool / "pool.json").read_text())["parts"]:
        folder = pool / "pairs" / part["key"]
        for each in json.loads((folder / "_done.json").read_text())["parts"]:
            uids += pq.read_table(folder / each["name"], columns=["uid"])["uid"].to_pylist()
    return uids
