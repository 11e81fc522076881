"""MoDE: a seed and an expert per cluster group, and what their mixture needs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation import tables
from curation.errors import RecipeError
from curation.export import export
from curation.parts import write_part
from curation.records import write_record
from curation.shards.manifest import Release
from curation.trainer.experts import lengths, members, read_groups
from curation.trainer.scales import SCALES
from curation.trainer.train import train
from tests.trainer.conftest import change_mark, write_release

CENTRES = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
GROUPS = [0, 1, 1, 0]


def part_of(out: Path, name: str) -> dict:
    import hashlib

    data = (out / name).read_bytes()
    rows = pq.read_metadata(out / name).num_rows
    return {"name": name, "bytes": len(data), "rows": rows, "sha256": hashlib.sha256(data).hexdigest()}


@pytest.fixture(scope="module")
def clustered(tmp_path_factory, model) -> str:
    """A release of the recipe `mode`, made by hand: a column cluster_group, and centres in a store beside it."""
    folder = tmp_path_factory.mktemp("clustered")
    out = write_release(folder / "release", samples=60, per_shard=20)
    mark = json.loads((out / "manifest/release.json").read_text())
    for part in mark["samples"]:
        table = pq.read_table(out / part["name"])
        groups = pa.array([int(uid[0], 16) % 2 for uid in table["uid"].to_pylist()], pa.int32())
        pq.write_table(table.append_column("cluster_group", groups), out / part["name"], compression="zstd")
    store = folder / "store/stages/cluster_pairs-12"
    rows = [{"cluster": n, "cluster_group": g, "centre": c.tolist()} for n, (g, c) in enumerate(zip(GROUPS, CENTRES))]
    batch = pa.RecordBatch.from_pylist(rows[::-1])
    listed = [write_part(str(store / "centroids"), "all", [batch], batch.schema).record()]
    tables.write_done(str(store), {"tables": {"centroids": listed}})
    write_record(str(out / "recipe.json"), {"recipe": "mode", "pool": "", "store": str(folder / "store")})
    change_mark(
        out,
        samples=[part_of(out, part["name"]) for part in mark["samples"]],
        stages=[{"run": "cluster_pairs", "key": "12", "settings": {"vectors": "caption_embedding"}}],
        signals={"caption_embedding": {"models": {"clip": {"name": model}}}},
    )
    return str(out)


def test_groups_and_members_are_those_of_the_release(clustered, tmp_path):
    release = Release.open(clustered)
    found = read_groups(release)
    assert np.array_equal(found.centres, CENTRES) and found.groups.tolist() == GROUPS
    chosen = members(release, 0, None)
    assert list(chosen) == [0, 1] and sum(map(len, chosen.values())) == 60
    assert all(int(uid[0], 16) % 2 == group for group, uids in chosen.items() for uid in uids)
    assert sum(map(len, members(release, 0.3, None).values())) < 60
    export(clustered, str(tmp_path / "uids.npy"))
    assert members(release, 0, str(tmp_path / "uids.npy")) == chosen


def test_all_together_see_as_many_samples_as_one_model_would():
    plan = SCALES["tiny"]
    seed, seen = lengths(plan, {0: ["a"] * 30, 2: ["b"] * 90})
    assert seed == 1350 and seen == {0: 62, 2: 187}
    with pytest.raises(RecipeError, match=r"wanted a batch of 16 .* found .* \{2: \(4, 31\)\}"):
        lengths(plan, {0: ["a"] * 28, 2: ["b"] * 4})


def test_experts_are_trained_from_the_seed_on_their_pairs_and_mixed_for_a_task(clustered, small, model, tmp_path, log):
    out = tmp_path / "run"
    changes = [f"model={small}", "batch=4", "warmup_steps=0", "experts=true", "samples_seen=96"]
    train(clustered, out=str(out), set=changes, holdout=0, workers=0)
    told = json.loads((out / "experts.json").read_text())
    assert told["experts"] == ["expert-0", "expert-1"] and told["groups"] == GROUPS
    assert len(log(out / "seed")) == 20 and 1 <= len(log(out / "expert-1")) <= 3
    for group in (0, 1):
        uids = (out / f"expert-{group}.uids").read_text().split()
        assert uids == members(Release.open(clustered), 0, None)[group]
        settings = json.loads((out / f"expert-{group}/result.json").read_text())["settings"]
        assert settings["start"] and settings["samples_seen"] == 15 * len(uids) // 60

    assert np.array_equal(np.load(out / "centres.npy", allow_pickle=False), CENTRES)
    assert told["caption_model"] == model


def test_what_is_missing_is_told_before_anything_is_trained(clustered, release, tmp_path):
    with pytest.raises(RecipeError, match="a recipe without cluster_pairs; wanted one as `mode`"):
        read_groups(Release.open(release))
    with pytest.raises(RecipeError, match="no column cluster_group"):
        members(Release.open(release), 0, None)
    shutil.copytree(Path(clustered).parent, tmp_path / "moved")
    shutil.rmtree(tmp_path / "moved/store")
    write_record(str(tmp_path / "moved/release/recipe.json"), {"store": str(tmp_path / "moved/store")})
    with pytest.raises(RecipeError, match="the store that the release was made with holds the clusters' centres"):
        train(str(tmp_path / "moved/release"), out=str(tmp_path / "a"), set=["experts=true"])
    assert not (tmp_path / "a").exists()
