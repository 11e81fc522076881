"""Recipes that select by scores, end to end on drawn pictures: what is kept is what the plain rule keeps."""

import csv
import json

import numpy as np
import pytest

from curation.errors import MissingModelError, RecipeError, StaleOutputError
from curation.export import export
from curation.graph import Graph
from curation.ingest import ingest
from curation.methods import mask_numbers, top_share
from curation.models.clip import load
from curation.pool import Pool
from curation.recipe import load_recipe
from curation.rows import Rows
from curation.run import run
from curation.schema import hex_id
from curation.score import score
from curation.session import spark_session
from curation.shards.manifest import Release
from curation.shards.verify import verify
from curation.single import stage_command
from curation.stages import STAGES
from curation.vector_files import vectors
from curation.vectors import cosine

LONG = " ".join(["with a very long description of everything that can be seen"] * 12)
SCORER = """
def score(pictures, captions, metric):
    return ["66" if p.mean() > 90 else "no" for p in pictures]
"""


@pytest.fixture(scope="module")
def scored(spark, pictures, tmp_path_factory):
    """A pool of 24 drawings (one of them broken) with DataComp's keys, scores, a reference and some long captions."""
    with open(pictures / "pictures.tsv", encoding="utf-8") as file:
        rows = list({row["path"]: row for row in csv.DictReader(file, delimiter="\t")}.values())
    names = ["uid", "path", "caption", "ref_caption", "image_text_matching", "object_detail_fulfillment"]
    lines = ["\t".join(names)]
    for n, row in enumerate(rows):
        caption = f"{row['caption']} {LONG}" if n % 8 == 1 else row["caption"]
        lines.append("\t".join([hex_id(str(n)), row["path"], caption, f"drawing of {n}", str(55 + n), "20\t"[:2]]))
    (pictures / "scored.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    folder = str(tmp_path_factory.mktemp("scored") / "pool")
    ingest([str(pictures / "scored.tsv")], out=folder)
    return folder


def released(recipe, pool, model, out, *changes):
    run(recipe, pool, str(out), set=[f"signals.clip={model}", *changes] if model else list(changes))
    assert not verify(str(out))
    return {row["uid"]: row for row in Release.open(str(out)).subset().to_pylist()}


def kept(rows):
    return {uid for uid, row in rows.items() if row["keep"]}


@pytest.fixture(scope="module")
def clip_release(scored, model, tmp_path_factory):
    out = tmp_path_factory.mktemp("datacomp") / "out"
    return out, released("datacomp_clip", scored, model, out)


def test_datacomp_clip_keeps_one_more_than_the_share(clip_release):
    _, rows = clip_release
    assert len(rows) == 24 and len(kept(rows)) == int(23 * 0.3) + 1
    assert sum(row["drop_reason"] == "clip_score is null" for row in rows.values()) == 1


def test_a_subset_file_leaves_and_comes_back(clip_release, scored, tmp_path):
    out, rows = clip_release
    file = str(tmp_path / "subset.npy")
    assert export(str(out), file, uid="document", metadata=str(tmp_path / "metadata"))["uids"] == len(kept(rows))
    recipe = tmp_path / "listed.toml"
    recipe.write_text(f'[[stage]]\nrun = "select_subset"\nwith.keep.document = {{ in_file = "{file}" }}\n')
    run(str(recipe), scored, str(tmp_path / "out"))
    again = {row["uid"] for row in Release.open(str(tmp_path / "out")).subset().to_pylist() if row["keep"]}
    assert again == kept(rows)


def test_datacomp_image_and_its_intersection(clip_release, scored, model, tmp_path):
    centroids = np.random.default_rng(0).normal(size=(6, 24))
    np.save(tmp_path / "centroids.npy", centroids)
    np.save(tmp_path / "targets.npy", centroids[:3].astype("f4"))
    files = [f"inputs.{name}={tmp_path}/{name}.npy" for name in ("centroids", "targets")]
    image = released("datacomp_image", scored, model, tmp_path / "image", *files)
    samples = Release.open(str(tmp_path / "image")).samples(["uid", "cluster"]).to_pylist()
    own = nearest(model, scored, centroids)
    assert {row["uid"]: row["cluster"] for row in samples} == {u: c for u, c in own.items() if c < 3}
    assert 0 < len(samples) < 23
    both = released("datacomp_image_clip", scored, model, tmp_path / "both", *files)
    assert kept(both) == kept(image) & kept(clip_release[1])


def nearest(model, pool, centroids):
    """Cluster of each pair whose picture has a vector."""
    return {uid: int((centroids @ vector).argmax()) for uid, vector in embedded(model, pool).items()}


def embedded(model, pool):
    """The stored vector of each pair's picture."""
    opened = Pool.open(pool)
    rows = Rows(opened, opened.store, Graph({"clip": model})).select(spark_session(), ["uid", "image_embedding"])
    return {r.uid: np.frombuffer(r[1], "<f2").astype("f8") for r in rows.collect() if r[1] is not None}


def test_vectors_and_centroids_of_a_pool(scored, model, tmp_path):
    file, means = str(tmp_path / "v.npy"), str(tmp_path / "c.npy")
    assert vectors(scored, file, clip=model) == {"file": file, "vectors": 23, "dimensions": 24}
    told = vectors(scored, means, clip=model, centroids=2, sample=20)
    assert told == {"file": means, "vectors": 2, "dimensions": 24, "trained_on": 20}
    whole, centroids = np.load(file).astype("f8"), np.load(means).astype("f8")
    own = nearest(model, scored, whole)
    assert len(set(own.values())) >= 22  # each picture lies nearest to itself, or to its copy
    assert ((whole[:, None] - centroids) ** 2).sum(axis=2).min(axis=1).mean() < ((whole - whole.mean(0)) ** 2).sum(
        1
    ).mean()
    captions = stage_command(STAGES["select_subset"])(pairs=scored, keep={"caption_words": {"max": 50}}, store=None)
    told = vectors(captions["table"], str(tmp_path / "t.npy"), clip=model, centroids=2)
    assert (captions["kept"], told["trained_on"]) == (21, 20)
    with pytest.raises(StaleOutputError, match=r"v\.npy exists"):
        vectors(scored, file, clip=model)
    with pytest.raises(RecipeError, match="23 pictures with image_embedding, wanted at least 50"):
        vectors(scored, str(tmp_path / "d.npy"), clip=model, centroids=50)


def test_a_job_has_signals_of_its_own(scored, model, tmp_path):
    """select_coverage reads signals of its prompts, with a model that --signals names."""
    (tmp_path / "prompts.txt").write_text("a red dog\na blue cat\n")
    job = stage_command(STAGES["select_coverage"])
    given = {"prompts": str(tmp_path / "prompts.txt"), "signals": {"clip": model}, "store": None, "size": 5}
    defaults = {n: v for n, v in STAGES["select_coverage"].spec.settings.items() if n not in given}
    assert job(pairs=scored, **defaults, **given)["kept"] == 5
    with pytest.raises(MissingModelError, match="nowhere"):
        job(pairs=scored, **defaults, **given | {"signals": {"clip": "nowhere"}})


def test_files_that_are_not_there_are_refused_with_the_recipe(scored, tmp_path):
    for recipe in ("datacomp_image", "datacomp_image_clip"):
        with pytest.raises(RecipeError, match=r"no file centroids.npy; use --set inputs.centroids=PATH"):
            run(recipe, scored, str(tmp_path / "out"))
    (tmp_path / "c.npy").write_text("text")
    with pytest.raises(RecipeError, match=r"wanted a .npy of vectors"):
        load_recipe("datacomp_image", [f"inputs.centroids={tmp_path}/c.npy", f"inputs.targets={tmp_path}/c.npy"])
    for recipe in ("laion400m", "datacomp_clip", "scaling_down", "whitened", "number_masked"):
        with pytest.raises(MissingModelError, match="nowhere"):
            load_recipe(recipe, ["signals.clip=nowhere"])
    with pytest.raises(RecipeError, match="setting mlm must be given"):
        load_recipe("mlm", ["signals.mlm_image_text_matching.of=mlm_score"])


def test_number_masked_by_words(scored, model, tmp_path):
    rows = released("number_masked", scored, model, tmp_path / "out", "signals.variant=tokens")
    assert len(kept(rows)) == int(23 * 0.4)
    samples = Release.open(str(tmp_path / "out")).samples().to_pylist()
    drops = [row["clip_score"] - row["number_masked_clip_score"] for row in samples]
    np.testing.assert_allclose([row["number_masked_score_drop"] for row in samples], drops, atol=1e-6)
    assert any(drops) and {row["caption"][:2] for row in samples} == {"a "}
    texts = mask_numbers([row["caption"] for row in samples], "tokens")
    vectors = embedded(model, scored)
    pictures = np.array([vectors[row["uid"]] for row in samples])
    masked = cosine(pictures, load(model).embed_texts(texts).astype("f2"))
    np.testing.assert_allclose([row["number_masked_clip_score"] for row in samples], masked, atol=1e-3)


def test_scaling_down_has_a_fifth_of_the_pairs_in_each_set(scored, model, tmp_path):
    rows = released("scaling_down", scored, model, tmp_path / "out")
    release = Release.open(str(tmp_path / "out"))
    samples = sorted(release.samples().to_pylist(), key=lambda row: (-row["clip_score"], row["uid"]))
    assert len(kept(rows)) == 23
    for share in (0.2, 0.4, 0.6, 0.8, 1.0):
        top = top_share([row["clip_score"] for row in samples], share)
        assert [row["score_band"] <= share for row in samples] == top.tolist()
    assert [row["set"] for row in release.mark["stages"][-1]["sets"]] == ["0.2", "0.4", "0.6", "0.8", "1.0"]
    assert release.mark["phases"][0]["samples"] == int(23 * 0.4)


def test_whitened(scored, model, tmp_path):
    rows = released("whitened", scored, model, tmp_path / "out")
    reasons = {row["drop_reason"] for row in rows.values()} - {None}
    assert reasons <= {
        "whitened_image_loglik is null",
        "whitened_image_loglik not in top 0.95",
        "whitened_caption_loglik not in top 0.95",
    }
    assert sum(row["drop_reason"] == "whitened_image_loglik is null" for row in rows.values()) == 1
    samples = Release.open(str(tmp_path / "out")).samples().to_pylist()
    assert all(row["whitened_image_loglik"] < 0 and abs(row["image_conformity"]) <= 1 for row in samples)


def test_laion400m(scored, model, tmp_path):
    rows = released(
        "laion400m",
        scored,
        model,
        tmp_path / "out",
        "scores.keep.clip_score.min=-1",
        "pixels.keep.image_bytes.min=1500",
    )
    reasons = [row["drop_reason"] for row in rows.values()]
    assert set(reasons) <= {None, "image_bytes<1500", "caption_language not in en", "clip_score is null"}
    assert 0 < len(kept(rows)) < 24


ASKED_THEN_SEEN = """
[[stage]]
name = "asked"
run = "select_subset"
with.keep.mlm_score = { min = 0 }

[[stage]]
name = "seen"
run = "select_subset"
with.keep.image_solid_share = { max = 1 }
"""


def test_what_is_seen_in_a_pass_of_pairs_is_none_of_pictures(scored, tmp_path):
    (tmp_path / "scorer.py").write_text(SCORER)
    (tmp_path / "r.toml").write_text(ASKED_THEN_SEEN)
    run(str(tmp_path / "r.toml"), scored, str(tmp_path / "out"), set=[f"signals.mlm={tmp_path}/scorer.py:score"])
    rows = {row["uid"]: row for row in Release.open(str(tmp_path / "out")).subset().to_pylist()}
    assert {row["drop_reason"] for row in rows.values()} == {None, "mlm_score is null"} and kept(rows)


def test_mlm_by_columns_and_by_a_model(scored, tmp_path):
    rows = released("mlm", scored, None, tmp_path / "columns")
    told = {row["drop_value"] for row in rows.values() if not row["keep"]}
    assert told <= {str(n) for n in range(55, 66)} | {None} and len(told) >= 11
    assert {
        row["mlm_image_text_matching"] for row in Release.open(str(tmp_path / "columns")).samples().to_pylist()
    } <= set(range(66, 100))
    (tmp_path / "scorer.py").write_text(SCORER)
    changes = [f"signals.mlm={tmp_path}/scorer.py:score", "signals.mlm_image_text_matching.of=mlm_score"]
    asked = released("mlm", scored, None, tmp_path / "asked", *changes)
    broken = [row for row in asked.values() if (row["drop_value"] or "").startswith("decode_error")]
    assert len(broken) == 1 and 0 < len(kept(asked)) < 23
    mark = json.loads((tmp_path / "asked" / "manifest" / "release.json").read_text())
    assert len(mark["signals"]["mlm_image_text_matching"]["models"]["mlm"]["digest"]) == 64


def test_scores_are_reported_and_long_captions_have_windows(scored, model):
    told = score(scored, ["clip_s", "refclip_s"], clip=model)
    assert told["with_value"] == {"clip_s": 23, "refclip_s": 23}
    assert 0 <= told["mean"]["clip_s"] <= 2.5 and 0 <= told["mean"]["refclip_s"] <= 1.43
    plain = score(scored, ["clip_score", "caption_chars"], clip=model)["mean"]["clip_score"]
    means = {
        score(scored, ["clip_score"], clip=model, set=[f"windows={w}"])["mean"]["clip_score"]
        for w in ("content", "clipmd")
    }
    assert len(means | {plain}) == 3  # three of 24 captions are longer than the context
    with pytest.raises(RecipeError, match="wanted NAME=VALUE"):
        score(scored, ["clip_s"], set=["windows"])
