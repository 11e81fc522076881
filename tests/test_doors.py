"""Three doors, one result: the matrix sees each difference; a cluster that has the zip alone writes the same bytes."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from doors import inputs
from doors.cluster import bare_python, standalone
from doors.commands import Bench, Door
from doors.doors import OTHER_WORKER, Result, faulty, table
from doors.fingerprint import KINDS, differing, fingerprint
from doors.processes import MARK, RowError, end_strays, run, running, strays
from doors.rows import NO_HOME, Row, rows
from tests.conftest import EASED

ROOT = Path(__file__).parents[1]


@pytest.fixture
def copied(release, tmp_path):
    return Path(shutil.copytree(release, tmp_path / "out"))


@pytest.mark.parametrize("kind", KINDS)
def test_one_changed_byte_is_a_difference_in_its_kind_alone(release, copied, kind):
    before = fingerprint(Path(release))
    assert fingerprint(copied) == before
    path = sorted(copied.glob(KINDS[kind][0]))[-1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    after = fingerprint(copied)
    assert differing(before, after) == [str(path.relative_to(copied))]
    assert [k for k in KINDS if before.kinds[k] != after.kinds[k]] == [kind]


def test_a_missing_or_further_file_is_a_difference(release, copied):
    before = fingerprint(Path(release))
    (copied / "shards/00000000.tar").unlink()
    (copied / "subset/more.parquet").touch()
    assert differing(before, fingerprint(copied)) == ["shards/00000000.tar", "subset/more.parquet"]
    shutil.rmtree(copied / "subset")
    with pytest.raises(FileNotFoundError, match="subset"):
        fingerprint(copied)


def test_the_digest_is_what_sha256sum_says(release):
    said = subprocess.run("sha256sum shards/* | sha256sum", shell=True, cwd=release, capture_output=True, check=True)
    assert said.stdout.decode().split()[0] == fingerprint(Path(release)).kinds["tars"]


def test_a_row_is_compared_with_the_one_it_names(release, copied):
    (copied / "manifest/release.json").write_text("{}")
    one, other = fingerprint(Path(release)), fingerprint(copied)
    results = [
        Result(Row("a", ""), 1, one),
        Result(Row("b", ""), 1, other),
        Result(Row("c", "", like="b"), 1, other),
        Result(Row("d", ""), 1, None, "curate ended with 1"),
    ]
    assert [faulty(results, r) for r in results] == [
        "",
        "DIFFERS: manifest/release.json",
        "",
        "FAILED: " + results[3].fault,
    ]
    assert table(results).endswith("\nb: DIFFERS: manifest/release.json\nd: FAILED: curate ended with 1\n")
    assert table(results[:1]).endswith("\nall equal: 1 rows\n")


def test_rows_have_names_of_their_own_and_name_rows_that_are_there(tmp_path):
    made = rows(tmp_path)
    names = [row.name for row in made]
    assert len(set(names)) == len(names) and {row.like for row in made} <= {"", *names}
    assert made[0] == Row("curate", made[0].how)  # what all others differ from


def test_shuffled_sources_hold_the_same_rows_in_another_order(tmp_path):
    folder = inputs.draw_sources(tmp_path / "one")
    before = inputs.read_table(folder / inputs.TABLE)
    after = [row for t in inputs.shuffle_sources(folder, tmp_path / "other") for row in inputs.read_table(t)]
    assert sorted(after) == sorted(before) and after != before
    [whole] = inputs.pack_sources(folder, tmp_path / "whole", shuffled=False)
    parts = inputs.pack_sources(folder, tmp_path / "parts", shuffled=True)
    rows = [row for t in parts for row in pq.read_table(t).to_pylist()]
    assert pq.read_table(whole)["key"].to_pylist() == [row[2] for row in before]
    assert sorted(rows, key=str) == sorted(pq.read_table(whole).to_pylist(), key=str)


def test_a_command_is_ended_with_what_it_started_and_a_failing_one_is_told(tmp_path):
    env = os.environ | {MARK: tmp_path.name}
    log = tmp_path / "log"
    with running(["bash", "-c", "sleep 1000 & wait"], cwd=tmp_path, env=env, log=log):
        until = time.monotonic() + 10
        while len(strays(tmp_path.name)) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert len(strays(tmp_path.name)) == 2
    assert end_strays(tmp_path.name) == {}
    with pytest.raises(RowError, match="bash ended with 3: no luck"):
        run(["bash", "-c", "echo no luck; exit 3"], cwd=tmp_path, env=env, log=log)


def test_a_cluster_with_the_zip_alone_writes_the_same_bytes(release, pool, model, tmp_path):
    """Two workers without home, one in another locale and time zone, each in a folder of its own; paths relative."""
    zipped = Path(shutil.make_archive(str(tmp_path / "curation"), "zip", ROOT, "curation"))
    bench = Bench(tmp_path, zipped, bare_python(tmp_path / "bare"), tmp_path.name)
    row = Row("cluster", "", "cluster", {"PYTHONHASHSEED": "5"})
    env, place = bench.environment(row), tmp_path / "started here"
    place.mkdir()
    try:
        with standalone(tmp_path / "cluster", env | {"HOME": NO_HOME}, OTHER_WORKER) as master:
            door = Door(bench, row, place, master, (f"signals.clip={model}", *EASED))
            command = door.curate(Path(pool), place / "out", place / "store")
            run(command, cwd=place, env=env, log=tmp_path / "log")
    finally:
        left = end_strays(bench.mark)
    assert left == {}
    assert differing(fingerprint(Path(release)), fingerprint(place / "out")) == []
