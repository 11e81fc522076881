"""A few of the faults of `make faults`; and whether what it watches for is seen when it is there."""

import json
import random
import shutil
import signal
from pathlib import Path

import pytest

from faults.criterion import tree_faults, z_faults
from faults.cuts import cut_points
from faults.kills import Point, chains, points, strike
from faults.processes import Farewell
from faults.reader import Reader
from faults.rivals import lost, rival
from faults.setting import INGEST, RELEASE, Reference, Setting, into_window, ledger
from faults.stops import stop
from faults.table import BEGIN, END, Findings, write_into
from tests.conftest import EASED

ROOT = Path(__file__).parents[1]


@pytest.fixture
def setting(release, pool, model, tmp_path):
    """Trials on the pool of drawings, against the release that the other tests look at."""
    windows = {stage["name"]: stage["seconds"] for stage in ledger(Path(release))} | {RELEASE: 1.0, INGEST: 5.0}
    settings = (f"signals.clip={model}", *EASED)
    made = Setting(tmp_path, ROOT, Path(pool), (), settings, Reference(Path(release), windows=windows), Findings())
    made.fresh()
    return made


def test_a_run_that_is_killed_stopped_and_has_a_rival_ends_as_one_that_is_not(setting):
    draw = random.Random(0)
    with Reader(setting.out, setting.store) as reader:
        run = setting.run()
        assert strike(setting, run, Point("worker", "text", draw.random())) == []
        assert lost(setting, rival(setting)) == []
        into_window(setting, run, "pixels", draw.random())
        faults, _, _ = stop(run, signal.SIGTERM, group=False)
        assert faults == []
        run = setting.run()
        assert strike(setting, run, Point("driver", "dedup_embeddings", draw.random())) == []
        farewell = Farewell(run.mark, 20)
        run = setting.run()
        run.wait()
    assert z_faults(setting, run) == []
    assert farewell.faults() == [] == reader.faults
    assert reader.polls > 1000 and any(path.endswith(".tar") for path in reader.seen)


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("shards/00000000.tar", lambda data: data[:1536], "no end of archive"),
        ("subset/all.parquet", lambda data: data[:-3], "no Parquet magic"),
        ("manifest/release.json", lambda data: data[: len(data) // 2], "not whole"),
        ("shards/00000000.tar", lambda data: data[:600] + b"x" + data[601:], "came back with other bytes"),
    ],
)
def test_the_reader_sees_what_is_torn_or_changed(release, tmp_path, name, change, says):
    shutil.copytree(release, tmp_path / "out")
    with Reader(tmp_path / "out") as reader:
        while reader.polls < 1:
            pass
        path = tmp_path / "out" / name
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(change(data))
    assert any(says in fault and name in fault for fault in reader.faults), reader.faults


def test_the_reader_misses_what_a_commit_record_lists(release, tmp_path):
    shutil.copytree(release, tmp_path / "out")
    (tmp_path / "out/shards/00000000.tar").unlink()
    with Reader(tmp_path / "out") as reader:
        pass
    assert any("lists" in fault and "00000000.tar" in fault for fault in reader.faults)


def test_a_reader_of_a_sound_release_finds_nothing(release):
    with Reader(Path(release)) as reader:
        pass
    assert reader.faults == [] and reader.seen


def test_two_trees_are_equal_but_for_times_places_and_pictures_of_them(release, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(release, out)
    lines = [json.loads(line) | {"seconds": 99} for line in (out / "ledger.jsonl").open()]
    (out / "ledger.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    assert tree_faults(Path(release), out) == []
    (out / "subset" / "all.parquet.host-1-00.tmp").touch()
    (out / "thesis.txt").touch()
    (out / "manifest/release.json").write_text("{}")
    (out / "shards/00000000.tar").unlink()
    left, extra, missing, other = tree_faults(Path(release), out)
    assert "subset/all.parquet.host-1-00.tmp" in left and "thesis.txt" in extra
    assert "shards/00000000.tar" in missing and "manifest/release.json" in other


def test_points_are_seeded_and_reach_each_victim_in_each_stage(setting):
    windows = list(setting.reference.windows)
    every = points(setting, 3 * len(windows), seed=1)
    assert {(p.victim, p.stage) for p in every} == {(v, s) for v in ("driver", "worker", "jvm") for s in windows}
    assert every == points(setting, 3 * len(windows), seed=1) != points(setting, 3 * len(windows), seed=2)
    made = chains(every, windows)
    assert sorted(p for chain in made for p in chain) == sorted(every)
    assert all(len({p.stage == INGEST for p in chain}) == 1 for chain in made)


def test_each_rename_is_cut_before_and_after():
    events = (("driver", "open", "/a~"), ("driver", "rename", "/a"), ("driver", "remove", "/a~"))
    assert [(c["event"], c["when"]) for c in cut_points(events)] == [
        ("open", "after"),
        ("rename", "before"),
        ("rename", "after"),
    ]


def test_the_table_goes_between_its_marks(tmp_path):
    findings = Findings()
    findings.row("fault").add("trial", [], 1.0)
    findings.save(tmp_path / "one.json")
    findings.row("fault").add("trial", ["wrong"], 3.0)
    findings.row("other").note("s", 2)
    findings.save(tmp_path / "two.json")
    both = Findings()
    both.add(tmp_path / "one.json")
    both.add(tmp_path / "two.json")
    assert "| fault | 3 | 2 | 3.0 |" in both.markdown() and both.rows["other"].notes == {"s": 2}
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_into(page, findings.markdown())
    assert page.read_text() == f"before\n{BEGIN}\n{findings.markdown()}{END}\nafter\n"
    assert "| fault | 2 | 1 | 3.0 |" in page.read_text() and findings.failed()
