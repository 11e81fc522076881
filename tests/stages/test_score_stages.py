"""Bands of a score, clusters of target pictures and whitened likelihoods: stages against their plain rules."""

import math

import numpy as np
import pyarrow as pa
import pytest

from curation.errors import RecipeError
from curation.methods import conformity, keyed_uniforms, top_share, whiten_fit, whiten_loglik
from curation.recipe import check_settings
from curation.schema import hex_id
from curation.stages import STAGES

UIDS = sorted(hex_id(f"p{n}") for n in range(200))


def rows_of(frame):
    return {row.uid: row for row in frame.collect()}


def test_bands_are_the_nested_top_shares(spark):
    scores = [float(n * 37 % 50) if n % 9 else None for n in range(200)]
    scores[1], scores[2] = math.nan, math.inf
    frame = spark.createDataFrame(
        [(uid, score, None) for uid, score in zip(UIDS, scores)],
        "uid string, clip_score double, clip_score__error string",
    ).repartition(5)
    found = rows_of(STAGES["band_scores"](frame, score="clip_score", shares=[0.2, 0.55, 0.9]))
    for share, bands in ((0.2, {0.2}), (0.55, {0.2, 0.55}), (0.9, {0.2, 0.55, 0.9})):
        wanted = {uid for uid, keep in zip(UIDS, top_share(scores, share)) if keep}  # uids ascend: ties by uid
        assert {uid for uid, row in found.items() if row.score_band in bands} == wanted
    assert {row.drop_reason for row in found.values()} == {
        None,
        "clip_score is null",
        "clip_score is NaN",
        "clip_score is infinite",
        "clip_score not in top 0.9",
    }
    assert all((row.score_band is None) != row.keep for row in found.values())


@pytest.mark.parametrize("count", [0, 1])
def test_bands_of_no_and_one_pair(spark, count):
    ddl = "uid string, clip_score double, clip_score__error string"
    frame = spark.createDataFrame([(UIDS[0], 0.5, None)][:count], ddl)
    found = STAGES["band_scores"](frame, score="clip_score", shares=[0.5, 1.0]).collect()
    assert [row.score_band for row in found] == [1.0] * count


def test_a_source_s_score_that_is_no_number_is_in_no_band(spark):
    frame = spark.createDataFrame(
        [(UIDS[0], "0.5", None), (UIDS[1], "n/a", None)], "uid string, `extra.s` string, `extra.s__error` string"
    )
    found = rows_of(STAGES["band_scores"](frame, score="extra.s", shares=[1.0]))
    assert [(found[uid].score_band, found[uid].drop_reason) for uid in UIDS[:2]] == [
        (1.0, None),
        (None, "extra.s is null"),
    ]


@pytest.mark.parametrize("shares", [[], [0.4, 0.2], [0.2, 0.2], [0.0], [1.1]])
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(RecipeError, match="shares"):
        check_settings(STAGES["band_scores"].spec, {"shares": shares}, "test")


def vectors(spark, matrix, **columns):
    """A DataFrame of float16 vectors: uid, image_id, caption and `column`, null where a row is None."""
    rows = [None if row is None else np.asarray(row, "<f2").tobytes() for row in matrix]
    table = {"uid": UIDS[: len(rows)], "image_id": UIDS[: len(rows)], "caption": UIDS[: len(rows)]}
    table |= {name: pa.array(rows, pa.binary()) for name in ("image_embedding", "caption_embedding")}
    errors = pa.array([None if row is not None else "decode_error: x" for row in rows], pa.string())
    return spark.createDataFrame(pa.table(table | {"image_embedding__error": errors} | columns))


def clusters(spark, frame, folder, centroids, targets):
    np.save(folder / "c.npy", np.asarray(centroids))
    np.save(folder / "t.npy", np.asarray(targets))
    files = {"centroids": str(folder / "c.npy"), "targets": str(folder / "t.npy")}
    return STAGES["select_clusters"](frame, **check_settings(STAGES["select_clusters"].spec, files, "test"))


def test_pictures_in_clusters_of_targets_stay(spark, tmp_path):
    random = np.random.default_rng(0)
    pictures = random.normal(size=(120, 8)).astype("f2")
    centroids = random.normal(size=(15, 8)).astype("f4") * random.uniform(0.5, 3, (15, 1))  # long ones attract more
    targets = random.normal(size=(6, 8)).astype("f4")
    frame = vectors(spark, [*pictures, None, [0] * 8]).repartition(3)
    result, sides = clusters(spark, frame, tmp_path, centroids, targets)
    found = rows_of(result)
    own = (pictures.astype("f8") @ centroids.T.astype("f8")).argmax(axis=1)
    wanted = (targets.astype("f8") @ centroids.T.astype("f8")).argmax(axis=1)
    for uid, cluster in zip(UIDS, own):
        keep = cluster in wanted
        assert (found[uid].cluster, found[uid].keep) == (cluster, keep)
        told = (None, None) if keep else ("not_target_cluster", str(cluster))
        assert (found[uid].drop_reason, found[uid].drop_value) == told
    assert 0 < sum(row.keep for row in found.values()) < 120
    assert found[UIDS[120]].drop_reason == "image_embedding is null"
    assert found[UIDS[120]].drop_value == "decode_error: x"
    assert found[UIDS[121]].drop_reason == "image_embedding is zero"
    assert dict(sides["target_clusters"].collect()) == {c: int((wanted == c).sum()) for c in set(wanted.tolist())}


def test_vectors_of_other_models_are_refused(spark, tmp_path):
    frame = vectors(spark, np.ones((3, 8)))
    with pytest.raises(RecipeError, match="image_embedding has vectors of 8 numbers"):
        clusters(spark, frame, tmp_path, np.ones((2, 4)), np.ones((2, 4)))
    with pytest.raises(RecipeError, match="by one model"):
        clusters(spark, frame, tmp_path, np.ones((2, 8)), np.ones((2, 4)))


FITTED = {"image": "image_embedding", "caption": "caption_embedding"}


def test_likelihoods_and_conformity_are_those_of_the_method(spark):
    random = np.random.default_rng(0)
    x = (random.normal(size=(150, 6)) @ random.normal(size=(6, 6)) + 2).astype("f2")
    frame = vectors(spark, [*x, None, [np.nan] * 6, [1.0] * 3]).repartition(4)
    result, sides = STAGES["fit_whitening"](frame, **FITTED)
    found = rows_of(result)
    x = x.astype("f8")
    fit = whiten_fit(x)
    likely = [found[uid].whitened_image_loglik for uid in UIDS[:150]]
    np.testing.assert_allclose(likely, whiten_loglik(x, fit), atol=2e-3)
    assert likely == [found[uid].whitened_caption_loglik for uid in UIDS[:150]]
    np.testing.assert_allclose([found[uid].image_conformity for uid in UIDS[:150]], conformity(x), atol=1e-6)
    assert [found[uid].image_conformity for uid in UIDS[150:153]] == [None] * 3
    assert [found[uid].whitened_image_loglik for uid in UIDS[150:153]] == [None] * 3
    table = sides["image_fit"].orderBy("dimension").toArrow()
    np.testing.assert_allclose(table["mean"], fit.mean, atol=1e-4)
    assert set(table["count"].to_pylist()) == {150} and len(table) == 6


def test_conformity_of_pairs_that_were_not_drawn_for_the_fit(spark):
    x = np.random.default_rng(3).normal(size=(60, 6)).astype("f2")
    found = rows_of(STAGES["fit_whitening"](vectors(spark, x), sample=20, **FITTED)[0])
    drawn = keyed_uniforms(0, "fit_whitening", pa.array(UIDS[:60])) < 20 / 60
    unit = x.astype("f8") / np.linalg.norm(x.astype("f8"), axis=1, keepdims=True)
    cosines = unit @ unit[drawn].T
    wanted = (cosines.sum(axis=1) - drawn) / (drawn.sum() - drawn)
    assert 10 < drawn.sum() < 30
    np.testing.assert_allclose([found[uid].image_conformity for uid in UIDS[:60]], wanted, atol=1e-6)


def test_order_partitions_and_repeated_pictures_change_no_bit(spark):
    random = np.random.default_rng(1)
    x = random.normal(size=(90, 5)).astype("f2")
    names = pa.array([UIDS[n % 60] for n in range(90)])
    x[60:] = x[:30]
    frame = vectors(spark, x, image_id=names, caption=names)
    first = rows_of(STAGES["fit_whitening"](frame, **FITTED)[0])
    again = rows_of(STAGES["fit_whitening"](frame.orderBy("image_embedding").repartition(7), **FITTED)[0])
    assert first == again
    alone = rows_of(STAGES["fit_whitening"](vectors(spark, x[:60]), **FITTED)[0])
    assert all(tuple(first[uid]) == tuple(alone[uid]) for uid in UIDS[:60])  # each picture counts once
    sampled = [rows_of(STAGES["fit_whitening"](frame.repartition(n), sample=20, **FITTED)[0]) for n in (1, 5)]
    assert sampled[0] == sampled[1] != first


@pytest.mark.parametrize("matrix", [[], [[1.0, 2.0]], [None, None], [[1.0, 2.0]] * 4])
def test_where_nothing_can_be_fitted_scores_are_null(spark, matrix):
    result, sides = STAGES["fit_whitening"](vectors(spark, matrix), **FITTED)
    found = result.collect()
    assert len(found) == len(matrix) and all(row.whitened_image_loglik is None for row in found)
    assert sides["image_fit"].count() == 0
