"""select_coverage: what one greedy pass over all classes keeps, whatever the order and the partitions."""

import numpy as np
import pyarrow as pa
import pytest

from curation.errors import RecipeError
from curation.methods import coverage_order
from curation.recipe import check_settings
from curation.schema import hex_id
from curation.signals import SIGNALS
from curation.stages import STAGES
from curation.vectors import as_matrix, to_binary

PROMPTS = ["a red circle", "a blue square", "a green cross"]
PERIOD = 7
stage = STAGES["select_coverage"]


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    path = tmp_path_factory.mktemp("prompts") / "prompts.txt"
    path.write_text("\n".join(PROMPTS) + "\n\n", encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def pairs(prompts, model):
    """150 pairs around the prompts' vectors, some equal ones, a picture and a caption without a vector."""
    clip = {"clip": model}
    centres, _ = as_matrix(SIGNALS["caption_embedding"](pa.array(PROMPTS), **clip))
    random = np.random.default_rng(0)
    near = centres[random.choice(3, 150, p=[0.6, 0.3, 0.1])]
    images, captions = (near + 0.15 * random.normal(size=near.shape) for _ in range(2))
    images[100:110], captions[100:110] = images[:10], captions[:10]
    images, captions = (pa.array([row.astype("<f2").tobytes() for row in each]) for each in (images, captions))
    images = pa.array([*images.to_pylist(), None, images[0].as_py()], pa.binary())
    captions = pa.array([*captions.to_pylist(), captions[0].as_py(), None], pa.binary())
    classes = SIGNALS["prompt_class"](images, prompts=prompts, **clip)
    similarity = SIGNALS["prompt_similarity"](images, captions, classes, prompts=prompts, **clip)
    errors = pa.array([None] * 150 + ["decode_error: cut", "caption_embedding is null"])
    columns = {"image_embedding": images, "caption_embedding": captions, "prompt_class": classes}
    columns |= {"prompt_similarity": similarity, "prompt_similarity__error": errors}
    return pa.table({"uid": [hex_id(str(n)) for n in range(152)]} | columns).sort_by("uid")


def taken(spark, table, prompts, partitions=3, **settings):
    frame = spark.createDataFrame(table).repartition(partitions)
    found, sides = stage(frame, **check_settings(stage.spec, {"prompts": prompts, "period": PERIOD} | settings, "test"))
    return {row.uid: row for row in found.collect()}, sorted(sides["classes"].collect())


def kept(rows):
    return {uid for uid, row in rows.items() if row.keep}


def unit(vectors):
    matrix = as_matrix(vectors)[0].astype(float)
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def greedy(pairs, model):
    """uids in the order of ClipCov, by the function that has the published order."""
    there = pairs.filter(pa.array(np.asarray(pairs["prompt_similarity"].is_valid())))
    images, texts = (unit(there[name].combine_chunks()) for name in ("image_embedding", "caption_embedding"))
    prompts = unit(to_binary(SIGNALS["caption_embedding"](pa.array(PROMPTS), clip=model)))
    order = coverage_order(images, texts, np.asarray(there["prompt_class"]), prompts, PERIOD)
    return [there["uid"][int(row)].as_py() for row in order]


def test_a_prompt_is_nearest_and_null_stays_null(pairs, prompts, model):
    vectors = unit(to_binary(SIGNALS["caption_embedding"](pa.array(PROMPTS), clip=model)))
    for row in pairs.to_pylist():
        if row["image_embedding"] is None:
            assert row["prompt_class"] is None and row["prompt_similarity"] is None
            continue
        image = np.frombuffer(row["image_embedding"], "<f2").astype(float)
        assert row["prompt_class"] == (vectors @ image).argmax()
    assert pairs["prompt_similarity"].null_count == 2 and pairs["prompt_class"].null_count == 1


@pytest.mark.parametrize("size", [0, 1, 40, 97, 150, 1000])
def test_it_keeps_the_beginning_of_the_greedy_order(spark, pairs, prompts, model, size):
    found, classes = taken(spark, pairs, prompts, size=size)
    assert kept(found) == set(greedy(pairs, model)[:size])
    assert sum(row.kept for row in classes) == min(size, 150)
    assert [(row.prompt_class, row.prompt) for row in classes] == list(enumerate(PROMPTS))
    reasons = [row.drop_reason for row in found.values()]
    assert reasons.count("prompt_similarity is null") == 2
    assert reasons.count("over_budget") == 150 - min(size, 150)


def test_a_share_counts_pairs_with_vectors(spark, pairs, prompts, model):
    found, _ = taken(spark, pairs, prompts, share=0.3)
    assert kept(found) == set(greedy(pairs, model)[:45])


@pytest.mark.parametrize("oversize", ["split", "cap"])
def test_large_classes_are_bounded_and_neither_order_nor_partitions_count(spark, pairs, prompts, oversize):
    settings = {"share": 0.5, "class_pairs": 20, "oversize": oversize, "seed": 3}
    one, classes = taken(spark, pairs, prompts, **settings)
    turned = pairs.take(pa.array(np.random.default_rng(1).permutation(len(pairs))))
    other, same = taken(spark, turned, prompts, partitions=7, **settings)
    assert one == other and classes == same
    capped = [row for row in one.values() if row.drop_reason == "class_capped"]
    assert bool(capped) == (oversize == "cap")
    assert [row.parts for row in classes] == [-(-row.pairs // 20) if oversize == "split" else 1 for row in classes]
    assert oversize == "cap" or len(kept(one)) == 75
    draw = "shiftrightunsigned(xxhash64(3, 'select_coverage', uid), 11) / pow(2, 53)"
    draws = dict(spark.createDataFrame(pairs.select(["uid"])).selectExpr("uid", draw).collect())
    share = {row.prompt_class: 20 / row.pairs if oversize == "cap" else 1 for row in classes}
    rows = [row for row in pairs.to_pylist() if row["prompt_similarity"] is not None]
    assert {row.uid for row in capped} == {r["uid"] for r in rows if draws[r["uid"]] >= share[r["prompt_class"]]}


def test_no_pairs_and_settings_that_are_none(spark, pairs, prompts, tmp_path):
    found, classes = taken(spark, pairs.slice(0, 0), prompts, share=0.5)
    assert found == {} and classes == []
    with pytest.raises(RecipeError, match="either size or share"):  # the loader of a recipe asks, too
        stage.spec.columns("pairs", {"share": 0.5, "size": 3})
    for text in ("", "a dog\na cat\na dog\n"):
        (tmp_path / "bad.txt").write_text(text)
        with pytest.raises(RecipeError, match="a prompt a line"):
            check_settings(stage.spec, {"prompts": str(tmp_path / "bad.txt"), "size": 1}, "test")
    with pytest.raises(RecipeError, match="a prompt a line"):
        check_settings(stage.spec, {"prompts": str(tmp_path / "none.txt"), "size": 1}, "test")
