"""A recipe's phases of training: which shards they name in release.json, and what is refused."""

import pytest

from curation.errors import RecipeError
from curation.recipe import load_recipe
from curation.run import run
from curation.shards.manifest import Release
from curation.shards.verify import verify


def test_wfpp_lists_the_pruned_set_and_the_full_one(spark, pool, tmp_path):
    out = str(tmp_path / "out")
    run("wfpp", pool, out, store=str(tmp_path / "store"), set=["write_shards.samples_per_shard=8"])
    mark = Release.open(out).mark
    pruned, full = mark["phases"]
    kept = mark["counts"]["kept"]
    assert pruned["samples"] == int(kept * 0.8) and full["samples"] == kept
    assert (pruned["epochs"], pruned["lr"], full["epochs"], full["lr"]) == (30, 1e-3, 1, 1e-5)
    assert pruned["shards"] == [[0, -(-pruned["samples"] // 8) - 1]]
    assert full["shards"] == [*pruned["shards"], [pruned["shards"][0][1] + 1, mark["counts"]["shards"] - 1]]
    samples = Release.open(out).samples(["shard", "frequent_words_kept"]).to_pylist()
    assert all((s["shard"] <= pruned["shards"][0][1]) == s["frequent_words_kept"] for s in samples)
    assert not verify(out)


def test_a_recipe_that_drops_has_one_set(spark, pool, tmp_path):
    out = str(tmp_path / "out")
    changes = ["prune_frequent_words.drop=true", "write_shards.samples_per_shard=8"]
    run("wfpp", pool, out, store=str(tmp_path / "store"), set=changes)
    pruned, full = Release.open(out).mark["phases"]
    assert pruned["samples"] == full["samples"] == Release.open(out).mark["counts"]["kept"]


@pytest.mark.parametrize("line", ["epochs = 0", "sets = 3", "shards = [1]"])
def test_a_phase_that_means_nothing_is_refused(tmp_path, line):
    path = tmp_path / "r.toml"
    path.write_text(f'[[stage]]\nrun = "clean_captions"\n[[phase]]\nname = "a"\n{line}\n')
    with pytest.raises(RecipeError, match=f"phase 1: {line.split()[0]}"):
        load_recipe(str(path))
