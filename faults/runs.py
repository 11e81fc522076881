"""A command of the product, started in a session of its own; its lines on stderr as they come, with their times."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from faults import processes

PROGRESS = re.compile(r"\[\d+/\d+\] |  (text|image|pair) signals of |reading [\d,]+ files|waiting for ")
STEP = re.compile(r"\[(\d+)/(\d+)\] (\w+): .*\((?:([\d.]+) s|already there)\)$")
# What Spark's launcher prints at every start, before any logging can be configured.
SPARK_START = re.compile(r"WARNING: Using incubator modules|Setting default log level|To adjust logging level")
HOOK = Path(__file__).parent / "hook"
PATIENCE_S = 300  # a run that takes longer hangs: an undisturbed one takes under a minute


class Run:
    """One command under way. `package` is the folder that holds `curation`; `room` has folders cwd, tmp and home."""

    def __init__(
        self, arguments: list[str], package: Path, room: Path, plan: dict | None = None, prefix: tuple[str, ...] = ()
    ) -> None:
        self.mark = uuid.uuid4().hex
        self.arguments, self.plan = arguments, plan
        environment = os.environ | self._environment(package, room, plan)
        self.started, self.began = time.monotonic(), time.time()
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "curation.cli", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=room / "cwd",
            env=environment,
            start_new_session=True,
        )
        self.lines: list[tuple[float, str]] = []
        self.output: list[str] = []
        self.seconds = 0.0
        self.readers = [threading.Thread(target=each, daemon=True) for each in (self._read_lines, self._read_output)]
        for thread in self.readers:
            thread.start()

    def _environment(self, package: Path, room: Path, plan: dict | None) -> dict[str, str]:
        path = [str(package)]
        more = {}
        if plan is not None:
            file = room / f"plan-{self.mark}.json"
            file.write_text(json.dumps(plan))
            path.insert(0, str(HOOK))
            more = {"FAULTS_PLAN": str(file)}
        scratch = {"TMPDIR": str(room / "tmp"), "CURATION_TMP": str(room / "scratch"), "HOME": str(room / "home")}
        unset = {"XDG_CACHE_HOME": str(room / "home" / ".cache"), "CURATION_TRACEBACK": ""}
        return {processes.MARK: self.mark, "PYTHONPATH": os.pathsep.join(path)} | scratch | unset | more

    def _read_lines(self) -> None:
        for line in self.process.stderr:
            self.lines.append((time.monotonic() - self.started, line.decode(errors="replace").rstrip("\n")))

    def _read_output(self) -> None:
        for line in self.process.stdout:
            self.output.append(line.decode(errors="replace").rstrip("\n"))

    def ended(self) -> bool:
        return self.process.poll() is not None

    def steps(self) -> list[tuple[float, str, float]]:
        """(seconds since the start, stage, seconds that it took or 0) of each stage finished so far."""
        found = [(when, STEP.match(text)) for when, text in self.lines]
        return [(when, step[3], float(step[4] or 0)) for when, step in found if step]

    def sleep(self, seconds: float) -> None:
        """Pass this time, or less where the run ends."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.ended():
            time.sleep(0.005)

    def kill(self, pid: int, sent: signal.Signals = signal.SIGKILL) -> None:
        os.kill(pid, sent)

    def wait(self, seconds: float = PATIENCE_S) -> int | None:
        """The exit status as a shell tells it (143 for SIGTERM); null, and all killed, where it hangs."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            processes.kill_all(self.mark)
            self.process.wait()
            code = None
        self.seconds = time.monotonic() - self.started
        for thread in self.readers:  # orphans may hold the pipes a little longer
            thread.join(0.5)
        return 128 - code if code is not None and code < 0 else code

    def result(self) -> dict[str, Any] | None:
        """The JSON line on stdout, or null where there is none."""
        return json.loads(self.output[-1]) if self.output and self.output[-1].startswith("{") else None

    def messages(self) -> list[str]:
        """Lines on stderr that are neither progress nor Spark's greeting."""
        lines = (text for _, text in list(self.lines) if text.strip())
        return [text for text in lines if not PROGRESS.match(text) and not SPARK_START.match(text)]

    def start_seconds(self) -> float | None:
        """Seconds until the first unfinished stage could begin; null where no stage was finished."""
        steps = self.steps()
        return steps[0][0] - steps[0][2] if steps else None
