"""Remote shards: fetched once, checked, in a folder that stays within its bound whoever reads beside."""

import functools
import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from curation.errors import BrokenTableError
from curation.shards.cache import SUFFIX, ShardCache
from curation.shards.dataset import ManifestDataset
from curation.shards.manifest import Release


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files with ranges, as an object store answers; counts what is asked of tars."""

    asked: list[str] = []  # noqa: RUF012

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            return self.send_error(404)
        data, wanted = path.read_bytes(), self.headers.get("Range")
        if path.suffix == ".tar":
            self.asked.append(path.name)
        first, last = 0, len(data) - 1
        if wanted:
            start, _, end = wanted.removeprefix("bytes=").partition("-")
            first, last = int(start), min(int(end or last), last)
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        self.wfile.write(data[first : last + 1])


@pytest.fixture
def served(make_release):
    """(the URL of a release behind a server on loopback, its folder)."""
    pytest.importorskip("aiohttp")
    out = make_release(samples=24, per_shard=4)
    Handler.asked.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(out)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", out
    server.shutdown()


def kept(folder) -> int:
    return sum(path.stat().st_size for path in Path(folder).glob(f"*{SUFFIX}"))


def test_the_same_samples_as_from_the_disk_each_shard_fetched_once(served, tmp_path):
    url, out = served
    local = list(ManifestDataset(str(out)))
    cache = str(tmp_path / "cache")
    assert list(ManifestDataset(url, cache=cache)) == local
    assert len({*Handler.asked}) == 6
    Handler.asked.clear()
    assert list(ManifestDataset(url, cache=cache)) == local and Handler.asked == []


def test_the_folder_stays_within_its_bound(served, tmp_path):
    url, out = served
    largest = max(tar["bytes"] for tar in Release.open(str(out)).tars)
    cache = str(tmp_path / "cache")
    most = 0
    for sample in ManifestDataset(url, cache=cache, cache_bytes=3 * largest):
        most = max(most, kept(cache))
        assert sample["image"]
    assert most <= 3 * largest
    assert len(list(Path(cache).glob(f"*{SUFFIX}"))) >= 2


def test_the_one_that_was_longest_not_read_goes_first_but_none_that_is_read(served, tmp_path):
    url, out = served
    tars = Release.open(str(out)).tars
    cache = ShardCache(str(tmp_path / "cache"), sum(tar["bytes"] for tar in tars[:3]) + 9000)

    def names():
        return {path.name.removesuffix(SUFFIX) for path in Path(cache.folder).glob(f"*{SUFFIX}")}

    held = cache.open(f"{url}/{tars[0]['name']}", tars[0])
    for tar in (tars[1], tars[2], tars[1], tars[3]):
        assert bytes(cache.open(f"{url}/{tar['name']}", tar)) == (out / tar["name"]).read_bytes()
    assert names() == {tars[n]["sha256"] for n in (0, 1, 3)}
    held.close()
    cache.open(f"{url}/{tars[4]['name']}", tars[4])
    assert tars[0]["sha256"] not in names()


def test_what_is_not_as_committed_is_refused(served, tmp_path):
    url, out = served
    tar = Release.open(str(out)).tars[2]
    data = bytearray((out / tar["name"]).read_bytes())
    data[700] ^= 1
    (out / tar["name"]).write_bytes(data)
    cache = ShardCache(str(tmp_path / "cache"), 1 << 30)
    with pytest.raises(BrokenTableError, match="wanted sha256"):
        cache.open(f"{url}/{tar['name']}", tar)
    assert kept(cache.folder) == 0


def test_a_file_is_on_the_disk_before_it_is_named_and_fetched_again_where_it_is_cut(served, tmp_path, monkeypatch):
    url, out = served
    tar = Release.open(str(out)).tars[0]
    cache = ShardCache(str(tmp_path / "cache"), 1 << 30)
    calls = []
    for name in ("fsync", "link"):
        call = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *given, name=name, call=call: (calls.append(name), call(*given)))
    cache.open(f"{url}/{tar['name']}", tar)
    assert calls == ["fsync", "link"]
    [path] = Path(cache.folder).glob(f"*{SUFFIX}")
    os.truncate(path, 100)
    assert bytes(cache.open(f"{url}/{tar['name']}", tar)) == (out / tar["name"]).read_bytes()


READER = """
import json, sys
from curation.shards.cache import ShardCache
url, folder, limit, tars = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
import hashlib
for turn in range(3):
    for tar in tars:
        data = ShardCache(folder, limit).open(f"{url}/{tar['name']}", tar)
        assert hashlib.sha256(data).hexdigest() == tar["sha256"]
"""


def test_several_processes_share_a_small_folder(served, tmp_path):
    url, out = served
    tars = Release.open(str(out)).tars
    limit, folder = 2 * max(tar["bytes"] for tar in tars) + 1, tmp_path / "cache"
    commands = [
        [sys.executable, "-c", READER, url, str(folder), str(limit), json.dumps(tars[n:] + tars[:n])] for n in (0, 2, 4)
    ]
    readers = [subprocess.Popen(command) for command in commands]
    assert [reader.wait(300) for reader in readers] == [0, 0, 0]
    assert not list(folder.glob("*.part"))
    (folder / (tars[0]["sha256"] + SUFFIX)).unlink(missing_ok=True)
    ShardCache(str(folder), limit).open(f"{url}/{tars[0]['name']}", tars[0])  # nobody holds anything now
    assert sum(file.stat().st_size for file in folder.glob(f"*{SUFFIX}")) <= limit


def test_fetches_that_run_at_once_count_each_other(tmp_path):
    cache = ShardCache(str(tmp_path), 25)
    for name in "ab":
        (tmp_path / (name + SUFFIX)).write_bytes(bytes(10))
    with cache._reserved(10), cache._reserved(10):
        assert sorted(path.suffix for path in tmp_path.iterdir() if path.name != "lock") == [".part", ".part"]
