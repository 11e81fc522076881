"""The proof: scenes are functions of their number, faults are what they say, figures are told as they were measured."""

import io
import json
import sys
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import proof
import proving
from plan import Item
from proving import faults, inputs, outcome
from proving import scene as scene_module
from proving.arms import FIRST, FULL, KNOWN, POOL, RANDOM, Arm, common, scene_arms
from proving.faults import CLEAN, RATES, fault_of, pair
from proving.pool import Kept, subset_file
from proving.scene import frequent, held_out, planned, scene
from proving.shown import markdown, picture
from proving.things import NAMED, Things

from curation.decode import decode
from curation.errors import BadItemError
from curation.recipe import load_recipe
from curation.trainer.layouts import tar_pictures
from curation.trainer.sets import open_sets

NAMES = ("crow", "heron", "lynx", "stork", "otter", "raven", "finch", "mole")


@pytest.fixture(scope="module")
def known() -> Things:
    """Eight names, each a shape in a colour, beside the shapes as the catalogue has them."""
    import shapes

    items = {}
    for name in shapes.NAMES:
        items[name] = [
            Item(shapes.shape(name, rgb, 100), name, f"{name}s", c, rgb) for c, rgb in shapes.COLOURS.items()
        ]
    for name, shape, (colour, rgb) in zip(NAMES, shapes.NAMES, shapes.COLOURS.items()):
        items[name] = [Item(shapes.shape(shape, rgb, 100), name, f"{name}s", colour, rgb)]
    return Things(items, NAMES, {"": ["Ein Hund.", "Un gatto."], "crow": ["Eine Krähe."]})


def test_a_scene_is_a_function_of_its_seed_and_number(known):
    first = [scene(known, 0, number) for number in range(12)]
    assert [scene(known, 0, number) for number in reversed(range(12))] == first[::-1]
    assert scene(known, 1, 3) != first[3]
    image = Image.open(io.BytesIO(first[0].jpeg))
    assert image.size == (128, 128)
    assert all(any(name in one.caption for name in one.names) for one in first)


def test_no_composition_of_the_test_is_in_the_pool(known):
    shown = [{test: held_out(planned(known, 0, number, test)[0]) for test in (True, False)} for number in range(60)]
    assert all(one == {True: True, False: False} for one in shown)
    names = [group.item.name for number in range(3) for group in planned(known, 5, number, True)[0].groups]
    assert names
    portrait = scene_module.portrait(known, 0, 1, "otter")
    assert Image.open(io.BytesIO(portrait)).size == (128, 128)


def test_things_are_as_frequent_as_words_in_the_pool():
    names = frequent(tuple(f"n{i}" for i in range(100)))
    counts = Counter(names)
    assert (counts["n0"], counts["n1"], counts["n9"], counts["n99"]) == (100, 50, 10, 1)


def test_names_of_stamps():
    assert NAMED.fullmatch("A guinea fowl.")[1] == "guinea fowl" and NAMED.fullmatch("An owl.")[1] == "owl"
    assert not NAMED.fullmatch("Tux and spider - two friends.") and not NAMED.fullmatch("A Magellanic penguin.")


def test_rates_are_kept():
    found = Counter(fault_of(0, number) for number in range(20_000))
    for name, rate in (*RATES.items(), (CLEAN, 1 - sum(RATES.values()))):
        assert abs(found[name] / 20_000 - rate) < 4 * (rate / 20_000) ** 0.5, name


def pairs_of(known, fault: str, count: int = 4) -> list[tuple[int, faults.Pair]]:
    numbers = (number for number in range(5000) if fault_of(0, number) == fault)
    return [(number, pair(known, 0, number)) for number, _ in zip(numbers, range(count))]


@pytest.mark.parametrize("fault", [CLEAN, *RATES])
def test_each_fault_is_what_it_says(known, fault):
    for number, made in pairs_of(known, fault):
        whole = scene(known, 0, number)
        assert made.fault == fault and pair(known, 0, number) == made
        if fault in ("swapped", "language", "placeholder", "furniture", "numbers", CLEAN):
            assert made.data == whole.jpeg
        if fault in ("parrot", "solid", "broken", "tiny", CLEAN):
            assert made.caption == whole.caption
        assert (made.caption == whole.caption) or fault not in (CLEAN,)


def test_faults_of_captions(known):
    assert all(made.caption != scene(known, 0, number).caption for number, made in pairs_of(known, "swapped"))
    assert {made.caption for _, made in pairs_of(known, "language", 12)} <= {"Ein Hund.", "Un gatto.", "Eine Krähe."}
    for number, made in pairs_of(known, "numbers"):
        assert [word for word in made.caption.split() if not word.isdigit()] == scene(known, 0, number).caption.split()
    assert all(any(name in made.caption for name in known.items) for _, made in pairs_of(known, "furniture"))


def test_faults_of_pictures(known):
    assert all(len(np.unique(decode(made.data).reshape(-1, 3), axis=0)) < 4 for _, made in pairs_of(known, "solid"))
    assert all(max(decode(made.data).shape[:2]) <= 28 for _, made in pairs_of(known, "tiny"))
    assert all(min(decode(made.data).shape[:2]) >= 256 for _, made in pairs_of(known, "parrot"))
    for _, made in pairs_of(known, "broken"):
        with pytest.raises(BadItemError):
            decode(made.data)
    earlier = {scene(known, 0, number).jpeg for number in range(300)}
    copies = [made.data for number, made in pairs_of(known, "duplicate_exact") if number < 300]
    assert copies and set(copies) <= earlier


def test_tars_and_tests_are_written_once_and_alike(known, tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "things", lambda sample, count: known)
    numbers = range(6)
    for name in ("a.tar", "b.tar"):
        inputs.write_tar(tmp_path / name, inputs._pool_members(tmp_path, 8, 0, numbers))
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as tar:
        said = json.load(tar.extractfile("00000003.json"))
        assert len(tar.getnames()) == 18 and said["planted_fault"] == fault_of(0, 3) and said["url"].endswith("/3")
    assert len(tar_pictures([tmp_path / "a.tar"]).keys) == 6
    classes, pairs = inputs.write_tests(tmp_path, known, 5, 0)
    settings = {"split": None, "classes": None, "templates": None, "limit": 10}
    (things,) = open_sets(str(classes), **settings)
    assert things.classes == list(NAMES) and things.pictures.labels.tolist() == [n // 10 for n in range(80)]
    (scenes,) = open_sets(str(pairs), **settings)
    assert len({text for texts in scenes.pictures.captions for text in texts}) == 5
    before = (classes / "test" / "0.tar").stat().st_mtime_ns
    inputs.write_tests(tmp_path, known, 5, 0)
    assert (classes / "test" / "0.tar").stat().st_mtime_ns == before


def test_subsets_of_a_release(tmp_path):
    """A random one is part of any larger one; the one without faults has what is whole."""
    from curation.shards.manifest import Release
    from tests.trainer.conftest import change_mark, write_release

    out = str(write_release(tmp_path / "release", samples=60, per_shard=20))
    uids = Release.open(out).samples(["uid"])["uid"].to_pylist()
    known = {uid: ("swapped", CLEAN, "numbers")[place % 3] for place, uid in enumerate(uids)}
    pool = Kept.of(out, known)
    assert (pool.pairs, pool.faults, Kept.of(out, {}).faults) == (60, {"swapped": 20, CLEAN: 20, "numbers": 20}, {})
    drawn = []
    for size in (10, 30):
        some = subset_file(RANDOM, pool, size, known, tmp_path)
        drawn.append(set(Path(some.uids).read_text().split()))
        assert some.pairs == size == len(drawn[-1]) == sum(some.faults.values())
    assert drawn[0] < drawn[1] < set(uids)
    whole = subset_file(KNOWN, pool, None, known, tmp_path)
    assert set(Path(whole.uids).read_text().split()) == {uid for uid in uids if known[uid] != "swapped"}
    change_mark(out, phases=[{"name": "top", "shards": [[0, 1]]}])
    assert Kept.of(out, known).pairs == 40


@pytest.mark.parametrize("scenes", [False, True])
def test_every_arm_s_recipe_takes_its_settings(known, tmp_path, scenes):
    index = tmp_path / "packages/wordnet-base/usr/share/wordnet/index.noun"
    index.parent.mkdir(parents=True)
    index.write_text("crow n 1 1 @ 1 0 01579028\nsea_lion n 1 1 @ 1 0 02077923\n")
    found = (
        scene_arms(tmp_path, tmp_path, "sample-clip", 3000, known, 0.4)
        if scenes
        else common(tmp_path, "sample-clip", 30)
    )
    assert tuple(arm.name for arm in found[:3]) == FIRST
    for arm in found:
        if arm.recipe and arm.name != "datacomp_text":  # which reads all of WordNet
            load_recipe(arm.recipe, list(arm.changes))
    if scenes:
        assert (tmp_path / "synsets.txt").read_text() == "n01579028\n"
        assert (tmp_path / "prompts.txt").read_text().splitlines()[0] == "a drawing of a crow"
        cut = next(arm for arm in found if arm.name == "parrot_free")
        assert "scores.keep.clip_score.min=0.4000" in cut.changes


def test_arms_are_chosen_by_name_and_recipe_files_are_arms(tmp_path):
    arms = common(tmp_path, "sample-clip", 30)
    assert proof.chosen_arms(arms, None, []) == arms
    mine = tmp_path / "mine.toml"
    found = proof.chosen_arms(arms, "wfpp", [str(mine)])
    assert [arm.name for arm in found] == [*FIRST, "wfpp", "mine"] and found[-1].recipe == str(mine)
    with pytest.raises(SystemExit, match=r"--arms: no \['wffp'\]; known: \['uncurated pool', .*'wfpp'"):
        proof.chosen_arms(arms, "wffp", [])
    with pytest.raises(SystemExit, match=r"--recipe: \['full'\] name two arms"):
        proof.chosen_arms(arms, None, [str(tmp_path / "full.toml")])


def write_run(work: Path, name: str, seed: int, share: float) -> None:
    """What a training's evaluation leaves: so many of 40 portraits known, so many of 30 scenes found at once."""
    folder = outcome.run_folder(work, name, seed) / "evaluation"
    folder.mkdir(parents=True)
    known, found = np.arange(40) < 40 * share, np.where(np.arange(30) < 30 * share, 0, 99)
    arrays = {"things/zeroshot_classification/acc1": known, "scenes/zeroshot_retrieval/owners": np.arange(30)}
    arrays |= {f"scenes/zeroshot_retrieval/{way}": found for way in ("by_image", "by_text")}
    np.savez(folder / "hits.npz", **arrays)
    tasks = {"things": "zeroshot_classification", "scenes": "zeroshot_retrieval"}
    metrics = {"things": {"acc1": share}, "scenes": {"mean_recall@1": share, "mean_recall@5": share}}
    sets = [{"name": each, "task": tasks[each], "metrics": values} for each, values in metrics.items()]
    (folder / "evaluation.json").write_text(json.dumps({"sets": sets}))


def test_captions_of_a_picture_count_together(tmp_path):
    """Two pictures with one and three captions: 1 found by its text, of the other's texts two of three find it."""
    arrays = {"by_image": [0, 9], "by_text": [0, 4, 9, 0], "owners": [0, 1, 1, 1]}
    folder = outcome.run_folder(tmp_path, "a", 0) / "evaluation"
    folder.mkdir(parents=True)
    np.savez(folder / "hits.npz", **{f"s/x/zeroshot_retrieval/{name}": np.array(v) for name, v in arrays.items()})
    assert outcome.hits(tmp_path, "a", 3)["s/x"] == pytest.approx(np.array([[1.0, 1 / 3]]))


@pytest.fixture
def result(tmp_path):
    shares = {POOL: (0.2, 0.3), RANDOM: (0.1, 0.2), FULL: (0.5, 0.6), "wfpp": (0.2, 0.3), KNOWN: (0.8,)}
    for name, by_seed in shares.items():
        for seed, share in enumerate(by_seed):
            write_run(tmp_path, name, seed, share)
    kept = {name: Kept("", None, 10, {CLEAN: 6, "swapped": 4}) for name in (*shares, "tmars")}
    kept[FULL] = Kept("", None, 5, {CLEAN: 4, "swapped": 1})
    arms = [Arm(name, "", ("a.b=/some/where/prompts.txt",)) for name in kept]
    found = outcome.collected(arms, kept, 2, tmp_path)
    about = {"pairs": 10, "things": 8, "input": "10 scenes", "clip": "c", "seconds": 1, "machine": "m"}
    return about | outcome.headline(found) | found


def test_scores_intervals_and_the_headline(result):
    full, pool = result["arms"][FULL], result["arms"][POOL]
    assert full["scores"] == pytest.approx([0.5, 0.6]) and full["score"] == pytest.approx(0.55)
    assert pool["over_pool"] == 1 and full["over_pool"] == pytest.approx(2.2)
    low, high = full["over_pool_interval"]
    assert 1 < low < 2.2 < high and result["ratio"] == round(low, 3) and result["ours"] == 0.55
    assert result["full_beyond_spread_of"] == {POOL: True, RANDOM: True}
    assert "tmars" not in result["arms"] and len(result["arms"][KNOWN]["scores"]) == 1


def test_the_page_says_what_does_not_help_and_no_folder_of_the_machine(result):
    page = markdown(result)
    assert "No gain over the pool that the interval allows to claim: random subset, wfpp." in page
    assert "above the uncurated pool, above the random subset" in page
    assert "/some/where" not in page and "`a.b=prompts.txt`" in page
    assert "| full | 5 | 0.80 | 0.550 | 0.550 | 0.550 | 0.550 (0.500–0.600) |" in page
    # Of the pool's four swapped pairs `full` keeps one, of its six clean ones four.
    assert "| full | 0.25 | 0.33 |" in page
    assert picture(result).svg().startswith("<svg")


def test_sizes_grow_with_the_pool():
    assert proof.sizes(3000) == (48, 8_960) and proof.sizes(100_000) == (625, 300_032)


def test_the_sample_s_programs_are_found():
    assert (proving.SAMPLE / "fetch.py").is_file()
