"""Scores of a real release computed again: equal as it is, named where one was altered or the model is another."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from curation.shards.manifest import Release
from curation.shards.rescore import rescore
from curation.shards.verify import verify, verify_release
from tests.shards.damage import read_mark, rewrite_table, write_mark

TABLE = "manifest/samples/00000000.parquet"


@pytest.fixture
def copy(release, tmp_path) -> Path:
    return Path(shutil.copytree(release, tmp_path / "out"))


def altered(table: pa.Table, row: int, change: float | None) -> pa.Table:
    scores = table["clip_score"].to_pylist()
    scores[row] = None if change is None else scores[row] + change
    place = table.schema.get_field_index("clip_score")
    return table.set_column(place, table.schema.field(place), pa.array(scores, pa.float32()))


def test_a_release_as_written_has_no_difference(release):
    told = verify_release(release, rescore=100)
    assert told["faults"] == 0 and told["rescored"] == ["clip_score"] and told["not_rescored"] == []
    assert "rescored" not in verify_release(release)


@pytest.mark.parametrize("change", [0.002, -0.5, None])
def test_an_altered_score_is_named(copy, change, capsys):
    uid = Release.open(str(copy)).shard_samples(0)["uid"][2].as_py()
    rewrite_table(copy, TABLE, lambda table: altered(table, 2, change))
    assert verify(str(copy)) == []  # signed again: only the models can tell
    assert verify_release(str(copy), rescore=1000)["faults"] == 1
    assert f"{uid}: wanted clip_score " in capsys.readouterr().err
    told = verify_release(str(copy), rescore=1000, fix=True, out=str(copy.parent / "new"))
    assert told["faults"] == 1 and "mended" not in told  # a new release would have the same score


def test_a_difference_within_the_tolerance_is_none(copy):
    rewrite_table(copy, TABLE, lambda table: altered(table, 2, 0.0005))
    assert rescore(Release.open(str(copy)), 1000).faults == []


def test_samples_are_drawn_by_seed(copy):
    uids = Release.open(str(copy)).samples(["uid"])["uid"].to_pylist()
    tables = sorted((copy / "manifest/samples").glob("*.parquet"))
    for path in tables:
        rewrite_table(copy, f"manifest/samples/{path.name}", _all_wrong)
    release = Release.open(str(copy))

    def named(count, seed):
        return {fault.partition(":")[0] for fault in rescore(release, count, seed).faults}

    assert named(len(uids), 0) == set(uids)
    assert len(named(4, 0)) == 4 and named(4, 0) == named(4, 0) and named(3, 0) < named(4, 0)
    assert len({frozenset(named(4, seed)) for seed in range(4)}) > 1


def test_pictures_that_were_changed_are_not_scored_again(copy):
    """The values are of the pictures as found."""
    mark = read_mark(copy)
    next(s for s in mark["stages"] if s["run"] == "write_shards")["settings"]["max_side_px"] = 20
    write_mark(copy, mark)
    assert rescore(Release.open(str(copy)), 5) == ([], [], ["clip_score"])


def _all_wrong(table: pa.Table) -> pa.Table:
    place = table.schema.get_field_index("clip_score")
    return table.set_column(place, table.schema.field(place), pc.add(table["clip_score"], pa.scalar(3, pa.float32())))


def test_another_model_is_a_fault_and_nothing_is_computed(copy, model):
    other = copy.parent / "model"
    shutil.copytree(model.removeprefix("local-dir:"), other)
    weights = other / "open_clip_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    mark = read_mark(copy)
    del mark["digest"]
    write_mark(copy, json.loads(json.dumps(mark).replace(model, f"local-dir:{other}")))
    found = rescore(Release.open(str(copy)), 5)
    assert len(found.faults) == 1 and found.columns == []
    assert "wanted signal clip_score of key" in found.faults[0] and "had the digest" in found.faults[0]
