"""A download that is killed, stopped and run again ends as one that nothing happened to."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq

from curation.download.table import left_over
from curation.ingest import ingest
from curation.pool import Pool
from tests.download.serving import Site, send

ROOT = Path(__file__).parents[2]
HOSTS = [f"127.0.0.{number}" for number in range(2, 10)]
IMAGES = 1100  # more than one task, so that one is done while another goes on


def _answer(jpeg, pause):
    def answer(handler):
        time.sleep(pause)
        number = int(handler.path.strip("/x"))
        if number % 10 == 0:
            return send(handler, b"", 404)
        return send(handler, jpeg + bytes([number % 256]))

    return answer


def _start(pool, out):
    hosts = [flag for host in HOSTS for flag in ("--allow-host", host)]
    command = [
        sys.executable,
        "-m",
        "curation.cli",
        "download",
        str(pool),
        "--out",
        str(out),
        "--contact",
        "me",
        *hosts,
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*command, "--per-host", "8"], env=environment, start_new_session=True, **streams)


def _until(found, run):
    """Wait until `found()` says so; the run must go on that long."""
    end = time.monotonic() + 120
    while not found():
        assert run.poll() is None and time.monotonic() < end, run.communicate()[1]
        time.sleep(0.02)


def _end(run, number):
    os.killpg(run.pid, number)
    run.communicate()
    return run.returncode


def _rows(out, table):
    """The rows of a table, less when and where; files from its commit record."""
    [record] = Path(out).glob("downloads/_done.json" if table == "downloads" else "pairs/*/_done.json")
    parts = json.loads(record.read_text())["parts"]
    rows = [row for part in parts for row in pq.read_table(record.parent / part["name"]).to_pylist()]
    for row in rows:
        row.pop("fetched_at", None)
        if row["image"]:
            row["image"]["uri"] = Path(row["image"]["uri"]).name
    return sorted(rows, key=lambda row: row["image_id"])


def test_what_an_interrupted_run_left_is_found_in_a_folder_of_any_name(tmp_path, monkeypatch):
    monkeypatch.setattr("curation.download.pages.finished", lambda home, name: {"home": home, "name": name})
    home = tmp_path / "pool[1]"
    assert left_over(str(home)) == []
    (home / "staging").mkdir(parents=True)
    for name in ("b.json", "a.json", "a.parquet", "a.json.host-1-1.tmp"):
        (home / "staging" / name).touch()
    assert left_over(str(home)) == [{"home": str(home), "name": name} for name in "ab"]


def test_killed_and_stopped_and_run_again(spark, tmp_path, jpeg):
    paths = [f"/x{number}" for number in range(IMAGES)]
    pool, out, plain = (tmp_path / name for name in ("pool", "out", "plain"))
    slow = {host: 0.15 if host == HOSTS[0] else 0.0 for host in HOSTS}
    sites = [Site({path: _answer(jpeg, slow[host]) for path in paths}, host) for host in HOSTS]
    for site in sites:
        site.__enter__()
    urls = [sites[number % len(sites)].url(path) for number, path in enumerate(paths)]
    table = tmp_path / "urls.tsv"
    table.write_text("url\tcaption\n" + "".join(f"{url}\tpicture {n}\n" for n, url in enumerate(urls)))
    ingest([str(table)], out=str(pool))
    try:
        run = _start(pool, out)
        _until(lambda: list(out.glob("staging/*.json")), run)
        assert _end(run, signal.SIGKILL) == -signal.SIGKILL
        asked = sum(site.asked.total() for site in sites)
        run = _start(pool, out)
        _until(lambda: sum(site.asked.total() for site in sites) > asked + 20, run)
        assert _end(run, signal.SIGTERM) == 128 + signal.SIGTERM
        run = _start(pool, out)
        said, told = run.communicate()
        assert run.returncode == 0, told
        twice = sum(site.asked[path] > 1 for site in sites for path in paths)
        whole = _start(pool, plain)
        expected, told = whole.communicate()
        assert whole.returncode == 0, told
    finally:
        for site in sites:
            site.__exit__()
    result, wanted = json.loads(said), json.loads(expected)
    assert wanted["statuses"] == {"http_404": IMAGES // 10, "ok": IMAGES - IMAGES // 10} == result["statuses"]
    assert 0 < twice < IMAGES and result["fetched"] < IMAGES  # what was finished was not asked for again
    for name in ("downloads", "pairs"):
        assert _rows(out, name) == _rows(plain, name)
    tars = [{path.name: path.read_bytes() for path in folder.glob("images/*.tar")} for folder in (out, plain)]
    assert tars[0] == tars[1] and len(tars[0]) > 1
    assert Pool.open(str(out)).key == Pool.open(str(plain)).key
    assert not list(out.rglob("*.tmp")) and not (out / "staging").exists() and not (out / "lock").exists()
