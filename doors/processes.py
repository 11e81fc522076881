"""Processes of a row: each in a group of its own, stopped with it, none left behind."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MARK = "CURATION_DOORS"  # in the environment of everything that is started here, so that stray children are found
GRACE_S = 10  # what a JVM and its Python workers may take to end
ROW_S = 1800  # a command takes less than a minute on two free cores; they may be loaded ten times over


class RowError(Exception):
    """A row could not be run to its end; the text says which command and how it ended."""


def run(command: list[str], *, cwd: Path, env: dict[str, str], log: Path) -> None:
    """Run a command to its end, its output appended to `log`; RowError unless it exits 0 within ROW_S."""
    with running(command, cwd=cwd, env=env, log=log) as process:
        try:
            status: Any = process.wait(ROW_S)
        except subprocess.TimeoutExpired:
            status = f"nothing for {ROW_S} s"
    if status != 0:
        said = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
        raise RowError(f"{Path(command[0]).name} ended with {status}: {said[-1] if said else ''} (see {log})")


@contextlib.contextmanager
def running(command: list[str], *, cwd: Path, env: dict[str, str], log: Path) -> Iterator[subprocess.Popen]:
    """A process in a group of its own while the block runs; its whole group is ended with the block."""
    with open(log, "ab") as file:
        file.write(f"$ cd {cwd}\n$ {' '.join(command)}\n".encode())
        file.flush()
        process = subprocess.Popen(command, cwd=cwd, env=env, stdout=file, stderr=file, start_new_session=True)
    try:
        yield process
    finally:
        _end_group(process)


def _end_group(process: subprocess.Popen) -> None:
    for sent in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sent)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
            return


def strays(mark: str) -> dict[int, str]:
    """pid -> command line of the processes that were started with this mark and still run."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it ended while we looked, or is another user's
            if f"{MARK}={mark}\0".encode() in (folder / "environ").read_bytes():
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:120]
    return found


def end_strays(mark: str) -> dict[int, str]:
    """Give what carries the mark GRACE_S to end by itself, then kill it; what had to be killed."""
    until = time.monotonic() + GRACE_S
    while (left := strays(mark)) and time.monotonic() < until:
        time.sleep(0.2)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return left
