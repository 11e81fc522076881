"""Where trials take place: drawn pictures, a pool of them, a small model, and an undisturbed run as the reference.

Every trial has the same folders, so that whatever holds a path holds the same one.
"""

import contextlib
import json
import os
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from faults.runs import Run
from faults.table import Findings

RELEASE = "release"  # what a run does after its last stage
INGEST = "ingest"
PACKED = 6  # pictures in the packed tar, which ingest has to copy into the pool


@dataclass(frozen=True)
class Reference:
    """What an undisturbed run left, how long each of its stages took, and the file operations that it made."""

    out: Path
    store: Path | None = None
    pool: Path | None = None
    windows: dict[str, float] = field(default_factory=dict)  # stage -> seconds
    events: tuple[tuple[str, str, str], ...] = ()  # (process, event, path) of the run
    pool_events: tuple[tuple[str, str, str], ...] = ()
    scratch_bytes: int = 0
    start_s: float = 0.0  # until the first stage could begin


@dataclass(frozen=True)
class Setting:
    """Everything that a trial needs; `sources` make `pool`, `settings` are flags of the run."""

    work: Path
    package: Path
    pool: Path
    sources: tuple[str, ...]
    settings: tuple[str, ...]
    reference: Reference
    findings: Findings = field(default_factory=Findings)

    @property
    def room(self) -> Path:
        return self.work / "trial"

    @property
    def out(self) -> Path:
        return self.room / "out"

    @property
    def store(self) -> Path:
        return self.room / "store"

    @property
    def new_pool(self) -> Path:
        return self.room / "pool"

    def fresh(self) -> None:
        """An empty room for the next trial; what the home folder caches stays."""
        self.room.mkdir(parents=True, exist_ok=True)
        for name in os.listdir(self.room):
            if name != "home":
                remove(self.room / name)
        for name in ("cwd", "tmp", "scratch", "home", "claims"):
            (self.room / name).mkdir(exist_ok=True)

    def run_arguments(self, out: Path | None = None, store: Path | None = None, pool: Path | None = None) -> list[str]:
        """The command line of the main job."""
        flags = [part for each in self.settings for part in ("--set", each)]
        paths = [str(pool or self.pool), str(out or self.out), "--store", str(store or self.store)]
        return ["run", "full", *paths, *flags]

    def ingest_arguments(self, *sources: str) -> list[str]:
        return ["ingest", *(sources or self.sources), "--out", str(self.new_pool)]

    def run(self, arguments: list[str] | None = None, plan: dict | None = None, prefix: tuple[str, ...] = ()) -> Run:
        """The main job, or another command, started."""
        return Run(arguments or self.run_arguments(), self.package, self.room, plan, prefix)

    def plan(self, cuts: list[dict] | None = None, record: Path | None = None) -> dict:
        """What the hook is told: cuts to make, where to note the events."""
        roots = [str(self.room / name) + "/" for name in ("out", "store", "pool")]
        claims = str(self.room / "claims")
        return {"roots": roots, "record": str(record) if record else None, "claims": claims, "cuts": cuts or []}


def remove(path: Path) -> None:
    """Delete a file or a folder, a read-only one too."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def make_setting(work: Path, package: Path) -> Setting:
    """Draw the pictures, make pool and model, and run undisturbed: about a minute."""
    from tests.conftest import EASED
    from tests.small_clip import write_model

    sources = _draw(work / "sources")
    model = write_model(work / "model")
    settings = (f"signals.clip={model}", *EASED)
    setting = Setting(work, package, work / "pool", sources, settings, Reference(work / "reference" / "out"))
    shutil.rmtree(work / "reference", ignore_errors=True)
    shutil.rmtree(work / "pool", ignore_errors=True)
    for record in work.glob("*.events"):
        record.unlink()
    setting.fresh()
    must(setting.run(["ingest", *sources, "--out", str(setting.pool)]))
    ingested = must(setting.run(setting.ingest_arguments(), setting.plan(record=work / "ingest.events")))
    peaks: list[int] = []
    ended = threading.Event()
    watcher = threading.Thread(target=_watch_size, args=(setting.room / "scratch", peaks, ended), daemon=True)
    watcher.start()
    done = must(setting.run(None, setting.plan(record=work / "run.events")))
    ended.set()
    watcher.join()
    for name in ("out", "store", "pool"):
        shutil.copytree(setting.room / name, work / "reference" / name)
    made = Reference(
        **{name: work / "reference" / name for name in ("out", "store", "pool")},
        windows=_windows(done) | {INGEST: ingested.seconds},
        events=_events(work / "run.events"),
        pool_events=_events(work / "ingest.events"),
        scratch_bytes=max(peaks),
        start_s=done.start_seconds() or 0.0,
    )
    return replace(setting, reference=made)


def must(run: Run) -> Run:
    """A run that has to succeed, ended."""
    if run.wait() != 0:
        raise SystemExit(f"faults: the undisturbed run failed: {run.messages()}")
    return run


def _draw(folder: Path) -> tuple[str, ...]:
    """A table of pictures and a packed tar of further ones, drawn once."""
    from tests.drawing import draw, draw_pool

    pictures, packed = folder / "pictures", folder / "packed"
    if not (folder / "packed.tar.gz").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        packed.mkdir(parents=True)
        pictures.mkdir()
        draw_pool(pictures)
        for number in range(30, 30 + PACKED):
            image, caption = draw(number)
            image.save(packed / f"{number}.png")
            (packed / f"{number}.txt").write_text(caption)
        subprocess.run(["tar", "-czf", folder / "packed.tar.gz", "-C", packed, "."], check=True)
    return str(pictures / "pictures.tsv"), str(folder / "packed.tar.gz")


def _windows(run: Run) -> dict[str, float]:
    """Seconds of each stage, the start in the first one, and of what comes after the last."""
    windows, before = {}, 0.0
    for when, stage, _ in run.steps():
        windows[stage] = when - before
        before = when
    return windows | {RELEASE: run.seconds - before}


def _events(record: Path) -> tuple[tuple[str, str, str], ...]:
    return tuple(dict.fromkeys(tuple(line.split(" ", 3)[1:]) for line in record.read_text().splitlines()))


def _watch_size(folder: Path, peaks: list[int], ended: threading.Event) -> None:
    while not ended.is_set():
        peaks.append(tree_bytes(folder))
        time.sleep(0.05)


def tree_bytes(folder: Path) -> int:
    """Bytes of the files in a folder, in whole pages, as a tmpfs counts them."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += -(-os.stat(os.path.join(parent, name)).st_size // 4096) * 4096
    return total


def window(setting: Setting, run: Run) -> str:
    """The stage that a run is in now, as far as its progress lines tell."""
    if run.arguments[0] == "ingest":
        return INGEST
    names = [name for name in setting.reference.windows if name != INGEST]
    return names[min(len(run.steps()), len(names) - 1)]


def into_window(setting: Setting, run: Run, stage: str, fraction: float) -> None:
    """Pass the time until a run is so far into a stage, or has ended."""
    names = [*(name for name in setting.reference.windows if name != INGEST), INGEST]
    while not run.ended() and names.index(window(setting, run)) < names.index(stage):
        time.sleep(0.005)
    run.sleep(fraction * setting.reference.windows[stage])


def ledger(out: Path) -> list[dict]:
    """The ledger of a release, a line per stage."""
    return [json.loads(line) for line in (out / "ledger.jsonl").read_text().splitlines()]
