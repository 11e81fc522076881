"""dedup_embeddings in cells: exact mode, modes, hard and easy, the measured recall, and earlier releases."""

import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.clusters import unit_rows
from curation.errors import RecipeError
from curation.methods import link_pooled, semdedup
from curation.parts import write_part
from curation.recipe import check_settings
from curation.records import write_record
from curation.representatives import CAPTION_DDL
from curation.schema import hex_id
from curation.signals import SIGNALS
from curation.stages import STAGES
from curation.vectors import exact_cosine, from_matrix, to_binary

DDL = (
    "uid string, image_id string, image_embedding binary, image_embedding__error string, image_width_px int, "
    "image_height_px int"
)
THRESHOLD = 0.9
DIM = 24


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """500 vectors around 40 directions, so loosely that cells cut through groups, and a few equal ones."""
    generator = np.random.default_rng(8)
    centres = generator.normal(size=(40, DIM))
    rows = centres[generator.integers(0, 40, 500)] + 0.33 * generator.normal(size=(500, DIM))
    rows[490:] = rows[:10]
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("<f2")


def rows_of(vectors: np.ndarray, first: int = 0) -> list[tuple]:
    names = [hex_id("image", str(n)) for n in range(first, first + len(vectors))]
    return [(n, n, v.tobytes(), None, 10 + k % 4, 10) for k, (n, v) in enumerate(zip(names, vectors))]


@pytest.fixture
def small_cells(monkeypatch):
    monkeypatch.setattr(sys.modules["curation.stages.dedup_embeddings"], "CELL_IMAGES", 10)


def run(spark, rows, **settings):
    frame = spark.createDataFrame(rows, DDL).repartition(3)
    result, sides = STAGES["dedup_embeddings"](frame, threshold=THRESHOLD, **settings)
    groups = {r.image_id: r for r in sides["duplicates"].collect()}
    kept = {r.uid for r in result.where("keep").select("uid").collect()}
    return kept, groups, sides["recall"].collect()


def near(vectors: np.ndarray) -> np.ndarray:
    count = len(vectors)
    left, right = np.repeat(vectors, count, axis=0), np.tile(vectors, (count, 1))
    return exact_cosine(left, right).reshape(count, count) >= THRESHOLD


def test_exact_mode_misses_no_pair_and_recall_tells_what_is_missed(spark, vectors, small_cells):
    rows, close = rows_of(vectors), near(vectors)
    order = sorted(range(len(rows)), key=lambda n: (-rows[n][4], rows[n][1]))
    wanted: list[int] = []
    for n in order:
        if not close[n, wanted].any():
            wanted.append(n)
    kept, groups, (told,) = run(spark, rows, exact=True, recall_sample=500)
    assert kept == {rows[n][1] for n in wanted} and len(groups) == len(rows) - len(wanted) > 150
    assert told.cells >= 5 and told.recall == 1 and told.pairs > 1000
    _, _, (cheap,) = run(spark, rows, assignments=1, recall_sample=500)
    assert cheap.pairs == told.pairs and 0.1 < cheap.recall < 1


def test_hard_and_transitive_is_semdedup(spark, vectors):
    """In one cell: the pure method, with the centroid that k-means gives one cell, the mean direction."""
    different = np.unique(vectors, axis=0)
    rows = rows_of(different)
    rows.sort(key=lambda row: row[1])
    listed = np.array([np.frombuffer(row[2], "<f2") for row in rows]).astype(np.float64)
    unit = listed / np.linalg.norm(listed, axis=1, keepdims=True)
    centre = unit.mean(axis=0, keepdims=True)
    centre /= np.linalg.norm(centre)
    for keep in ("hard", "easy"):
        kept, groups, _ = run(spark, rows, mode="transitive", order=keep)
        wanted = semdedup(unit, np.zeros(len(unit), int), centre, 1 - THRESHOLD, keep)
        right = {rows[n][1] for n in wanted}
        assert len(kept ^ right) <= 2  # of float32 centroids; nearly equal distances may change places
        assert {g.group for g in groups.values()} <= kept


def earlier_release(folder, rows: list[tuple]) -> str:
    """The parts of a release that a later run reads."""
    table = pa.table({"image_id": [r[1] for r in rows], "image_embedding": pa.array([r[2] for r in rows], pa.binary())})
    part = write_part(str(folder / "manifest" / "samples"), "all", table.to_batches(), table.schema).record()
    part["name"] = f"manifest/samples/{part['name']}"
    mark = {"schema_version": 1, "counts": {}, "samples": [part], "tars": [], "shards": [], "subset": []}
    mark |= {"stages": [], "signals": {}}
    write_record(str(folder / "manifest" / "release.json"), mark)
    return str(folder)


def test_pairs_are_linked_by_their_pooled_vectors(spark, vectors, small_cells):
    texts = np.roll(vectors, 1, axis=0)
    signal = SIGNALS["pooled_embedding"]
    as_lists = [from_matrix(each.astype(np.float32)) for each in (vectors, texts)]
    pooled = to_binary(signal(*as_lists, image_weight=0.7))
    rows = [(r[0], hex_id("one image"), v.as_py(), *r[3:]) for r, v in zip(rows_of(vectors), pooled)]
    ddl = DDL.replace("image_embedding", "pooled_embedding")
    said = "concat('caption ', uid) caption", "'alt' caption_kind", f"cast(null as {CAPTION_DDL}) captions"
    frame = spark.createDataFrame(rows, ddl).repartition(3).selectExpr("*", *said)
    settings = {"vectors": "pooled_embedding", "unit": "pair", "mode": "components", "exact": True}
    settings |= {"keep_captions": True}
    result, sides = STAGES["dedup_embeddings"](frame, threshold=THRESHOLD, **settings)
    labels = link_pooled(unit_rows(vectors), unit_rows(texts), 0.7, 1 - THRESHOLD)
    told = result.collect()
    kept = {r.uid for r in told if r.keep}
    number = {row[0]: n for n, row in enumerate(rows)}
    assert sorted(labels[number[uid]] for uid in kept) == sorted(set(labels)) and 100 < len(kept) < 450
    groups = sides["duplicates"].collect()
    assert len(groups) == len(rows) - len(kept)
    assert all(labels[number[g.uid]] == labels[number[g.representative]] and g.group in kept for g in groups)
    assert {r.drop_reason for r in told} == {None, "duplicate_pair"}
    texts = {r.uid: {c.text for c in r.captions or []} for r in told}
    assert all(f"caption {g.uid}" in texts[g.group] for g in groups) and sum(map(len, texts.values())) == len(groups)


@pytest.mark.parametrize("mode", ["representative", "components"])
def test_nothing_of_an_earlier_release_comes_again(spark, vectors, small_cells, tmp_path, mode):
    rows = rows_of(vectors)
    old, new = rows[:200], rows[150:]  # 50 pictures are in both, by name and by vector
    settings = STAGES["dedup_embeddings"].spec
    release = earlier_release(tmp_path, old)
    against = check_settings(settings, {"against": [release]}, "here")["against"]
    assert against == [f"{release}/manifest/release.json"]
    kept, groups, _ = run(spark, new, exact=True, mode=mode, against=against)
    close = near(vectors)
    place = {row[1]: n for n, row in enumerate(rows)}
    assert not close[np.ix_([place[k] for k in kept], np.arange(200))].any()
    told = [g for g in groups.values() if g.earlier]
    assert len(told) > 80 and {g.group for g in told} <= {row[1] for row in old}
    assert groups.keys() == {row[1] for row in new} - kept  # of the old ones none is dropped
    if mode == "representative":
        assert all(close[place[g.image_id], place[g.group]] for g in groups.values())


def test_an_earlier_release_without_the_vectors_is_refused(spark, vectors, tmp_path):
    rows = rows_of(vectors)
    release = earlier_release(tmp_path, rows[:5])
    path = next((tmp_path / "manifest" / "samples").glob("*.parquet"))
    assert pq.read_table(path).num_rows == 5
    with pytest.raises(RecipeError, match="has no column image_phash"):
        frame = spark.createDataFrame(rows, DDL).withColumnsRenamed(
            {"image_embedding": "image_phash", "image_embedding__error": "image_phash__error"}
        )
        STAGES["dedup_images"](frame, by="phash", against=[release + "/manifest/release.json"])
    with pytest.raises(RecipeError, match="against"):
        check_settings(STAGES["dedup_images"].spec, {"against": [str(tmp_path / "nowhere")]}, "here")
