"""What the benchmarks share: CPU time of commands is counted whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from paired import commands  # noqa: E402 - needs the line above

BUSY = "import time\nwhile time.process_time() < {}: pass"
FEW_LONG = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {BUSY.format(1.0)!r}])"  # not waited for
MANY_SHORT = f"import subprocess, sys; [subprocess.run([sys.executable, '-c', {BUSY.format(0.1)!r}]) for _ in range(8)]"


@pytest.mark.parametrize(("code", "least"), [(FEW_LONG, 0.9), (MANY_SHORT, 0.8)])
def test_run_counts_orphans_and_short_lives(code, least):
    # In a process of its own: it adopts orphans from then on.
    main = f"from paired.commands import *; adopt_orphans(); print(*run([sys.executable, '-c', {code!r}], {{}}))"
    path = {"PYTHONPATH": str(ROOT / "benchmarks")}
    done = subprocess.run(
        [sys.executable, "-c", main], env=os.environ | path, capture_output=True, text=True, check=True
    )
    cpu = float(done.stdout.split()[1])
    assert least < cpu < least + 2


def test_run_leaves_out_what_ran_before_and_tells_failures():
    other = subprocess.Popen([sys.executable, "-c", BUSY.format(1.5)])
    try:
        _, cpu = commands.run([sys.executable, "-c", "import time; time.sleep(0.6)"], {})
        assert cpu < 0.5
        assert other.pid in commands.descendants() and other.pid not in commands.descendants([other.pid])
    finally:
        other.kill()
        other.wait()
    with pytest.raises(SystemExit, match=r"(?s)python.* failed:\nwhat was said: told"):
        told = "import os, sys; print('what was said:', os.environ['WORD']); sys.exit(3)"
        commands.run([sys.executable, "-c", told], {"WORD": "told"})
