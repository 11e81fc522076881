"""A recipe's phases of training: which shards they name in release.json, and what is refused."""

import pytest

from curation.errors import RecipeError
from curation.recipe import load_recipe
from curation.run import run
from curation.shards.manifest import Release
from curation.shards.verify import verify
from tests.made_pool import make_pool


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


def test_scaling_down_trains_on_the_best_whatever_the_shares(spark, pool, tmp_path):
    out = str(tmp_path / "out")
    run("scaling_down", pool, out, store=str(tmp_path / "store"), set=["band_scores.shares=[0.1,0.2,0.4,1.0]"])
    (best,) = Release.open(out).mark["phases"]
    rows = Release.open(out).samples(["shard", "score_band"]).to_pylist()
    trained = {n for first, last in best["shards"] for n in range(first, last + 1)}
    assert trained == {row["shard"] for row in rows if row["score_band"] <= 0.4} and len(trained) >= 2
    assert best["samples"] == sum(row["score_band"] <= 0.4 for row in rows)


def test_samples_of_a_phase_are_those_written(spark, tmp_path):
    make_pool(tmp_path / "pool", 200, 0, 1)  # some of its pictures do not decode
    out = str(tmp_path / "out")
    run("wfpp", str(tmp_path / "pool"), out)
    mark = Release.open(out).mark
    dropped = [stage["drops"] for stage in mark["stages"] if stage["run"] == "write_shards"]
    assert mark["phases"][1]["samples"] == mark["counts"]["kept"] and dropped[0]["unreadable_image"] > 0


def test_sets_of_shards_that_nothing_divides_are_refused(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text('[[stage]]\nrun = "write_shards"\n[[phase]]\nname = "a"\nup_to = 0.4\n')
    with pytest.raises(RecipeError, match=r"phases \['a'\] name sets of shards; wanted write_shards.by in the last"):
        load_recipe(str(path))


@pytest.mark.parametrize("line", ["epochs = 0", "sets = 3", "shards = [1]", "up_to = 0.4\nsets = []"])
def test_a_phase_that_means_nothing_is_refused(tmp_path, line):
    path = tmp_path / "r.toml"
    path.write_text(f'[[stage]]\nrun = "clean_captions"\n[[phase]]\nname = "a"\n{line}\n')
    with pytest.raises(RecipeError, match=f"phase 1: .*({line.split()[0]}|give sets or up_to)"):
        load_recipe(str(path))
