"""NaN, infinity, zero, overflow and wrong sizes among vectors, scores and counts: dropped or told, never passed."""

import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file, save_file

from curation import bounds, parts
from curation.errors import RecipeError, SchemaError
from curation.graph import Graph
from curation.methods import entry_probability, keep_by_draws, keep_probability, top_share
from curation.pool import Pool
from curation.recipe import check_settings, load_recipe
from curation.records import read_record, write_record
from curation.rows import Rows
from curation.schema import hex_id
from curation.stages import STAGES
from curation.vectors import from_matrix, to_binary

DDL = (
    "uid string, image_id string, image_embedding binary, image_embedding__error string, image_width_px int, "
    "image_height_px int"
)
FAULTS = {
    "image_embedding has NaN or infinity": [[np.nan] * 16, [np.inf] + [0.0] * 15, [1.0] * 15 + [-np.inf]],
    "image_embedding is zero": [[0.0] * 16, [-0.0] * 16],
    "image_embedding has 30 bytes, wanted 32": [[1.0] * 15],
    "image_embedding has 34 bytes, wanted 32": [[1.0] * 17],
    "image_embedding has no numbers": [[]],
}

READS = ["uid", "image_id", "image_embedding", "image_embedding__error", "image_width_px", "image_height_px"]


def drops(result) -> Counter:
    return Counter(r.drop_reason for r in result.collect())


@pytest.mark.parametrize("cell_images", [2000, 20])
def test_dedup_drops_what_is_no_vector(spark, monkeypatch, cell_images):
    """The planted ones go with a reason each, also where cells are trained, and take no sound picture with them."""
    monkeypatch.setattr(sys.modules["curation.stages.dedup_embeddings"], "CELL_IMAGES", cell_images)
    sound = np.random.default_rng(0).normal(size=(100, 16))
    planted = [(reason, vector) for reason, vectors in FAULTS.items() for vector in vectors]
    vectors = [(None, vector) for vector in sound] + planted * 2
    rows = [(np.array(v, "<f2").tobytes(), None) for _, v in vectors] + [(b"\0<\0", None), (None, "decode_error: cut")]
    listed = [(hex_id("u", str(i)), hex_id("i", str(i)), *row, 8, 8) for i, row in enumerate(rows)]
    result, sides = STAGES["dedup_embeddings"](spark.createDataFrame(listed, DDL).repartition(3))
    wanted = Counter(reason for reason, _ in vectors)
    wanted |= {"image_embedding has 3 bytes, an odd number": 1, "image_embedding is null": 1}
    assert drops(result) == wanted
    assert sides["duplicates"].count() == 0


def test_numbers_beyond_float16_are_null():
    rows = np.array([[1.0, 65504.0], [65520.0, 0.0], [1e30, 1.0], [-np.inf, 1.0], [np.nan, 1.0], [1e-9, 0.0]])
    assert [v is None for v in to_binary(from_matrix(rows)).to_pylist()] == [False, True, True, True, True, False]


@pytest.fixture
def own_pool(pool, tmp_path) -> str:
    copy = str(tmp_path / "pool")
    shutil.copytree(pool, copy, ignore=shutil.ignore_patterns("store"))
    return copy


def rows_of(pool: str, model: str) -> Rows:
    return Rows(Pool.open(pool), f"{pool}/store", Graph({"clip": model}))


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), 0.0])
def test_a_model_that_yields_no_vectors(spark, own_pool, model, tmp_path, weight):
    """Every picture is dropped, and none as the duplicate of another."""
    shutil.copytree(model.removeprefix("local-dir:"), tmp_path / "model")
    file = tmp_path / "model/open_clip_model.safetensors"
    weights = load_file(file)
    save_file(weights | {"visual.proj": weights["visual.proj"].fill_(weight)}, file)
    rows = rows_of(own_pool, f"local-dir:{tmp_path}/model")
    result, _ = STAGES["dedup_embeddings"](rows.select(spark, READS))
    found = drops(result)
    assert sum(found.values()) == 26 and set(found) <= {"image_embedding is null", "image_embedding is zero"}
    keep = check_settings(STAGES["select_subset"].spec, {"keep": {"clip_score": {"top_fraction": 1.0}}}, "test")
    scored = rows.select(spark, ["uid", "clip_score", "clip_score__error"])
    assert drops(STAGES["select_subset"](scored, **keep)) == {"clip_score is null": 26}


def plant(folder: Path, values: list) -> list[str]:
    """Put these values in place of the first ones of a signal, as if they had been computed; the ids of their rows."""
    done = read_record(f"{folder}/_done.json")
    [part] = done["parts"]
    table = pq.read_table(folder / part["name"], partitioning=None)
    changed = pa.array(values + table["value"].to_pylist()[len(values) :], table.schema.field("value").type)
    table = table.set_column(table.column_names.index("value"), table.schema.field("value"), changed)
    name = part["name"].removesuffix(".parquet")
    done["parts"] = [parts.write_part(str(folder), name, table.to_batches(), table.schema).record()]
    write_record(f"{folder}/_done.json", done)
    return table["id"].to_pylist()[: len(values)]


def test_vectors_and_scores_planted_in_the_store(spark, own_pool, model):
    rows, signals = rows_of(own_pool, model), Path(own_pool, "store/signals")
    assert rows.select(spark, ["uid", "image_embedding", "caption_embedding"]).count() == 26
    half = [np.array(v, "<f2").tobytes() for v in ([np.nan] * 24, [0.0] * 24, [np.inf] * 24, [1.0] * 23)]
    [folder] = signals.glob("image_embedding-*")
    images = plant(folder, half)
    scored = {r.uid: r for r in rows_of(own_pool, model).select(spark, ["uid", "image_id", "clip_score"]).collect()}
    gone = {uid for uid, r in scored.items() if r.clip_score is None}
    assert {u for u, r in scored.items() if r.image_id in images} <= gone
    result, _ = STAGES["dedup_embeddings"](rows_of(own_pool, model).select(spark, READS))
    reasons = {r.uid: r.drop_reason for r in result.collect()}
    told = Counter(r for u, r in reasons.items() if scored[u].image_id in images and r != "image_embedding is null")
    assert set(told) == {f"image_embedding {w}" for w in ("has NaN or infinity", "is zero", "has 46 bytes, wanted 48")}
    [folder] = signals.glob("clip_score-*")
    ids = plant(folder, [float("nan"), float("inf"), -float("inf"), 2.0])
    planted = dict(zip(ids, ("NaN", "infinite", "infinite")))
    frame = rows_of(own_pool, model).select(spark, ["uid", "clip_score", "clip_score__error"])
    for bound in ({"min": -1.0}, {"max": 5.0}, {"top_fraction": 1.0}):
        keep = check_settings(STAGES["select_subset"].spec, {"keep": {"clip_score": bound}}, "test")
        verdicts = {r.uid: r.drop_reason for r in STAGES["select_subset"](frame, **keep).collect()}
        assert {u: verdicts[u] for u in planted} == {u: f"clip_score is {kind}" for u, kind in planted.items()}
        nulls = {u for u, r in verdicts.items() if r == "clip_score is null"}
        assert nulls == gone - set(ids)
        assert sum(r is None for r in verdicts.values()) == 26 - len(nulls) - len(planted)


def test_top_fractions_count_only_what_is_finite(spark):
    scores = [float(n) for n in range(40)] + [np.nan, np.inf, -np.inf] * 5 + [None] * 5
    listed = [(hex_id(str(n)), score) for n, score in enumerate(scores)]
    keep = {"score": bounds.Bound(top_fraction=0.25)}
    found = drops(bounds.verdict(spark.createDataFrame(listed, "uid string, score double"), keep))
    nots = {"score is NaN": 5, "score is infinite": 10, "score is null": 5}
    assert found == {None: 10, "score not in top 0.25": 30} | nots
    texts = [(u, None if s is None else str(s)) for u, s in listed] + [("x", "1e999"), ("y", "wide"), ("z", "")]
    keep = {"extra.s": bounds.Bound(top_fraction=0.25)}
    found = drops(bounds.verdict(spark.createDataFrame(texts, "uid string, `extra.s` string"), keep))
    assert found == {None: 10, "extra.s not in top 0.25": 30} | {
        "extra.s is NaN": 5, "extra.s is infinite": 11, "extra.s is null": 7,
    }  # fmt: skip
    assert top_share(scores, 0.25).tolist() == [30 <= n < 40 for n in range(len(scores))]


@pytest.mark.parametrize(
    "scores",
    [
        [1.7e308, -1.7e308, 1e308, -1e308, 0.0, 1.0, 2.0, -1.0],
        [5e-324, 0.0, 1e-323, 1.5e-323, 2e-323, -5e-324, 2.5e-323, 3e-323],
        [1e15, 1e15 + 0.125, 1e15 + 0.25, 1e15 + 0.375, 1e15 + 0.5, 1e15 + 0.625, 1e15 + 0.75, 1e15 + 0.875],
    ],
    ids=["largest", "smallest", "close"],
)
def test_ranks_among_extreme_numbers(spark, monkeypatch, scores):
    monkeypatch.setattr(bounds, "COLLECTED", 2)
    listed = [(score, hex_id(str(n))) for n, score in enumerate(scores)]
    frame = spark.createDataFrame(listed, "score double, uid string").coalesce(1).cache()
    order = sorted(listed, key=lambda row: (-row[0], row[1]))
    for index in (0, 3, 7):
        assert bounds.nth_best(frame, lambda count, index=index: index) == order[index]


@pytest.mark.parametrize("counts", [[3.0, np.nan], [1, -1], [None, 2]])
def test_counts_that_are_none(counts):
    with pytest.raises(SchemaError, match="counts from"):
        entry_probability(counts, 5)


@pytest.mark.parametrize("ids", [[[0, 2]], [[-1]], [[1]]])
def test_entries_that_were_never_counted(ids):
    p = [0.5, np.nan]
    with pytest.raises(SchemaError, match="no count of the entries"):
        keep_probability(ids, p)
    with pytest.raises(SchemaError, match="no count of the entries"):
        keep_by_draws(ids, p, [0.5] * len(ids[0]))


def test_the_counts_of_another_matching_are_refused(spark):
    pairs = spark.createDataFrame([("a", [0, 3])], "uid string, entries array<int>")
    balance = STAGES["balance_entries"]
    for counts in ([(0, 5)], [(0, 5), (4, 1)], []):
        frame = balance(pairs, spark.createDataFrame(counts, "entry_id int, count long"))
        with pytest.raises(Exception, match="SchemaError: no count of the entries"):
            frame.collect()
    with pytest.raises(SchemaError, match="counts from nan"):
        balance(pairs, spark.createDataFrame([(0, None)], "entry_id int, count long"))


RECIPE = """
[[stage]]
run = "clean_captions"
[[stage]]
run = "select_subset"
with.keep.{}
"""


@pytest.mark.parametrize(
    ("bound", "says"),
    [
        ("caption = {min = 3}", "wanted a column of kind number, caption is string"),
        ("caption_raw = {top_fraction = 0.5}", "wanted a column of kind number, caption_raw is string"),
        ("caption_words = {in = ['3']}", "wanted a column of kind text, caption_words is int32"),
        ("caption_language = {in = [1, 2]}", "wanted a column of kind number, caption_language is string"),
        ("image_phash = {min = 1}", "wanted a column of kind number, image_phash is binary"),
        ("keep = {min = 1}", r"no signal or column \['keep'\]"),
        ("caption_words = {min = nan}", "finite number"),
        ("caption_words = {max = inf}", "finite number"),
        ("caption_words = {in = [1, 'a']}", "all text, all numbers, or all true and false"),
    ],
)
def test_a_bound_that_does_not_fit_its_column_is_refused_before_work(tmp_path, bound, says):
    recipe = tmp_path / "r.toml"
    recipe.write_text(RECIPE.format(bound))
    with pytest.raises(RecipeError, match=says):
        load_recipe(str(recipe))


def test_bounds_on_true_and_false(spark):
    frame = spark.createDataFrame([("a", "true"), ("b", "false"), ("c", "maybe")], "uid string, `extra.safe` string")
    found = bounds.verdict(frame, {"extra.safe": bounds.Bound(in_=[True])}).collect()
    assert [(r.uid, r.drop_reason) for r in found] == [
        ("a", None), ("b", "extra.safe not in True"), ("c", "extra.safe is null"),
    ]  # fmt: skip
