"""A reader that never rests: it walks the outputs over and over, and whatever has a final name must be whole."""

import contextlib
import hashlib
import io
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

FINAL = (".tar", ".parquet", ".json", ".jsonl")
FIXED = (".tar", ".parquet")  # under one name always the same bytes: what is written again must come out the same
PAUSE_S = 0.003
END_OF_TAR = bytes(1024)


class Reader:
    """Polls `folders` in the background inside a `with`; `faults` has a sentence for each thing wrong."""

    def __init__(self, *folders: Path) -> None:
        self.folders = folders
        self.polls, self.faults, self.replaced = 0, [], Counter()
        self.seen: dict[str, tuple] = {}  # path -> (inode, bytes, mtime)
        self.digests: dict[str, str] = {}
        self.listed: dict[str, list[tuple[str, int]]] = {}  # commit record -> files that it lists
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Reader":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.thread.join()
        self.poll()

    def _run(self) -> None:
        while not self.stopping.is_set():
            self.poll()
            time.sleep(PAUSE_S)

    def poll(self) -> None:
        """One walk: new and changed files are read whole, listed files must be there."""
        here = set()
        for folder in self.folders:
            for path in _walk(str(folder)):
                here.add(path)
                self._look(path)
        for record in here & self.listed.keys():
            self._check_listed(record)
        self.polls += 1

    def _look(self, path: str) -> None:
        try:
            info = os.stat(path)
            now = (info.st_ino, info.st_size, info.st_mtime_ns)
            if self.seen.get(path) == now:
                return
            with open(path, "rb") as file:  # a rename meanwhile changes nothing: this file stays the one opened
                data = file.read()
        except FileNotFoundError:
            return  # removed since the walk, as staged files are
        suffix = os.path.splitext(path)[1]
        try:
            record = whole(suffix, data)
            self.listed[path] = list(listed(path, record)) if suffix == ".json" else []
        except (ValueError, OSError, KeyError, TypeError, pa.ArrowException) as error:
            self.faults.append(f"reader: {path} is not whole ({len(data)} bytes): {type(error).__name__} {error}")
        digest = hashlib.sha256(data).hexdigest()
        if path in self.seen:
            self.replaced[suffix] += 1
            if suffix in FIXED and digest != self.digests[path]:
                self.faults.append(f"reader: {path} came back with other bytes")
        self.seen[path], self.digests[path] = now, digest

    def _check_listed(self, record: str) -> None:
        for path, size in self.listed[record]:
            try:
                found = os.stat(path).st_size
            except FileNotFoundError:
                found = None
            if found != size and os.path.exists(record):
                self.faults.append(f"reader: {record} lists {path} with {size} bytes, found {found}")


def _walk(folder: str) -> Iterator[str]:
    for parent, _, names in os.walk(folder):
        yield from (os.path.join(parent, name) for name in names if name.endswith(FINAL))


def whole(suffix: str, data: bytes) -> Any:
    """The value of a JSON file, else null; ValueError or the parser's own error where the file is torn."""
    if suffix == ".parquet":
        if data[:4] != b"PAR1" or data[-4:] != b"PAR1":
            raise ValueError("no Parquet magic at both ends")
        pq.read_metadata(io.BytesIO(data))
    elif suffix == ".tar":
        if len(data) % 512 or not data.endswith(END_OF_TAR):
            raise ValueError("no end of archive")
    elif suffix == ".jsonl":
        return [json.loads(line) for line in data.decode().splitlines()]
    elif suffix == ".json":
        return json.loads(data)
    return None


def listed(path: str, record: Any) -> Iterator[tuple[str, int]]:
    """(file, bytes) of each file that a commit record says is there."""
    folder, name = os.path.split(path)
    if name == "_done.json":
        yield from _parts(folder, record["parts"])
        for side, parts in record.get("tables", {}).items():
            yield from _parts(os.path.join(folder, side), parts)
    elif name == "release.json":
        for kind in ("samples", "shards", "tars", "subset"):
            yield from _parts(os.path.dirname(folder), record[kind])
    elif folder.endswith("manifest/parts"):
        yield from _parts(folder.removesuffix("/manifest/parts"), [record["tar"], record["samples"]])
    elif "/signals/" in path:
        yield from _parts(folder, [record])
    elif name == "pool.json":
        with contextlib.suppress(TypeError):
            yield from ((uri, size) for part in record["parts"] for uri, size, _ in part["images"])


def _parts(folder: str, parts: list[dict[str, Any]]) -> Iterator[tuple[str, int]]:
    for part in parts:
        yield os.path.join(folder, part["name"]), part["bytes"]
