"""Whole commands: the wall time and the CPU time of all that one starts, and environments for those of a peer."""

import contextlib
import ctypes
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from paired import VENVS, say

SAMPLE_S = 0.25  # between two looks at the CPU time of all processes
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2): orphans become ours, so that their CPU time is counted


def peer_environment(name: str, *requirements: str) -> Path:
    """Programs' folder of benchmarks/.venvs/NAME, a virtual environment of these packages alone, made on first use."""
    folder = VENVS / name
    mark, wanted = folder / "requirements.txt", "".join(f"{requirement}\n" for requirement in requirements)
    if not mark.is_file() or mark.read_text() != wanted:
        say(f"installing {' '.join(requirements)} into {folder}")
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, stdout=sys.stderr)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--progress-bar", "off"]
        subprocess.run([*pip, *requirements], check=True, stdout=sys.stderr)
        mark.write_text(wanted)
    return folder / "bin"


def adopt_orphans() -> None:
    """From now on processes whose parent ends become this one's, so that `run` counts and awaits them."""
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)


def run(command: list, environment: Mapping[str, str]) -> tuple[float, float]:
    """Wall and CPU seconds of a command and of all that it starts; SystemExit with the end of what it said if it fails.

    `environment` is added to this process's. CPU time is the larger of two counts: of what was sampled of each process
    (Spark's daemon lets its workers go without asking for what they used) and of what the kernel sums up of processes
    that were waited for (which has those too short for a sample).
    """
    ticks: dict[int, int] = {}
    others, before = descendants().keys(), _waited_for()  # a server that this process started, say
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        start = time.monotonic()
        process = subprocess.Popen(command, env=os.environ | environment, stdout=said, stderr=said)
        while process.poll() is None:
            ticks |= descendants(others)
            time.sleep(SAMPLE_S)
        wall = time.monotonic() - start
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{command[0]} failed:\n{said.read()[-3000:]}")
    while left := descendants(others):  # orphans, a JVM say
        ticks |= left
        os.waitpid(-1, os.WNOHANG)
        time.sleep(SAMPLE_S)
    return wall, max(sum(ticks.values()) / os.sysconf("SC_CLK_TCK"), _waited_for() - before)


def _waited_for() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def descendants(besides: Collection[int] = ()) -> dict[int, int]:
    """CPU time so far of each process below this one, in ticks by process; those `besides` are left out."""
    parents, ticks = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = path.read_text().rpartition(")")[2].split()
            parents[int(path.parent.name)] = int(fields[1])
            ticks[int(path.parent.name)] = int(fields[11]) + int(fields[12])
    found = {pid for pid, parent in parents.items() if parent == os.getpid() and pid not in besides}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: ticks[pid] for pid in found}
