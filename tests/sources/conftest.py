"""What all tests of sources share: the real data, somewhere for copied images, and a reader's rows as plain dicts."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

from curation.sources.found import FOUND, REJECTED


class Sink:
    """An image sink in memory: what was added, and the bytes behind a pointer."""

    def __init__(self) -> None:
        self.data, self.extensions = b"", []

    def add(self, data: bytes, extension: str) -> dict[str, Any]:
        pointer = {"uri": "pool", "offset": len(self.data), "length": len(data)}
        self.data += data
        self.extensions.append(extension)
        return pointer

    def bytes_of(self, pointer: dict[str, Any]) -> bytes:
        return self.data[pointer["offset"] : pointer["offset"] + pointer["length"]]


class Rows(NamedTuple):
    found: list[dict[str, Any]]
    rejected: list[dict[str, Any]]

    def errors(self) -> list[tuple[str, str]]:
        return [(row["item"], row["error"]) for row in self.rejected]


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def rows() -> Callable[[Iterable[pa.RecordBatch]], Rows]:
    """The rows of a reader's batches, each batch checked against the two schemas."""

    def collect(batches: Iterable[pa.RecordBatch]) -> Rows:
        result = Rows([], [])
        for batch in batches:
            batch.validate(full=True)
            assert batch.schema.equals(FOUND) or batch.schema.equals(REJECTED)
            assert batch.num_rows
            for field, column in zip(batch.schema, batch.columns):
                assert field.nullable or not column.null_count, field.name
            kept = result.found if batch.schema.equals(FOUND) else result.rejected
            kept += [row | {"extra": dict(row["extra"] or {})} if "extra" in row else row for row in batch.to_pylist()]
        return result

    return collect


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real test data; the tests that need it are skipped where it is not mounted."""
    folder = Path(__file__).parents[3] / "shared/data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    """A JPEG of 4 x 3 pixels."""
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (4, 3), "red").save(file, "JPEG")
    return file.getvalue()


class Bounded(NamedTuple):
    """What a child process said, the CPU seconds it took and the memory it came to need, both from `start()` on."""

    lines: list[str]
    cpu_s: float
    more_mb: float


BOUNDED = """
import resource, time
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
def start():
    global began, before
    with open("/proc/self/clear_refs", "w") as file:  # the peak from here on
        file.write("5")
    began, before = time.process_time(), peak()
def peak():
    with open("/proc/self/status") as file:
        return int(file.read().split("VmHWM:")[1].split()[0]) / 1024
exec(CODE)
print()
print("BOUNDED", time.process_time() - began, peak() - before)
"""


@pytest.fixture
def bounded() -> Callable[..., Bounded]:
    """Run code in a process of its own, which calls `start()` when its imports are done."""

    def run(code: str, *arguments: str) -> Bounded:
        root = str(Path(__file__).parents[2])
        command = [sys.executable, "-c", f"CODE = {code!r}\n{BOUNDED}", *arguments]
        environment = os.environ | {"PYTHONPATH": root}
        done = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr
        said, _, figures = done.stdout.rpartition("BOUNDED")
        return Bounded(said.split("\n")[:-2], *map(float, figures.split()))

    return run
