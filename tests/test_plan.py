"""curate plan: what it says of a pool is what a run then does, and it leaves nothing behind."""

import os

import pytest

from curation.errors import RecipeError
from curation.plan import _counted, plan
from curation.recipe import load_recipe
from curation.run import run
from curation.shards.manifest import Release
from tests.made_pool import make_pool

RECIPE = """
[[stage]]
name = "text"
run = "select_subset"
with.keep.caption_words = { min = 3 }

[[stage]]
run = "sample_budget"
with.size = 40

[[stage]]
run = "write_shards"
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plan")
    make_pool(folder / "pool", 200, 0, 1)
    (folder / "some.toml").write_text(RECIPE)
    return folder


def test_a_plan_of_all_pairs_is_what_a_run_does(spark, made, monkeypatch, tmp_path):
    monkeypatch.setenv("CURATION_TMP", str(tmp_path))
    told = plan(str(made / "some.toml"), str(made / "pool"))
    assert os.listdir(tmp_path) == [] and not (made / "pool" / "store").exists()
    run(str(made / "some.toml"), str(made / "pool"), str(made / "out"))
    release = Release.open(str(made / "out"))
    assert told["kept"] == release.mark["counts"]["kept"] and told["pairs"] == told["sample"] == 200
    assert [s["rows_out"] for s in told["steps"]] == [s["rows_out"] for s in release.mark["stages"]]
    assert told["shard_bytes"] == sum(tar["bytes"] for tar in release.tars)
    assert told["hours"] >= 0 and told["device"] is None


def test_a_sample_gives_shares_and_smaller_thresholds(spark, made):
    told = plan(str(made / "some.toml"), str(made / "pool"), sample=100)
    text, budget, _ = told["steps"]
    assert text["rows_in"] == 200 and 100 < text["rows_out"] < 200
    assert budget["rows_out"] == 40  # 20 of a hundred


def test_settings_that_count_pairs_are_scaled_and_no_others():
    recipe = load_recipe("full", ["balance_entries.t=500"])
    assert _counted(recipe, 0.1) == ["balance_entries.t=50"]


def test_a_budget_counts_pairs(made):
    recipe = made / "mixed.toml"
    recipe.write_text('[[stage]]\nrun = "mix_sources"\nwith.weights.drawings = 1\nwith.budget = 40\n')
    assert _counted(load_recipe(str(recipe)), 0.5) == ["mix_sources.budget=20"]


def test_few_pairs_are_refused(spark, tmp_path):
    make_pool(tmp_path / "pool", 20, 0, 0)
    (tmp_path / "some.toml").write_text(RECIPE)
    with pytest.raises(RecipeError, match="20 pairs, at least 40 are wanted"):
        plan(str(tmp_path / "some.toml"), str(tmp_path / "pool"))
