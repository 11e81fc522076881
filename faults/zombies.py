"""A task attempt that finishes late (C8): it wakes when another run has long committed, and may change nothing."""

import contextlib
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

from faults.criterion import content, tree, z_faults
from faults.kills import read
from faults.processes import marked
from faults.reader import Reader
from faults.runs import Run
from faults.setting import Setting

WORK_S = 60  # more than a task needs to write what it has


def zombies(setting: Setting, count: int, seed: int) -> None:
    """`count` attempts that hang before the rename of a shard, then of seeded other files that tasks write."""
    renames = [path for role, event, path in setting.reference.events if (role, event) == ("worker", "rename")]
    shards = [path for path in renames if path.endswith(".tar")]
    others = [path for path in renames if path not in shards]
    draw = random.Random(seed)
    for path in [*shards[:1], *draw.sample(others, min(count, len(others)))][:count]:
        zombie(setting, path)


def zombie(setting: Setting, path: str) -> None:
    """One late attempt."""
    setting.fresh()
    cut = {"event": "rename", "path": path, "when": "before", "act": "zombie"}
    folders = {"out": setting.out, "store": setting.store}
    with Reader(*folders.values()) as reader:
        run = setting.run(None, setting.plan([cut]))
        late = _falls_asleep(run, setting.room / "claims" / "0.pid")
        if late is None:
            setting.findings.row("late attempt").add(path, ["no task came to this file"])
            return
        _kill_others(run, late)
        run = setting.run()
        run.wait()
        before = _contents(folders)
        (setting.room / "claims" / "0.wake").touch()
        end = time.monotonic() + WORK_S
        while Path(f"/proc/{late}").exists() and time.monotonic() < end:
            time.sleep(0.1)
        after = _contents(folders)
        run = setting.run()  # a record that nobody lists any more is tidied away
        run.wait()
    faults = [f"{name}: changed by the late attempt" for name in before if before[name] != after.get(name)]
    faults += [] if not Path(f"/proc/{late}").exists() else [f"the late attempt still lives after {WORK_S} s"]
    setting.findings.row("late attempt").note("unlisted files made", len(after.keys() - before.keys()))
    setting.findings.row("late attempt").add(Path(path).name, [*faults, *z_faults(setting, run), *reader.faults])
    read(setting, reader)


def _contents(folders: dict[str, Path]) -> dict[str, Any]:
    """File -> content of all that has a final name."""
    files = {f"{name}/{each}": path for name, folder in folders.items() for each, path in tree(folder).items()}
    return {name: content(path) for name, path in files.items() if not name.endswith(".tmp")}


def _falls_asleep(run: Run, note: Path) -> int | None:
    """The process that sleeps before its rename, once it does."""
    while not run.ended():
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int(note.read_text())
        time.sleep(0.05)
    return None


def _kill_others(run: Run, late: int) -> None:
    """SIGKILL to all of a run but the late attempt."""
    while others := [process.pid for process in marked(run.mark) if process.pid != late]:
        for pid in others:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    run.wait()
