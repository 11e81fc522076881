"""The rows of the matrix: through which door, and what is different from the first row."""

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

# What shells, globs, URIs and a JVM in the C locale each read in their own way.
STRANGE = "Bilder für Ω 画像 [a]{b}*?#%20"
NO_HOME = "/dev/null"  # containers and executors often have no home that can be written to
C_LOCALE = {"LC_ALL": "C", "LANG": "C"}
FAR = "Pacific/Kiritimati"  # UTC+14: the day is another one than in UTC for most of it


@dataclass(frozen=True)
class Row:
    """One full run. `door`: curate, api, submit (spark-submit, local) or cluster (spark-submit, standalone)."""

    name: str
    how: str
    door: str = "curate"
    env: dict[str, str] = field(default_factory=dict)
    spark: tuple[str, ...] = ()  # settings KEY=VALUE, for the doors that start their own JVM
    sources: str = ""  # same, shuffled, packed, packed shuffled: ingested anew; else the pool of the first row is read
    folder: str = ""  # name of the folder that holds everything of this row
    uri: bool = False  # pool, output and store are named by file:// URIs
    own: bool = False  # a model, an entry list and a picture folder of its own, named by relative paths
    like: str = ""  # the row to compare with, where it is not the first

    @property
    def relative(self) -> bool:
        """Whether its paths are relative to the folder it is started in."""
        return self.own or self.door in ("submit", "cluster")


def rows(locales: Path) -> list[Row]:
    """All rows; `locales` is where a Turkish locale is built, where the system has none."""
    shuffled = Row("shuffled", "rows shuffled, 3 files, last first, pool at another path", sources="shuffled")
    return [*_doors(), shuffled, *_layouts(), *_surroundings(locales), *_paths(), *_files()]


def _doors() -> list[Row]:
    alone = "zip only, other folder, relative paths"
    return [
        Row("curate", "`curate run full`, local[*]"),
        Row("submit", f"`spark-submit --py-files`, local master, {alone}", "submit"),
        Row("python", "`from curation.run import run`", "api"),
        Row(
            "cluster", f"standalone, 2 workers, {alone}, own ingest", "cluster", {"PYTHONHASHSEED": "3"}, sources="same"
        ),
    ]


def _layouts() -> list[Row]:
    return [
        _partitions(1, cores=1, large=False),
        _partitions(1, cores=3, large=True),
        _partitions(3, cores=3, large=False),
        _partitions(3, cores=1, large=True),
        _partitions(64, cores=1, large=True),
        _partitions(64, cores=3, large=False),
        _batches(1),
        _batches(7),
    ]


def _surroundings(locales: Path) -> list[Row]:
    turkish = _locale(locales, "tr_TR", "UTF-8")
    latin = _locale(locales, "tr_TR", "ISO-8859-9")
    homeless = {"PYTHONHASHSEED": "7", "HOME": NO_HOME}
    small_i = ("spark.driver.defaultJavaOptions=-Duser.language=tr",)
    zone = (f"spark.sql.session.timeZone={FAR}",)
    return [
        Row("hash seed", "PYTHONHASHSEED=7, no home folder, own ingest", env=homeless, sources="same"),
        Row("C locale", "LC_ALL=C, own ingest", env=C_LOCALE, sources="same"),
        Row("Turkish", f"{_told(turkish)}, JVM too, own ingest", env=turkish, spark=small_i, sources="same"),
        Row("Latin-5", f"{_told(latin)}, own ingest", env=latin, sources="same"),
        Row("time zone", f"TZ and session in {FAR}, own ingest", env={"TZ": FAR}, spark=zone, sources="same"),
    ]


def _paths() -> list[Row]:
    return [
        Row("path", f"all in a folder `{STRANGE}`, shuffled", sources="shuffled", folder=STRANGE),
        Row("path, C", "in such a folder, LC_ALL=C", env=C_LOCALE, sources="same", folder=STRANGE),
        Row("path, URIs", "in such a folder, named by file:// URIs", sources="same", folder=STRANGE, uri=True),
        Row("path, submit", "in such a folder, spark-submit", "submit", sources="same", folder=STRANGE),
        Row("path, cluster", "in such a folder, on the cluster", "cluster", sources="same", folder=STRANGE),
    ]


def _files() -> list[Row]:
    return [
        Row("packed", "pictures inside a Parquet table", sources="packed", like="packed"),
        Row("packed, cut", "the same, rows shuffled, 3 files, last first", sources="packed shuffled", like="packed"),
        Row("files", "own model, entry list, picture folder, all relative", sources="same", own=True, like="files"),
        Row("files, cluster", "the same on the cluster", "cluster", sources="same", own=True, like="files"),
    ]


def _partitions(number: int, cores: int, large: bool) -> Row:
    """Settings of `large` tables, or those that small ones are run with."""
    settings = {
        "spark.master": f"local[{cores}]",
        "spark.default.parallelism": number,
        "spark.sql.shuffle.partitions": number,
        "spark.sql.files.maxPartitionBytes": {1: 1 << 27, 3: 1 << 14, 64: 1 << 10}[number],
        "spark.sql.files.openCostInBytes": 1,  # or small files would be read together after all
        "spark.sql.adaptive.enabled": str(large).lower(),
        "spark.sql.codegen.wholeStage": str(large).lower(),
        "spark.sql.codegen.factoryMode": "CODEGEN_ONLY" if large else "NO_CODEGEN",
    }
    how = f"{number} partitions, local[{cores}], adaptive execution and generated code {'on' if large else 'off'}"
    return Row(f"{number}, {cores}", how, spark=tuple(f"{k}={v}" for k, v in settings.items()))


def _batches(size: int) -> Row:
    setting = f"spark.sql.execution.arrow.maxRecordsPerBatch={size}"
    return Row(f"batch {size}", f"Arrow batches of {size}, own ingest", spark=(setting,), sources="same")


def _locale(folder: Path, language: str, charset: str) -> dict[str, str]:
    """The environment of a locale, made in `folder` without installing it; of C.UTF-8 where the system cannot."""
    name, tool = f"{language}.{charset}", shutil.which("localedef")
    if tool is None:
        return {"LC_ALL": "C.UTF-8"}
    if not (folder / name).exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [tool, "-i", language, "-f", charset, str(folder / name)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return {"LC_ALL": "C.UTF-8"}
    return {"LC_ALL": name, "LANG": name, "LOCPATH": str(folder)}


def _told(env: dict[str, str]) -> str:
    return f"LC_ALL={env['LC_ALL']}"
