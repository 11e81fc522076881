"""Recipes that cover classes or cut a pool into clusters, end to end on drawn pictures."""

import numpy as np
import pytest

from curation.errors import RecipeError
from curation.recipe import load_recipe
from curation.run import run
from curation.shards.manifest import Release
from curation.shards.verify import verify

PROMPTS = "a circle\na square\na triangle\n"


def released(recipe, pool, model, out, *changes):
    run(recipe, pool, str(out), set=[f"signals.clip={model}", *changes])
    assert not verify(str(out))
    found = Release.open(str(out))
    return {row["uid"]: row for row in found.samples().to_pylist()}, found.subset().to_pylist()


def test_clipcov_keeps_its_share(spark, pool, model, tmp_path, monkeypatch):
    (tmp_path / "prompts.txt").write_text(PROMPTS)
    monkeypatch.chdir(tmp_path)
    samples, subset = released("clipcov", pool, model, tmp_path / "out", "select_coverage.share=0.5")
    left = [row for row in subset if row["drop_stage"] in (None, "select_coverage")]
    scored = [row for row in left if row["drop_reason"] in (None, "over_budget")]
    assert len(samples) == len(scored) // 2 > 5
    assert {row["prompt_class"] for row in samples.values()} <= {0, 1, 2}


def test_mode_gives_each_group_shards_of_its_own(spark, pool, model, tmp_path):
    changes = ["cluster_pairs.clusters=6", "cluster_pairs.groups=3", "cluster_pairs.assign=balanced"]
    samples, _ = released("mode", pool, model, tmp_path / "out", *changes)
    shards = {}
    for row in samples.values():
        shards.setdefault(row["cluster_group"], set()).add(row["shard"])
    assert sorted(shards) == [0, 1, 2]
    assert sum(len(each) for each in shards.values()) == len(set.union(*shards.values()))


def test_recipes_of_papers_need_their_files(model, tmp_path):
    np.save(tmp_path / "c.npy", np.eye(24)[:4])
    (tmp_path / "l.tsv").write_text("0\tMicroscopy\n")
    changes = [f"signals.clip={model}", f"inputs.centroids={tmp_path / 'c.npy'}"]
    with pytest.raises(RecipeError, match=r"inputs\.labels"):
        load_recipe("biomedica", changes)
    recipe = load_recipe("biomedica", [*changes, f"inputs.labels={tmp_path / 'l.tsv'}"])
    assert [step.name for step in recipe.steps][-2:] == ["cluster_pairs", "write_shards"]
    assert load_recipe("pmc15m").steps[-1].settings["by"] == "license_group"
