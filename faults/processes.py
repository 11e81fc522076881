"""The processes of one run, found through /proc by a mark in their environment, which children inherit."""

import contextlib
import os
import signal
import threading
import time
from typing import NamedTuple

MARK = "FAULTS_MARK"


class Process(NamedTuple):
    """A live process: its id, its parent's, and its command line."""

    pid: int
    parent: int
    command: tuple[str, ...]


def marked(mark: str) -> list[Process]:
    """The live processes of the run with this mark, by id; dead ones that nobody has waited for are left out."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError):  # it may end while it is looked at
            with open(f"/proc/{name}/environ", "rb") as file:
                if f"{MARK}={mark}".encode() not in file.read().split(b"\0"):
                    continue
            with open(f"/proc/{name}/stat") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
            with open(f"/proc/{name}/cmdline", "rb") as file:
                command = file.read().decode(errors="replace").rstrip("\0").split("\0")
            found.append(Process(int(name), parent, tuple(command)))
    return sorted(found)


def victims(mark: str, driver: int, role: str) -> list[int]:
    """Ids of the processes of a run that play this role now: `driver`, `jvm` or `worker` (of Python)."""
    live = marked(mark)
    if role == "driver":
        return [p.pid for p in live if p.pid == driver]
    jvms = [p.pid for p in live if p.parent == driver and p.command[0].endswith("java")]
    if role == "jvm":
        return jvms
    daemons = [p.pid for p in live if p.parent in jvms and "pyspark.daemon" in p.command]
    return [p.pid for p in live if p.parent in daemons]


def kill_all(mark: str, sent: signal.Signals = signal.SIGKILL) -> None:
    """Kill whatever a run has left, until nothing is there."""
    while live := marked(mark):
        for process in live:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, sent)
        time.sleep(0.02)


class Farewell:
    """Watches in the background until a run's processes are gone; `seconds` says how long that took."""

    def __init__(self, mark: str, limit: float) -> None:
        self.mark, self.limit, self.seconds, self.left = mark, limit, 0.0, []
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        started = time.monotonic()
        while True:
            self.left = marked(self.mark)
            self.seconds = time.monotonic() - started
            if not self.left or self.seconds > self.limit:
                return
            time.sleep(0.1)

    def faults(self) -> list[str]:
        """Waits for the end of the watch; a sentence where processes outlived the limit, which are killed then."""
        self.thread.join()
        if not self.left:
            return []
        names = ", ".join(f"{p.pid} {' '.join(p.command)[:60]}" for p in self.left)
        kill_all(self.mark)
        return [f"still alive after {self.limit:.0f} s: {names}"]
