"""cluster_pairs: clusters and groups of about equal size whatever the order; centroids and labels of files."""

import numpy as np
import pyarrow as pa
import pytest

from curation.errors import RecipeError
from curation.methods import nearest_centres, route_experts
from curation.methods.routing import routing
from curation.recipe import check_settings
from curation.schema import hex_id
from curation.stages import STAGES

stage = STAGES["cluster_pairs"]


@pytest.fixture(scope="module")
def pairs():
    """640 vectors in 12 dimensions, not of unit length, and two pairs without one."""
    vectors = np.random.default_rng(0).normal(size=(640, 12)).astype("<f2")
    column = pa.array([*(row.tobytes() for row in vectors), None, vectors[0].tobytes()[:5]], pa.binary())
    return pa.table({"uid": [hex_id(str(n)) for n in range(642)], "caption_embedding": column})


def clustered(spark, table, partitions=3, **settings):
    frame = spark.createDataFrame(table).repartition(partitions)
    found, sides = stage(frame, **check_settings(stage.spec, settings, "test"))
    tables = {name: sorted(side.collect()) for name, side in sides.items()}
    return {row.uid: row for row in found.collect()}, tables


@pytest.fixture(scope="module")
def balanced(spark, pairs):
    return clustered(spark, pairs, clusters=16, groups=4)


def test_clusters_and_groups_have_about_equal_size(balanced):
    found, tables = balanced
    clusters = [row.cluster for row in found.values() if row.cluster is not None]
    assert len(found) == 642 and len(clusters) == 640
    assert np.abs(np.bincount(clusters, minlength=16) - 40).max() <= 1
    assert [(row.clusters, abs(row.pairs - 160) <= 4) for row in tables["groups"]] == [(4, True)] * 4
    for row in tables["centroids"]:
        own = [each for each in found.values() if each.cluster == row.cluster]
        assert row.pairs == len(own) and {each.cluster_group for each in own} == {row.cluster_group}
        assert row.nearest_uid == min(own, key=lambda each: (each.cluster_distance, each.uid)).uid


def test_order_and_partitions_change_nothing(spark, pairs, balanced):
    turned = pairs.take(pa.array(np.random.default_rng(1).permutation(len(pairs))))
    assert clustered(spark, turned, partitions=7, clusters=16, groups=4) == balanced


def test_a_task_is_routed_by_the_side_table(balanced):
    rows = balanced[1]["centroids"]
    centres, groups = np.array([row.centre for row in rows]), np.array([row.cluster_group for row in rows])
    task = centres[groups == 2]
    assert groups[routing(task, centres, groups).nearest].tolist() == [2] * len(task)
    assert route_experts(task, centres, groups).argmax() == 2


def test_centroids_and_labels_of_files(spark, pairs, tmp_path):
    centres = np.random.default_rng(2).normal(size=(5, 12)).astype("f4")
    np.save(tmp_path / "c.npy", centres)
    (tmp_path / "labels.tsv").write_text("# looked at\n0\tMicroscopy\n3\tClinical imaging: X-ray\n\n")
    files = {"centroids": str(tmp_path / "c.npy"), "labels": str(tmp_path / "labels.tsv")}
    found, tables = clustered(spark, pairs, groups=2, **files)
    vectors = np.stack([np.frombuffer(each, "<f2") for each in pairs["caption_embedding"].to_pylist()[:640]])
    unit = vectors.astype("f4") / np.linalg.norm(vectors.astype("f4"), axis=1, keepdims=True)
    wanted = nearest_centres(unit, centres)
    assert [found[uid].cluster for uid in pairs["uid"].to_pylist()[:640]] == wanted.tolist()
    labels = {0: "Microscopy", 3: "Clinical imaging: X-ray"}
    assert all(row.cluster_label == labels.get(row.cluster) for row in found.values())
    assert [row.label for row in tables["centroids"]] == [labels.get(n) for n in range(5)]
    np.save(tmp_path / "short.npy", centres[:, :4])
    with pytest.raises(RecipeError, match=r"vectors of 4 numbers; caption_embedding has .*12 numbers"):
        clustered(spark, pairs, centroids=str(tmp_path / "short.npy"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0 Microscopy", "line 1: '0 Microscopy'"),
        ("0\tA\n0\tB", "number 0 comes twice"),
        ("-1\tA", "NUMBER<TAB>LABEL"),
        ("0\t ", "NUMBER<TAB>LABEL"),
    ],
)
def test_labels_that_are_none_are_refused(tmp_path, text, told):
    (tmp_path / "labels.tsv").write_text(text)
    with pytest.raises(RecipeError, match=told):
        check_settings(stage.spec, {"labels": str(tmp_path / "labels.tsv")}, "test")


def test_labels_need_their_centroids(spark, pairs, tmp_path):
    (tmp_path / "labels.tsv").write_text("7\tMicroscopy")
    settings = check_settings(stage.spec, {"labels": str(tmp_path / "labels.tsv")}, "test")
    with pytest.raises(RecipeError, match="labels belong to centroids"):  # the loader of a recipe asks, too
        stage.spec.columns("pairs", settings)
    np.save(tmp_path / "c.npy", np.eye(12)[:5])
    with pytest.raises(RecipeError, match="number 7 is none of 5 clusters"):
        clustered(spark, pairs, labels=str(tmp_path / "labels.tsv"), centroids=str(tmp_path / "c.npy"))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_fewer_vectors_than_clusters(spark, pairs, count):
    found, tables = clustered(spark, pairs.slice(0, count), clusters=16, groups=4)
    assert sorted(row.cluster for row in found.values()) == list(range(count))
    assert len(tables["centroids"]) == count and len(tables["groups"]) == min(count, 4)
