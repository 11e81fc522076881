"""What a command and all processes under it use: memory and CPU seconds by kind, sampled from /proc while it runs.

Kinds: `jvm` is Java; `workers` are the Python processes below it; `driver` is the rest, the command itself first of
all. CPU seconds of a process that has ended are those of its last sample: up to PERIOD of it are lost.
"""

import contextlib
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

PERIOD = 0.2  # s between samples
SLOW_PERIOD = 2.0  # s between looks at shared pages: the kernel walks all pages of a process for it
KINDS = ("driver", "jvm", "workers")
TICK = 1 / os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
MB = 1e6
SAMPLE = ("t", *(f"cpu_{k}" for k in KINDS), *(f"rss_{k}" for k in KINDS), "rss_worker")  # s; MB


class Process(NamedTuple):
    """One line of /proc: `start` in ticks tells two processes of one pid apart."""

    pid: int
    name: str
    parent: int
    start: int
    cpu: float
    rss: float


class Watch:
    """Samples of one tree of processes, and its peaks in MB, of the files under `scratch` too."""

    def __init__(self, root: int, scratch: Path) -> None:
        self.root, self.scratch, self.began = root, scratch, time.monotonic()
        self.samples: list[list[float]] = []
        self.peaks = {"driver": 0.0, "jvm": 0.0, "worker": 0.0, "workers_pss": 0.0, "heap": 0.0, "scratch": 0.0}
        self._cpu: dict[tuple[int, int], tuple[str, float]] = {}
        self._slow_at = 0.0

    def look(self) -> None:
        """Take one sample."""
        found = self._tree()
        now = time.monotonic()
        for process, kind in found:
            self._cpu[process.pid, process.start] = (kind, process.cpu)
            peak = "worker" if kind == "workers" else kind
            if kind != "driver" or process.pid == self.root:
                self.peaks[peak] = max(self.peaks[peak], _status(process.pid, "VmHWM"))
        if now - self._slow_at > SLOW_PERIOD:
            self._slow_at = now
            self._look_slowly(found)
        cpu = [sum(used for kind, used in self._cpu.values() if kind == k) for k in KINDS]
        rss = [sum(process.rss for process, kind in found if kind == k) for k in KINDS]
        largest = max((process.rss for process, kind in found if kind == "workers"), default=0.0)
        self.samples.append([round(value, 2) for value in (now - self.began, *cpu, *rss, largest)])

    def _look_slowly(self, found: list[tuple[Process, str]]) -> None:
        slow = {
            "workers_pss": sum(_pss(process.pid) for process, kind in found if kind == "workers"),
            "heap": max((_heap(process.pid) for process, kind in found if kind == "jvm"), default=0.0),
            "scratch": megabytes([self.scratch]),
        }
        self.peaks |= {name: max(value, self.peaks[name]) for name, value in slow.items()}

    def _tree(self) -> list[tuple[Process, str]]:
        """The processes of the tree and their kinds; one whose parent died stays in it."""
        alive = _processes()
        children: dict[int, list[Process]] = {}
        for process in alive.values():
            children.setdefault(process.parent, []).append(process)
        orphans = [p for p in alive.values() if (p.pid, p.start) in self._cpu and p.parent == 1]
        kinds: dict[int, tuple[Process, str]] = {}
        stack = [(p, "driver") for p in [alive.get(self.root), *orphans] if p]
        while stack:
            process, above = stack.pop()
            kind = "workers" if above in ("jvm", "workers") else "jvm" if process.name == "java" else "driver"
            kinds[process.pid] = (process, kind)
            stack += [(child, kind) for child in children.get(process.pid, [])]
        return list(kinds.values())


def _processes() -> dict[int, Process]:
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            text = _read(f"/proc/{name}/stat")
            if text:
                command, fields = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
                cpu = (int(fields[11]) + int(fields[12])) * TICK  # proc(5): utime and stime, fields 14 and 15
                rss = int(fields[21]) * PAGE / MB
                found[int(name)] = Process(int(name), command, int(fields[1]), int(fields[19]), cpu, rss)
    return found


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""  # the process ended meanwhile


def _status(pid: int, key: str) -> float:
    """MB of a line of /proc/PID/status; 0 where the process has ended."""
    line = next((line for line in _read(f"/proc/{pid}/status").splitlines() if line.startswith(key + ":")), "")
    return int(line.split()[1]) * 1024 / MB if line else 0.0


def _pss(pid: int) -> float:
    """MB that a process holds, pages that it shares counted in part."""
    lines = _read(f"/proc/{pid}/smaps_rollup").splitlines()
    return sum(int(line.split()[1]) * 1024 / MB for line in lines if line.startswith("Pss:"))


def megabytes(paths: list[Path]) -> float:
    """MB of files and of all files in folders."""
    total = 0
    for path in paths:
        for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
            with contextlib.suppress(FileNotFoundError):  # Spark deletes as it goes
                total += 0 if file.is_dir() else file.stat().st_size
    return total / MB


def _heap(pid: int) -> float:
    """MB of the largest heap that a JVM may have, by its command line; 0 where it does not say."""
    units = {"g": 1 << 30, "m": 1 << 20, "k": 1 << 10}
    for argument in reversed(_read(f"/proc/{pid}/cmdline").lower().split("\0")):
        if argument.startswith("-xmx") and argument[-1] in units:
            return int(argument[4:-1]) * units[argument[-1]] / MB
    return 0.0


def watched(command: list[str], say: Callable[[str], None], scratch: Path = Path("/nowhere")) -> dict[str, Any]:
    """Run a command; give its seconds, samples, peaks, the lines of its stderr with their times, and its stdout.

    Raises CalledProcessError, with the stderr, where it fails.
    """
    lines: list[tuple[float, str]] = []
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE, text=True, errors="replace")
        watch = Watch(process.pid, scratch)
        reader = threading.Thread(target=_follow, args=(process.stderr, watch.began, lines, say))
        reader.start()
        while process.poll() is None:
            watch.look()
            time.sleep(PERIOD)
        seconds = time.monotonic() - watch.began
        reader.join()
        output.seek(0)
        text = output.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, text, "\n".join(line for _, line in lines))
    return {
        "seconds": round(seconds, 2),
        "peaks": {name: round(value, 1) for name, value in watch.peaks.items()},
        "lines": lines,
        "samples": watch.samples,
        "stdout": text,
    }


def _follow(stream: Any, began: float, lines: list[tuple[float, str]], say: Callable[[str], None]) -> None:
    for line in stream:
        lines.append((round(time.monotonic() - began, 2), line.rstrip("\n")))
        say(f"   {line.rstrip()}")
