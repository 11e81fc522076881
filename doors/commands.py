"""The command lines and the environment of a row."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from doors.cluster import HOST, spark_home
from doors.processes import MARK
from doors.rows import Row

ROOT = Path(__file__).resolve().parents[1]
# So that each stage of `full` has something to drop among a hundred drawings, and several shards are written.
SETTINGS = (
    "dedup_embeddings.threshold=0.999",
    "balance_entries.t=1",
    "write_shards.samples_per_shard=8",
)
# Of a row with files of its own; the small model's scores mean nothing, so only equal pictures are near.
OWN_SETTINGS = (
    "signals.clip=local-dir:model",
    "match_entries.metadata=entries.txt",
    "dedup_embeddings.threshold=0.99999",
    *SETTINGS[1:],
)
# spark-submit listens on the machine's address and shows a UI unless told otherwise.
LOOPBACK = {"spark.driver.host": HOST, "spark.driver.bindAddress": HOST, "spark.ui.enabled": "false"}
# What the launching shell has set must not reach a row.
UNSET = ("PYSPARK_", "SPARK_", "CURATION_", "LC_", "PYTHON", "HADOOP_")
API = "import json, sys; from curation.{0} import {0}; a, k = json.loads(sys.argv[1]); {0}(*a, **k)"


@dataclass(frozen=True)
class Bench:
    """What all rows share."""

    work: Path
    zip: Path
    python: Path  # the interpreter without the package
    mark: str

    def environment(self, row: Row) -> dict[str, str]:
        """The environment of a row: nothing of ours but the path, a fixed locale and zone, then the row's own."""
        from curation.session import java_home

        env = {k: v for k, v in os.environ.items() if not k.startswith(UNSET) and k not in ("LANG", "LANGUAGE", "TZ")}
        env |= {"LC_ALL": "C.UTF-8", "TZ": "UTC", "HF_HUB_OFFLINE": "1", MARK: self.mark}
        if row.door in ("submit", "cluster"):
            env |= {"PYSPARK_PYTHON": str(self.python), "PYSPARK_DRIVER_PYTHON": str(self.python)}
            env |= {"SPARK_HOME": str(spark_home()), "JAVA_HOME": java_home(), "SPARK_LOCAL_IP": HOST}
        else:
            env |= {"PYTHONPATH": str(ROOT), "CURATION_SPARK": " ".join(row.spark)}
        return env | row.env


@dataclass(frozen=True)
class Door:
    """The command lines of one row."""

    bench: Bench
    row: Row
    place: Path
    master: str
    settings: tuple[str, ...]

    def ingest(self, tables: list[Path], pool: Path) -> list[str]:
        """Sources -> pool."""
        names, out = [self._name(t) for t in tables], self._name(pool)
        if self.row.door == "api":
            return [sys.executable, "-c", API.format("ingest"), json.dumps([[names], {"out": out}])]
        root = ["--image-root", self._name(self.place / "sources")] if self.row.own else []
        return [*self._command("ingest"), *names, "--out", out, *root]

    def curate(self, pool: Path, out: Path, store: Path) -> list[str]:
        """Pool -> release."""
        names = [self._name(p) for p in (pool, out, store)]
        if self.row.door == "api":
            keywords = {"set": self.settings, "store": names[2]}
            return [sys.executable, "-c", API.format("run"), json.dumps([["full", *names[:2]], keywords])]
        settings = [word for setting in self.settings for word in ("--set", setting)]
        return [*self._command("run"), "full", *names[:2], "--store", names[2], *settings]

    def _command(self, name: str) -> list[str]:
        if self.row.door == "curate":
            return [str(Path(sys.executable).parent / "curate"), name]
        conf = [word for key, value in LOOPBACK.items() for word in ("--conf", f"{key}={value}")]
        job = ROOT / "jobs" / {"run": "curate.py", "ingest": "ingest.py"}[name]
        submit = [str(spark_home() / "bin" / "spark-submit"), "--master", self.master, *conf]
        return [*submit, "--py-files", str(self.bench.zip), str(job)]

    def _name(self, path: Path) -> str:
        if self.row.uri:
            return f"file://{path}"
        return os.path.relpath(path, self.place) if self.row.relative else str(path)
