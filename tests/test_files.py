"""Temporary files: those of living processes stay, all others of this machine go."""

import errno
import os
import socket
import threading
import uuid

import pytest
from fsspec.registry import known_implementations

from curation import files
from curation.errors import OutputError, RecipeError
from curation.files import absolute, committing, holds_files, locked, sweep, swept, write_json
from curation.pool import Pool
from curation.shards.manifest import Release
from curation.sources import expand


def test_only_what_a_living_process_writes_stays(tmp_path):
    host, random = socket.gethostname(), "0" * 32
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    left = {
        "a process that is gone": f"a.json.{host}-{2**22 + 7}-123-{random}.tmp",
        "its number given to another process": f"b.json.{host}-{os.getpid()}-1-{random}.tmp",
        "its number given to a thread": f"c.json.{host}-{thread.native_id}-1-{random}.tmp",
    }
    kept = {"another machine's": f"d.json.elsewhere-1-1-{random}.tmp", "no file of ours": "e.tmp"}
    for name in (*left.values(), *kept.values()):
        (tmp_path / name).touch()
    try:
        with committing(str(tmp_path / "f.json")) as file:
            file.write(b"under way")
            sweep(str(tmp_path))
            found = set(os.listdir(tmp_path))
            assert found >= set(kept.values()) and not found & set(left.values())
            assert len(found) == len(kept) + 1
    finally:
        ended.set()
        thread.join()
    assert (tmp_path / "f.json").read_bytes() == b"under way"


def test_what_a_worker_leaves_that_dies_within_is_swept_too(tmp_path):
    left = f"a.parquet.{socket.gethostname()}-{2**22 + 7}-123-{uuid.uuid4().hex}.tmp"
    with swept(str(tmp_path / "none"), str(tmp_path)):
        (tmp_path / left).touch()
        (tmp_path / "a.parquet").touch()
    assert os.listdir(tmp_path) == ["a.parquet"]


def test_a_uri_that_nothing_can_open_is_told_in_a_sentence(tmp_path, monkeypatch):
    assert absolute("file:///data/out/") == "file:///data/out" and absolute("file:/data/out") == "/data/out"
    assert absolute("simplecache::memory://a/") == "simplecache::memory://a"
    monkeypatch.setitem(known_implementations, "gone", {"class": "gone.FS", "err": "Please install it"})
    for uri, says in (("foo://a/b", "foo://a/b: Protocol not known: foo"), ("gone://a", "gone://a: Please install it")):
        for takes in (absolute, Pool.open, Release.open, lambda source: expand([source])):
            with pytest.raises(RecipeError, match=says):
                takes(uri)


def test_a_full_disk_is_told_of_a_lock_too(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OutputError, match=f"{tmp_path}/lock: No space left on device"):
        patch.setattr(os, "write", full)
        with locked(str(tmp_path), wait=False):
            pytest.fail("not held")
    with locked(str(tmp_path), wait=False):
        assert (tmp_path / "lock").read_text().startswith(f"process {os.getpid()} on ")
    assert os.listdir(tmp_path) == []


def failing(monkeypatch, call: str, turn: int, number: int) -> None:
    """Have a call of os fail with this errno, the `turn`-th time it is made, as the kernel's own failures come."""
    real, made = getattr(os, call), []

    def fails(*given, **named):
        made.append(given)
        if len(made) == turn:
            raise OSError(number, os.strerror(number))
        return real(*given, **named)

    monkeypatch.setattr(os, call, fails)


CALLS = [("mkdir", 1), ("mkdir", 2), ("fsync", 1), ("replace", 1), ("open", 1), ("fsync", 2)]


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ENOSPC])
@pytest.mark.parametrize(("call", "turn"), CALLS)
def test_a_file_is_whole_or_as_it_was_whatever_call_fails(tmp_path, monkeypatch, call, turn, number):
    path, old = tmp_path / "a/b/table.json", b"as it was"
    if call != "mkdir":
        path.parent.mkdir(parents=True)
        path.write_bytes(old)
    told = rf"{path}: .*{os.strerror(number)}"
    if number == errno.ENOSPC:
        told += rf": {0 if call == 'mkdir' else '(10,000|0)'} bytes were written, [\d,]+ are free there"
    with monkeypatch.context() as patch, pytest.raises(OutputError, match=told):
        failing(patch, call, turn, number)
        with committing(str(path)) as file:
            file.write(b"n" * 10_000)
    renamed = (call, turn) in (("open", 1), ("fsync", 2))  # only the folder was not on the disk yet
    if call == "mkdir":
        assert not path.parent.exists()
    else:
        assert os.listdir(path.parent) == [path.name] and path.read_bytes() == (b"n" * 10_000 if renamed else old)
    with committing(str(path)) as file:
        file.write(b"again")
    assert os.listdir(path.parent) == [path.name] and path.read_bytes() == b"again"


def test_what_cannot_even_be_deleted_is_swept_once_its_writer_is_dead(tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(OutputError, match="Input/output error"):
        failing(patch, "replace", 1, errno.EIO)
        failing(patch, "unlink", 1, errno.EIO)
        with committing(str(tmp_path / "a.json")) as file:
            file.write(b"{}")
    [left] = os.listdir(tmp_path)
    assert left.startswith("a.json.") and left.endswith(".tmp") and not holds_files(str(tmp_path))
    sweep(str(tmp_path))
    assert os.listdir(tmp_path) == [left]  # this process lives
    monkeypatch.setattr(files, "_started", lambda pid: 0)
    sweep(str(tmp_path))
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_told_of_a_file_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failing(monkeypatch, "fsync", 1, errno.ENOSPC)
    with pytest.raises(OutputError, match=r"a\.json: No space left on device: 2 bytes were written"):
        write_json("a.json", 1)


def test_an_error_of_another_file_is_not_told_as_this_ones(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), committing(str(tmp_path / "a.json")):
        (tmp_path / "elsewhere").read_bytes()
    assert os.listdir(tmp_path) == []


def test_what_killed_writers_left_makes_no_folder_full(tmp_path):
    (tmp_path / "lock").touch()
    (tmp_path / f"recipe.json.another-host.example-7-123-{uuid.uuid4().hex}.tmp").touch()
    assert not holds_files(str(tmp_path)) and not holds_files(str(tmp_path / "none"))
    (tmp_path / "notes.tmp").touch()
    assert holds_files(str(tmp_path))
