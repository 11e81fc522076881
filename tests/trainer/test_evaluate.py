"""Recalls, classes and intervals by hand and against plain loops; whole evaluations of sets laid out as others do."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import MissingModelError, RecipeError
from curation.trainer import evaluate as module
from curation.trainer import retrieval as recalls_module
from curation.trainer.classes import accuracies, class_vectors, prompts
from curation.trainer.evaluate import evaluate, retrieval
from curation.trainer.intervals import ratio, resampled
from curation.trainer.outcome import Outcome, numbered
from curation.trainer.sets import open_sets
from tests.trainer.made_sets import benchmark_set, class_folders, pairs_tar, samples, write_tar


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_perfect_and_shifted_pairs():
    features = np.eye(20, dtype=np.float32)
    found = retrieval(features, features)
    assert found["image_to_text"] == found["text_to_image"] == {"r1": 1.0, "r5": 1.0, "r10": 1.0}
    assert found["chance"] == {"r1": 0.05, "r5": 0.25, "r10": 0.5} and found["pairs"] == 20
    assert retrieval(features, np.roll(features, 1, axis=0))["image_to_text"] == {"r1": 0.0, "r5": 0.0, "r10": 0.0}


@pytest.mark.parametrize("value", [0.5, np.nan])
def test_a_collapsed_model_finds_nothing(value):
    same = np.full((20, 4), value, np.float32)
    assert retrieval(same, same)["image_to_text"] == {"r1": 0.0, "r5": 0.0, "r10": 0.0}
    assert retrieval(same, same)["text_to_image"] == {"r1": 0.0, "r5": 0.0, "r10": 0.0}
    assert accuracies(np.full((20, 10), value), np.arange(20) % 10)["metrics"]["acc5"] == 0.0


def test_by_hand():
    images = unit(np.array([[1, 0], [0, 1], [1, 1]], np.float32))
    texts = unit(np.array([[1, 0], [1, 0.9], [0, 1]], np.float32))
    # image 0 finds its text; image 1 likes text 2, then 1; image 2 likes text 1, and its own ties with text 0
    assert retrieval(images, texts)["image_to_text"] == {"r1": 1 / 3, "r5": 1.0, "r10": 1.0}
    # text 0 finds image 0; text 1 likes image 2; text 2 likes image 1
    found = retrieval(images, texts)
    assert found["text_to_image"]["r1"] == 1 / 3 and found["mean"]["r1"] == 1 / 3


def test_one_of_several_captions_is_enough_and_each_is_asked():
    images = np.eye(3, dtype=np.float32)
    texts = np.eye(3, dtype=np.float32)[[1, 0, 1, 2, 1]]
    owners = np.array([0, 0, 1, 2, 2])
    found = retrieval(images, texts, owners)
    # picture 0 finds its second caption; 1 ties its own with captions 0 and 4; 2 finds caption 3
    assert found["image_to_text"] == {"r1": 2 / 3, "r5": 1.0, "r10": 1.0}
    # captions 1, 2 and 3 find their picture; 0 and 4 show picture 1
    assert found["text_to_image"]["r1"] == 3 / 5 and found["pairs"] == 5 and found["chance"]["r1"] == 1 / 3


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 30), st.integers(0, 100))
def test_against_sorting(count, seed):
    random = np.random.default_rng(seed)
    owners = np.concatenate([np.arange(count), random.integers(0, count, count // 2)])
    images, texts = (unit(random.normal(size=(n, 6))).astype(np.float32) for n in (count, len(owners)))
    found = retrieval(images, texts, owners)
    by_image, by_text = np.argsort(-(images @ texts.T), axis=1), np.argsort(-(texts @ images.T), axis=1)
    for k in (1, 5, 10):
        wanted = np.mean([i in owners[by_image[i, :k]] for i in range(count)])
        assert found["image_to_text"][f"r{k}"] == pytest.approx(wanted)
        wanted = np.mean([owners[j] in by_text[j, :k] for j in range(len(owners))])
        assert found["text_to_image"][f"r{k}"] == pytest.approx(wanted)


def test_rows_are_scored_in_pieces_alike(monkeypatch):
    random = np.random.default_rng(0)
    images, texts = (unit(random.normal(size=(50, 6))) for _ in range(2))
    whole = retrieval(images, texts)
    monkeypatch.setattr(recalls_module, "ROWS", 7)
    assert retrieval(images, texts) == whole


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="wanted equal"):
        retrieval(np.ones((2, 3)), np.ones((3, 3)))
    with pytest.raises(ValueError, match="not empty"):
        retrieval(np.ones((0, 3)), np.ones((0, 3)))
    with pytest.raises(ValueError, match="each with a caption"):
        retrieval(np.ones((3, 3)), np.ones((2, 3)), np.array([0, 2]))


def test_intervals_are_of_the_seed_and_as_wide_as_the_theory_says():
    hits = np.arange(400) % 5 == 0
    value = ratio(hits.astype(float), np.ones(400))
    found = resampled(value, 400, 2000, 0)
    assert found == resampled(value, 400, 2000, 0) != resampled(value, 400, 2000, 1)
    deviation = (0.2 * 0.8 / 400) ** 0.5
    assert found == pytest.approx([0.2 - 1.96 * deviation, 0.2 + 1.96 * deviation], abs=0.004)
    assert resampled(value, 400, 0, 0) is None


def test_captions_of_a_picture_are_drawn_together():
    """Four equal captions a picture say no more than one: the interval is that of the pictures."""
    hits = np.arange(100) % 4 == 0
    once = resampled(ratio(hits.astype(float), np.ones(100)), 100, 500, 3)
    assert resampled(ratio(hits * 4.0, np.full(100, 4)), 100, 500, 3) == pytest.approx(once)


def test_accuracies_by_hand():
    scores = np.array([[3, 2, 1], [3, 2, 1], [1, 2, 3], [2, 2, 1]], float)
    found = accuracies(scores, np.array([0, 1, 2, 0]))
    assert found["hits"].tolist() == [True, False, True, False]
    # class 0: one of two, class 1: none, class 2: all
    assert found["metrics"] == {"acc1": 0.5, "acc5": 1.0, "mean_per_class_recall": 0.5}


def test_a_class_is_the_mean_of_its_prompts():
    told = {"a x": [1, 0], "b x": [0, 1], "a y": [1, 0], "b y": [1, 0]}
    found = class_vectors(["x", "y"], ["a {c}", "b {}"], lambda texts: np.array([told[t] for t in texts], np.float32))
    assert found == pytest.approx(np.array([[0.5**0.5, 0.5**0.5], [1, 0]]))
    with pytest.raises(RecipeError, match="each with"):
        prompts("x", ["no place"])


def test_a_set_in_clip_benchmarks_layout(tmp_path):
    """The packaged model knows colours; the templates and the names of the set are read, the split is test."""
    folder = benchmark_set(tmp_path / "wds_vtab-pets_test")
    found = evaluate("sample-clip", data=[str(folder)], resamples=50, out=str(tmp_path / "out"), details=True)
    (one,) = found["sets"]
    assert (one["name"], one["task"], one["split"]) == ("vtab/pets", "zeroshot_classification", "test")
    assert one["main_metric"] == "mean_per_class_recall" and one["classes"] == 4 and one["templates"] == 2
    assert one["pictures"] == 24 and one["chance"] == 0.25 and one["unreadable"] == 0
    assert one["metrics"]["acc1"] > 0.5 and found["average"] == one["metrics"]["mean_per_class_recall"]
    low, high = one["intervals"]["acc1"]
    assert low <= one["metrics"]["acc1"] <= high
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text()) == found
    assert "| vtab/pets | zeroshot_classification | acc1 |" in (tmp_path / "out" / "evaluation.md").read_text()
    assert (tmp_path / "out" / "evaluation.svg").read_text().startswith("<svg")
    hits = np.load(tmp_path / "out" / "hits.npz")["vtab/pets/zeroshot_classification/acc1"]
    assert hits.mean() == one["metrics"]["acc1"] and len(hits) == 24


def test_a_folder_of_several_sets_and_retrieval(tmp_path):
    benchmark_set(tmp_path / "sets" / "wds_shapes_test")
    benchmark_set(tmp_path / "sets" / "wds_captions_test", captions=True)
    found = evaluate("sample-clip", data=[str(tmp_path / "sets")], resamples=20)
    assert [(one["name"], one["task"]) for one in found["sets"]] == [
        ("captions", "zeroshot_retrieval"),
        ("shapes", "zeroshot_classification"),
    ]
    captions = found["sets"][0]
    assert captions["pictures"] == 24 and captions["captions"] == 48 and captions["main_metric"] == "mean_recall@1"
    metrics = captions["metrics"]
    assert metrics["image_retrieval_recall@10"] > metrics["image_retrieval_recall@1"] > 1 / 24
    assert metrics["mean_recall@1"] == pytest.approx(
        (metrics["image_retrieval_recall@1"] + metrics["text_retrieval_recall@1"]) / 2
    )
    assert found["average"] == pytest.approx((metrics["mean_recall@1"] + found["sets"][1]["metrics"]["acc1"]) / 2)


def test_folders_of_classes_with_a_probe_and_a_picture_that_is_broken(tmp_path):
    folder = class_folders(tmp_path / "shapes")
    found = evaluate("sample-clip", data=[str(folder)], probe=True, resamples=20)
    zero_shot, probe = found["sets"]
    assert (zero_shot["split"], zero_shot["pictures"], zero_shot["unreadable"]) == ("test", 23, 1)
    assert probe["task"] == "linear_probe" and probe["train"] == "train" and probe["train_pictures"] == 48
    assert probe["metrics"]["lp_acc1"] > 0.8 and probe["main_metric"] == "lp_acc1" and len(probe["tried"]) == 8
    assert found["average"] == zero_shot["metrics"]["acc1"]
    again = evaluate("sample-clip", data=[str(folder)], probe=True, resamples=20)
    assert again == found
    options = {"classes": None, "templates": None, "limit": 0}
    splits = [open_sets(str(folder), split=split, **options)[0] for split in ("test", "train")]
    assert len(splits[0].train.keys) == 48 and splits[1].split == "train" and splits[1].train is None


def test_a_set_of_broken_pictures_or_none_is_told(tmp_path, release):
    with pytest.raises(RecipeError, match="no picture to evaluate on"):
        evaluate("sample-clip", data=[release], samples=0)
    (tmp_path / "set" / "crow").mkdir(parents=True)
    (tmp_path / "set" / "crow" / "1.png").write_bytes(b"no picture")
    with pytest.raises(RecipeError, match="none of 1 pictures can be read"):
        evaluate("sample-clip", data=[str(tmp_path / "set")])
    members = [(name, b" \n" if name.endswith("txt") else data) for name, data in samples(3, captions=True)]
    with pytest.raises(RecipeError, match="none of 3 pictures that can be read has a caption"):
        evaluate("sample-clip", data=[str(write_tar(tmp_path / "blank.tar", members))])


def test_class_names_from_a_file(tmp_path):
    folder = class_folders(tmp_path / "shapes")
    names = tmp_path / "names.tsv"
    names.write_text("black\tblack\nblue\tsky blue\ngreen\tgreen\nred\tred\n")
    assert evaluate("sample-clip", data=[str(folder)], classes=str(names), resamples=0)["sets"][0]["classes"] == 4
    names.write_text("black\tblack\n")
    with pytest.raises(RecipeError, match="no name for the folders"):
        evaluate("sample-clip", data=[str(folder)], classes=str(names))


def test_a_name_for_each_folder_or_none_would_be_its_own(tmp_path):
    folder, names = class_folders(tmp_path / "shapes"), tmp_path / "names.txt"
    names.write_text("yellow\nblack\nblue\ngreen\nred\n")
    with pytest.raises(RecipeError, match=r"names.txt: 5 names, but 4 folders in .*shapes; wanted .* FOLDER<TAB>NAME"):
        evaluate("no-model", data=[str(folder)], classes=str(names))
    names.write_text("black\nblue\n")
    with pytest.raises(RecipeError, match="2 names, but 4 folders"):
        evaluate("no-model", data=[str(folder)], classes=str(names))


def test_sets_of_one_name_are_numbered(tmp_path):
    tars = [str(pairs_tar(tmp_path / place / "pairs.tar")) for place in ("a", "b")]
    found = evaluate("sample-clip", data=tars, resamples=0, out=str(tmp_path / "out"), details=True)
    assert [one["name"] for one in found["sets"]] == ["pairs", "pairs (2)"]
    hits = np.load(tmp_path / "out/hits.npz")
    assert {name.partition("/")[0] for name in hits} == {"pairs", "pairs (2)"} and len(hits) == 6
    assert "| pairs (2) | zeroshot_retrieval |" in (tmp_path / "out/evaluation.md").read_text()


def test_numbers_pass_over_names_that_are_there():
    names = ["a", "a (2)", "a", "b", "a"]
    found = numbered([Outcome({"name": name, "task": "t"}, {}) for name in names])
    assert [one.shown["name"] for one in found] == ["a", "a (2)", "a (3)", "b", "a (4)"]


def test_a_probe_needs_classes(tmp_path, release, capsys):
    tar = str(pairs_tar(tmp_path / "pairs.tar"))
    for asked in ({"data": [tar]}, {"release": release}):
        with pytest.raises(RecipeError, match="--probe: wanted a set with classes"):
            evaluate("no-model", probe=True, **asked)
    folder = str(class_folders(tmp_path / "shapes"))
    found = evaluate("sample-clip", data=[tar, folder], probe=True, resamples=0)
    assert [one["task"] for one in found["sets"]] == ["zeroshot_retrieval", "zeroshot_classification", "linear_probe"]
    assert "pairs: 24 pictures of all, no probe: captions and no classes" in capsys.readouterr().err


def test_pairs_of_a_tar_of_a_pool_and_of_a_release(tmp_path, release):
    tar = pairs_tar(tmp_path / "pairs.tar")
    (one,) = evaluate("sample-clip", data=[str(tar)], resamples=0)["sets"]
    assert (one["name"], one["split"], one["pictures"], one["intervals"]["mean_recall@1"]) == ("pairs", "all", 24, None)
    (one,) = evaluate("sample-clip", data=[release], samples=40, resamples=0)["sets"]
    assert one["split"] == "release" and one["captions"] == 40


def test_pairs_held_out_of_training(release, tmp_path):
    asked = {"release": release, "holdout": 0.5, "resamples": 20, "out": str(tmp_path), "details": True}
    found = evaluate("sample-clip", **asked)
    assert 10 < found["pairs"] < 50 and found["pictures"] == found["pairs"]
    low, high = found["intervals"]["text_to_image"]["r10"]
    assert low <= found["text_to_image"]["r10"] <= high
    assert json.loads((tmp_path / "evaluation.json").read_text()) == found
    value = f"{found['mean']['r1']:.4f}"
    assert f"| release | zeroshot_retrieval | mean_recall@1 | {value} |" in (tmp_path / "evaluation.md").read_text()
    assert "mean_recall@1" in (tmp_path / "evaluation.svg").read_text()
    assert len(np.load(tmp_path / "hits.npz")["release/zeroshot_retrieval/by_image"]) == found["pictures"]


def test_what_is_not_there_is_told_before_any_model_is_loaded(tmp_path, release):
    with pytest.raises(RecipeError, match="no image held out"):
        evaluate("no-model", release=release, holdout=0)
    for holdout in (5, -0.1, 1.0):
        with pytest.raises(RecipeError, match=f"--holdout {holdout}: wanted a share of at least 0 and below 1"):
            evaluate("no-model", release=release, holdout=holdout)
    for device in ("gpu", "cuda:7"):
        with pytest.raises(RecipeError, match=rf"--device {device}: not here; known: \['cpu'"):
            evaluate("no-model", release=release, device=device)
    with pytest.raises(RecipeError, match="wanted --data or --release"):
        evaluate("no-model")
    with pytest.raises(RecipeError, match="no such file or folder"):
        evaluate("no-model", data=[str(tmp_path / "none")])
    tar = pairs_tar(tmp_path / "labelled.tar", labels=True)
    with pytest.raises(RecipeError, match="wanted class names"):
        evaluate("no-model", data=[str(tar)])
    folder = benchmark_set(tmp_path / "set")
    with pytest.raises(RecipeError, match=r"no split train; found \['classnames.txt'"):
        evaluate("no-model", data=[str(folder)], split="train")
    (folder / "classnames.txt").write_text("one\ntwo\n")
    with pytest.raises(RecipeError, match="labels from 0 to 3, but 2 class names"):
        evaluate("no-model", data=[str(folder)])
    (folder / "test" / "nshards.txt").write_text("2\n")
    with pytest.raises(RecipeError, match="wanted 2 tars, found 1"):
        evaluate("no-model", data=[str(folder)])
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecipeError, match="in a folder per class"):
        evaluate("no-model", data=[str(tmp_path / "empty")])
    with pytest.raises(RecipeError, match="--out s3://bucket/e: wanted a local folder"):
        evaluate("no-model", data=[str(folder)], out="s3://bucket/e")
    with pytest.raises(MissingModelError, match="wanted a run"):
        evaluate(str(tmp_path / "empty"), data=[str(pairs_tar(tmp_path / "p.tar"))])


def test_experts_are_weighed_by_the_task(tmp_path, model):
    """Two equal experts rank as one does alone; with unlike ones the scores are the weighed sum of theirs."""
    from curation.models.clip import load
    from curation.trainer.ensembles import open_model, weighed
    from tests.small_clip import write_model

    run, texts = tmp_path / "run", ["a red circle", "a star"]
    for name in ("expert-0", "expert-1"):
        write_model(run / name)
    np.save(run / "centres.npy", load("sample-clip").embed_texts(texts))
    routing = {"caption_model": "sample-clip", "experts": ["expert-0", "expert-1"], "groups": [0, 1], "seed": "seed"}
    (run / "experts.json").write_text(json.dumps(routing))
    tar = str(pairs_tar(tmp_path / "pairs.tar"))
    ours, alone = (evaluate(name, data=[tar], resamples=0)["sets"][0]["metrics"] for name in (str(run), model))
    assert ours == alone
    experts = open_model(str(run), None)
    experts = experts._replace(models=(load(model), load("sample-clip")))
    weights = experts.weights(texts[:1], None)
    shares = weights / [float(each.model.logit_scale.detach().exp()) for each in experts.models]
    assert shares[0] > shares[1] and shares.sum() == pytest.approx(1)
    pictures = [np.full((40, 40, 3), level, np.uint8) for level in (0, 200)]
    vectors = [each.embed_images(pictures) for each in experts.models]
    found = weighed(vectors, weights) @ weighed(experts.texts(texts), weights).T
    wanted = sum(w * v @ each.embed_texts(texts).T for w, v, each in zip(weights, vectors, experts.models))
    assert found == pytest.approx(wanted, rel=1e-5, abs=1e-4)


def test_module_exports_what_the_trainer_calls():
    assert set(module.__all__) == {"evaluate", "retrieval"}


def test_a_broken_tar_is_named(tmp_path):
    whole = pairs_tar(tmp_path / "whole.tar")
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole.read_bytes()[:20_000])
    with pytest.raises(RecipeError, match=r"cut\.tar: .*; wanted a whole tar that is not packed"):
        module.open_sets(str(cut), split=None, classes=None, templates=None, limit=10)
