"""A standalone Spark cluster on loopback, from the Spark that pip installed, and the interpreter of its executors."""

import contextlib
import re
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from doors.processes import RowError, running

HOST = "127.0.0.1"
START_S = 60  # a JVM is up in two to five seconds
MASTER, WORKER = (f"org.apache.spark.deploy.{name}" for name in ("master.Master", "worker.Worker"))
WORKERS = 2
WORKER_SIZE = ("-c", "1", "-m", "2g")  # one core each: a machine of two runs both at once


def spark_home() -> Path:
    """The folder of the packaged Spark: bin/ and jars/ (pip's has no sbin/)."""
    return Path(find_spec("pyspark").submodule_search_locations[0])


def bare_python(folder: Path) -> Path:
    """An interpreter with everything that is installed here but the package itself; RowError where it has that too.

    Its one .pth line names our site-packages. Files .pth inside that folder are not read then, so what is installed as
    editable is not there.
    """
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        site = sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)})
        Path(site, "installed.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    for module, wanted in (("pyspark", True), ("open_clip", True), ("curation", False)):
        code = f"import importlib.util as u; raise SystemExit(u.find_spec({module!r}) is None)"
        found = subprocess.run([python, "-I", "-c", code], cwd="/", check=False).returncode == 0
        if found != wanted:
            raise RowError(
                f"{python}: {module} {'is' if found else 'is not'} importable, which it should"
                f"{' not' if found else ''} be"
            )
    return python


@contextlib.contextmanager
def standalone(folder: Path, env: dict[str, str], worker_env: dict[str, str]) -> Iterator[str]:
    """A master and two workers while the block runs, each started in a folder of its own; gives the master's URL.

    Ports are the system's choice. `worker_env` is what the second worker's environment has besides `env`, so that the
    executors differ.
    """
    launch = str(spark_home() / "bin" / "spark-class")
    anywhere = ["--host", HOST, "--port", "0", "--webui-port", "0"]
    with contextlib.ExitStack() as stack:
        home, log = _place(folder, "master")
        process = stack.enter_context(running([launch, MASTER, *anywhere], cwd=home, env=env, log=log))
        url = _said(process, log, r"Starting Spark master at (spark://\S+)")
        for number in range(WORKERS):
            home, log = _place(folder, f"worker {number}")
            command = [launch, WORKER, *anywhere, *WORKER_SIZE, "--work-dir", str(home), url]
            its_env = env | worker_env if number else env
            process = stack.enter_context(running(command, cwd=home, env=its_env, log=log))
            _said(process, log, "Successfully registered with master")
        yield url


def _place(folder: Path, name: str) -> tuple[Path, Path]:
    home = folder / name
    home.mkdir(parents=True)
    return home, home / "log.txt"


def _said(process: subprocess.Popen, log: Path, pattern: str) -> str:
    """The first match of `pattern`, or its group, in what the process logged; RowError where it does not come."""
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        found = re.search(pattern, log.read_text("utf-8", "replace"))
        if found:
            return found.group(found.lastindex or 0)
        time.sleep(0.1)
    raise RowError(f"no {pattern!r} within {START_S} s, see {log}")
