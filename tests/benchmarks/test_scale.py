"""The measuring of memory and cost: what it makes is seeded and as said, what it sees is what a process used."""

import os
import resource
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import scale  # noqa: E402 - needs the line above
from scaling import captions, measuring, pictures, tables, watching  # noqa: E402

from curation.recipe import load_recipe  # noqa: E402
from curation.sources import tars  # noqa: E402

BUSY = """
import subprocess, sys, time
held = bytearray(b"x") * 200_000_000
end = time.process_time() + 1
while time.process_time() < end: pass
subprocess.run([sys.executable, "-c", "held = bytearray(b'x') * 100_000_000; import time; time.sleep(3)"])
print("said", file=sys.stderr, flush=True)
print("result")
"""


@pytest.fixture(scope="module")
def words():
    return captions.vocabulary()


def test_watched_sees_memory_and_cpu_of_the_tree():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = watching.watched([sys.executable, "-c", BUSY], print)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    columns = dict(zip(watching.SAMPLE, zip(*found["samples"])))
    assert 200 < found["peaks"]["driver"] < 260  # of the process itself, not of its child
    assert max(columns["rss_driver"]) > 300  # of both
    assert 0.5 * used < columns["cpu_driver"][-1] < used + 0.1 and used > 1
    assert found["stdout"] == "result\n"
    assert [line for _, line in found["lines"]] == ["said"]
    assert found["lines"][0][0] > 1.5


def test_watched_tells_jvm_and_workers(tmp_path):
    java = tmp_path / "java"
    java.symlink_to(os.path.realpath(sys.executable))
    below = f"import subprocess; subprocess.run([{sys.executable!r}, '-c', {BUSY!r}])"
    main = f"import subprocess; subprocess.run([{str(java)!r}, '-S', '-c', {below!r}, '-Xmx3g'])"
    found = watching.watched([sys.executable, "-c", main], print)
    last = dict(zip(watching.SAMPLE, found["samples"][-1]))
    assert last["cpu_workers"] > 0.7 > last["cpu_driver"]
    assert found["peaks"]["worker"] > 200 > found["peaks"]["jvm"] > 0
    assert found["peaks"]["heap"] == pytest.approx(3 * 1024**3 / 1e6, abs=0.1)


def test_watched_sees_files_that_are_gone_at_the_end(tmp_path):
    write = f"import os, time; open({str(tmp_path / 'a')!r}, 'wb').write(bytes(5_000_000)); time.sleep(3)"
    found = watching.watched([sys.executable, "-c", f"{write}; os.unlink({str(tmp_path / 'a')!r})"], print, tmp_path)
    assert found["peaks"]["scratch"] == 5.0


def test_a_command_that_fails_is_an_error():
    with pytest.raises(subprocess.CalledProcessError, match="status 3"):
        watching.watched([sys.executable, "-c", "import sys; sys.exit(3)"], print)


def test_captions_are_seeded_and_have_the_shares_they_name(words):
    table = captions.table(words, 1)
    assert table.equals(captions.table(words, 1)) and not table.equals(captions.table(words, 2))
    assert 50 < pc.mean(pc.utf8_length(table["caption"])).as_py() < 65  # 58 in real alt-texts
    assert 900 < pc.max(pc.utf8_length(table["caption"])).as_py() < 2000
    repeated = len(table) - len(table["url"].unique())
    assert 0.8 < repeated / len(table) / captions.SAME_IMAGE < 1.2
    assert len(captions.made_words(10**6 + 1000).unique()) == 10**6 + 1000


def test_a_longer_corpus_begins_with_the_shorter(tmp_path, monkeypatch):
    monkeypatch.setattr(captions, "FILE_ROWS", 1000)
    short, long = captions.write_tables(tmp_path, 1500), captions.write_tables(tmp_path, 2000)
    assert [pq.read_metadata(path).num_rows for path in short] == [1000, 500]
    assert short[0] == long[0] and pq.read_table(long[1])[:500].equals(pq.read_table(short[1]))


def test_pictures_are_read_as_pairs(tmp_path):
    [path] = pictures.write_tars(tmp_path, 30)
    found = [pair for batch in tars.read(str(path), None) for pair in batch.to_pylist()]
    assert len(found) == 30 and all("identity" in pair for pair in found)
    assert 10_000 < path.stat().st_size / 30 < 40_000
    assert pictures.drawn(3).tobytes() == pictures.drawn(3).tobytes()


TEXT = ["clean_captions", "text", "dedup_pairs", "match_entries", "balance_entries", "prune_frequent_words"]


@pytest.mark.parametrize("name", scale.CAPTIONS)
def test_a_part_of_a_recipe_is_its_own_steps(tmp_path, name):
    path = scale.part_of_recipe(name, tmp_path)
    recipe, left_out = scale.CAPTIONS[name]
    steps = [step.name for step in load_recipe(path).steps]
    whole = {step.get("name", step["run"]): step for step in tomllib.loads(load_recipe(recipe).text)["stage"]}
    assert steps == [step for step in whole if step not in left_out][:-1] and list(whole)[-1] == "write_shards"
    assert all(step == whole[step.get("name", step["run"])] for step in tomllib.loads(Path(path).read_text())["stage"])
    assert left_out <= set(whole) and (name != "text" or steps == TEXT)


def test_every_series_has_a_heading_and_t_where_it_balances(tmp_path):
    assert set(tables.RECIPES) == {*scale.CAPTIONS, scale.PICTURES} == set(scale.SMALL)
    settings = {name: measuring._settings(scale.series(name, tmp_path), 10**6) for name in tables.RECIPES}
    balanced = ["--set", "balance_entries.t=2000"]
    wanted = {"text": balanced, "metaclip": balanced, "wfpp": [], "full": ["--set", "balance_entries.t=20000"]}
    assert settings == wanted


def test_an_unknown_series_is_refused(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["scale.py", "--recipes", "metaclip,wffp"])
    with pytest.raises(SystemExit, match="2"):
        scale.main()
    assert "['wffp']; known: ['text', 'metaclip', 'wfpp', 'full']" in capsys.readouterr().err


def _result(size, cpu, worker):
    phases = [{"name": "ingest", "seconds": 1.0, "cpu": {"driver": 0.0, "jvm": cpu, "workers": 0.0}}]
    peaks = {"driver": 150.0, "jvm": 3000.0, "worker": worker, "heap": 3221.0}
    one = {"phases": phases, "peaks": peaks}
    return {"series": "text", "size": size, "pairs": size, "ingest": one, "run": one}


@pytest.mark.parametrize(
    ("cpu", "worker", "failing"),
    [(101, 300, []), (120, 300, ["CPU a pair"]), (101, 400, ["memory of the worker"])],
)
def test_checks_find_growth(cpu, worker, failing):
    start = {f"{what} text": {"ingest": {"seconds": 1.0, "cpu": {"jvm": 1.0}}} for what in ("ingest", "run")}
    found = tables.checks({"text": [_result(10**5, 11, 300.0), _result(10**6, cpu, float(worker))]}, start)
    assert [c["check"].partition(": ")[2] for c in found if not c["ok"]] == failing * 2


def test_phases_cut_a_run_at_its_lines():
    samples = [[t / 5, 0.0, float(t), 0.0, 150.0, 100.0 + t, 0.0, 0.0] for t in range(51)]
    run = {"samples": samples, "seconds": 10.0, "lines": [(4.0, "[1/2] a: 9 in, 9 out (2.0 s)"), (8.0, "[2/2] b: x")]}
    ledger = [{"name": n, "seconds": 2.0, "rows_in": 9, "rows_out": 9} for n in "ab"]
    phases = measuring._phases(run, ledger)
    assert [(p["name"], p["seconds"], round(p["cpu"]["jvm"])) for p in phases] == [
        ("start", 2.0, 10),
        ("a", 2.0, 10),
        ("b", 4.0, 20),
        ("release", 2.0, 10),
    ]
    assert phases[1]["mb"]["jvm"] == 120.0


def test_sampling_costs_little():
    watch = watching.Watch(os.getpid(), Path("/nowhere"))
    before = time.process_time()
    for _ in range(10):
        watch.look()
    assert (time.process_time() - before) / 10 < 0.25 * watching.PERIOD


@pytest.mark.parametrize(("last", "ok"), [(1011.0, True), (1200.0, False)])
def test_checks_compare_the_cost_of_further_pairs(last, ok):
    start = {f"{what} text": {"ingest": {"seconds": 1.0, "cpu": {"jvm": 1.0}}} for what in ("ingest", "run")}
    sizes = [_result(10**5, 11.0, 300.0), _result(10**6, 101.0, 300.0), _result(10**7, last, 300.0)]
    found = [c for c in tables.checks({"text": sizes}, start) if c["check"].endswith("CPU a further pair")]
    assert [c["ok"] for c in found] == [ok, ok]
