"""A full disk while a table, a shard or Spark's scratch is written (C4); an output that cannot be written (C5)."""

import contextlib
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from faults.criterion import failure_faults, z_faults
from faults.kills import read
from faults.processes import kill_all
from faults.reader import Reader
from faults.runs import Run
from faults.setting import Setting, tree_bytes

ROOM_BYTES = 1 << 28  # enough for all that a run writes here
REFUSED_S = 5  # Python's start, the recipe and the models' names: no Spark session starts in this time
# Root may write anywhere; without these two it is held to the permission bits as everyone is.
PLAIN_USER = ("setpriv", "--inh-caps=-dac_override,-dac_read_search", "--bounding-set=-dac_override,-dac_read_search")


def no_mount(folder: Path) -> str:
    """Why no tmpfs can be mounted here; empty where it can."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with disk(folder, 1 << 20):
            return ""
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no tmpfs can be mounted here ({error})"


@contextlib.contextmanager
def disk(folder: Path, size: int) -> Iterator[None]:
    """A small disk at `folder` while the block runs."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True, capture_output=True)


def remount(folder: Path, options: str) -> None:
    """Change a mounted disk: `size=N`, `ro`, `rw`."""
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True, capture_output=True)


def full_disks(setting: Setting, count: int, seed: int) -> None:
    """Run out of space `count` times in each of the three places, at seeded shares of what a run needs there."""
    draw = random.Random(seed)
    needs = {
        "store": tree_bytes(setting.reference.store),
        "out": tree_bytes(setting.reference.out),
        "scratch": setting.reference.scratch_bytes,
    }
    reason = no_mount(setting.work / "mount")
    for place, need in needs.items():
        row = setting.findings.row(f"disk full: {place}")
        row.skipped = reason
        for number in range(0 if reason else count):
            full_disk(setting, place, int(need * (number + draw.uniform(0.1, 0.9)) / count))


def full_disk(setting: Setting, place: str, size: int) -> None:
    """One run on a small disk, then, with space, again."""
    row = setting.findings.row(f"disk full: {place}")
    setting.fresh()
    size = max(4096, size // 4096 * 4096)
    folder = setting.room / place
    with disk(folder, size):
        with Reader(setting.out, setting.store) as reader:
            run = setting.run()
            code = run.wait()
            faults = failure_faults(run, code, (1,), str(folder)) if code else ["it fitted: no trial"]
            kill_all(run.mark)
            remount(folder, f"size={ROOM_BYTES}")
            run = setting.run()
            run.wait()
            faults += z_faults(setting, run)
        row.add(f"{size:,} bytes", faults + reader.faults, run.start_seconds())
        read(setting, reader)


def read_only(setting: Setting) -> None:
    """Outputs that cannot be written: refused in one line, before Spark starts; a store, before the first stage."""
    row = setting.findings.row("read-only output")
    row.skipped = no_mount(setting.work / "mount")
    for place in () if row.skipped else ("out", "store"):
        setting.fresh()
        with disk(setting.room / place, ROOM_BYTES):
            remount(setting.room / place, "ro")
            row.add(f"{place} on a disk mounted read-only", refused(setting, setting.room / place))
    if shutil.which("setpriv") is None:
        return
    for place in ("out", "store"):
        setting.fresh()
        (setting.room / place).mkdir(mode=0o555)
        faults = refused(setting, setting.room / place, PLAIN_USER if os.getuid() == 0 else ())
        (setting.room / place).chmod(0o755)
        row.add(f"{place} without the right to write", faults)
    setting.fresh()
    setting.new_pool.mkdir(mode=0o555)
    run = setting.run(setting.ingest_arguments(), prefix=PLAIN_USER if os.getuid() == 0 else ())
    row.add("pool without the right to write", _refusal(run, setting.new_pool))


def refused(setting: Setting, folder: Path, prefix: tuple[str, ...] = ()) -> list[str]:
    """What is wrong with how a run refuses to write there."""
    return _refusal(setting.run(prefix=prefix), folder)


def _refusal(run: Run, folder: Path) -> list[str]:
    code = run.wait()
    faults = failure_faults(run, code, (1, 2), str(folder))
    # A store that cannot be written may do, where all is in it: that is known once the first stage is looked for.
    if run.steps() or (run.seconds > REFUSED_S and folder.name != "store"):
        faults.append(f"refused only after {run.seconds:.1f} s and {len(run.steps())} stages")
    return faults + ([f"it holds {os.listdir(folder)}"] if os.listdir(folder) else [])
