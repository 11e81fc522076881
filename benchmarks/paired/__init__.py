"""What the benchmarks share: the peer's packages, sides timed in turn, and the machine that figures depend on."""

import gc
import importlib.metadata
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

VENVS = Path(__file__).resolve().parents[1] / ".venvs"


def say(text: str) -> None:
    """A line for the person who watches."""
    print(f"== {text}", file=sys.stderr, flush=True)


def peer_packages(name: str, *requirements: str, dependencies: bool = True) -> None:
    """Put benchmarks/.venvs/NAME, made on first use of the packages ("package==version"), on the import path.

    It comes last there: what this environment has is used before what the folder holds.
    """
    folder = VENVS / name
    mark, wanted = folder / "requirements.txt", "".join(f"{requirement}\n" for requirement in requirements)
    if not mark.is_file() or mark.read_text() != wanted:
        say(f"installing {' '.join(requirements)} into {folder}")
        shutil.rmtree(folder, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--progress-bar", "off", "--target", str(folder)]
        alone = [] if dependencies else ["--no-deps"]
        subprocess.run([*pip, *alone, *requirements], check=True, stdout=sys.stderr)
        mark.write_text(wanted)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def in_turn(sides: dict[str, Callable], rounds: int, seconds: Callable[[Callable], Any]) -> dict[str, list]:
    """What `seconds` says of each side and round; the sides take turns, every second round in the opposite order."""
    found: dict[str, list] = {name: [] for name in sides}
    for number in range(rounds):
        for name in list(sides)[:: -1 if number % 2 else 1]:
            found[name].append(seconds(sides[name]))
    return found


def ratio_range(peer: list[tuple[float, float]], ours: list[tuple[float, float]]) -> list[float]:
    """The least and the largest of the rounds' ratios of CPU seconds, the first of each pair."""
    ratios = [theirs[0] / mine[0] for theirs, mine in zip(peer, ours, strict=True)]
    return [round(min(ratios), 2), round(max(ratios), 2)]


def thread_seconds(work: Callable) -> float:
    """Thread CPU seconds of one call, without the collector, which would charge one side for the other's objects."""
    gc.collect()
    gc.disable()
    start = time.thread_time()
    work()
    seconds = time.thread_time() - start
    gc.enable()
    return seconds


def machine(*packages: str) -> str:
    """Processor, cores, Python and the versions of some packages."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine())
    cores = sum(line.startswith("processor") for line in lines) or "?"
    versions = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    return ", ".join([f"{model}, {cores} cores, Python {platform.python_version()}", *versions])
