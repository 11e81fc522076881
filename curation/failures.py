"""What went wrong inside Spark or in a worker, told as one of the package's own errors: one line, without traces."""

import errno
import re
import sys

from curation import errors
from curation.errors import BrokenTableError, CurationError, OutputError, TaskError
from curation.session import scratch_folder

LINE = re.compile(r"^(?:[\w.]+\.)?(?P<kind>\w*(?:Error|Exception|Interrupt)): (?P<text>.+)$", re.MULTILINE)
FILE = re.compile(r"reading file (?P<file>\S+?)\.(?:\s|$)")
JAVA = re.compile(r"^(?:Caused by: )?(?:[\w.$]+\.)(?P<kind>\w+(?:Error|Exception)): (?P<text>.+)$", re.MULTILINE)
MEMORY = "give it more: CURATION_SPARK='spark.driver.memory=8g', or spark-submit --driver-memory"


def spark_failures() -> tuple[type[BaseException], ...]:
    """The exceptions that Spark's driver side raises; none while Spark was not imported."""
    if "pyspark" not in sys.modules:
        return ()
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    return (Py4JError, PySparkException, ConnectionError, EOFError)


def store_failures() -> tuple[type[BaseException], ...]:
    """What an object store that does not answer raises; none while none was asked."""
    if "botocore" not in sys.modules:
        return ()
    from botocore.exceptions import BotoCoreError

    return (BotoCoreError,)


def told(error: BaseException) -> CurationError | None:
    """The error behind a failure of Spark, by its own class where a task raised one of the package's errors, or of an
    object store. None for an OSError that is neither's.
    """
    if isinstance(error, store_failures()):
        return OutputError(f"the object store does not answer: {error}; run the same command again when it does")
    if "pyspark" not in sys.modules:
        return None
    if isinstance(error, OSError) and not isinstance(error, ConnectionError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT) and error.filename is None  # PySpark writes there too
        return _scratch_full() if full else None
    from py4j.protocol import Py4JNetworkError

    if isinstance(error, Py4JNetworkError | ConnectionError | EOFError):
        return TaskError("the JVM of Spark ended in the middle of its work; run the same command again to go on")
    text = str(error)
    return from_task(text) or _from_jvm(text) or TaskError(_first_line(text))


def from_task(text: str) -> CurationError | None:
    """What a worker of Spark or of a DataLoader raised: the last line of the traceback that came with it, if any."""
    if "Traceback (most recent call last)" not in text:
        return None
    *_, trace = text.split("Traceback (most recent call last)")
    python = re.split(r"\n\s+at |\n\nJVM stacktrace|\n\tat ", trace)[0]
    found = list(LINE.finditer(python))
    if not found:
        return None
    kind, message = found[-1]["kind"], found[-1]["text"].strip()
    own = vars(errors).get(kind)
    if isinstance(own, type) and issubclass(own, CurationError) and kind != "BadItemError":
        return own(message)
    return TaskError(f"a worker process failed: {kind}: {message}")


def _from_jvm(text: str) -> CurationError | None:
    if "No space left on device" in text or "Disk quota exceeded" in text:
        return _scratch_full()
    if "OutOfMemoryError" in text or "Java heap space" in text:
        return TaskError(f"the JVM of Spark has too little memory; {MEMORY}")
    if "worker exited unexpectedly" in text or "Python worker failed to connect" in text:
        return TaskError("worker processes ended without a word, several times: killed, or out of memory?")
    if "FAILED_READ_FILE" in text or "verify page integrity" in text or "is not a Parquet file" in text:
        file = FILE.search(text)
        where = file["file"] if file else "a part of a table"
        return BrokenTableError(
            f"{where}: {_cause(text)}; restore the file, or delete its folder if it is in the store"
        )
    return None


def _scratch_full() -> OutputError:
    return OutputError(
        f"Spark's scratch folder is full (No space left on device; on this machine {scratch_folder()}): make room, or "
        "set CURATION_TMP to another folder, and run the same command again"
    )


def _cause(text: str) -> str:
    """The innermost Java exception that the text names."""
    found = list(JAVA.finditer(text))
    return f"{found[-1]['kind']}: {found[-1]['text'].strip()}" if found else _first_line(text)


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    java = [line for line in lines if "Exception" in line or "Error" in line]
    return (java or lines or ["no message"])[0]
