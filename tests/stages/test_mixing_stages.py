"""Random subsets, mixtures of sources, mixed captions, balanced attributes: stages against their plain rules."""

import numpy as np
import pyarrow as pa
import pytest

from curation.errors import RecipeError
from curation.methods import attribute_weights, keyed_uniforms, mix_captions, source_counts
from curation.recipe import check_settings
from curation.schema import CAPTIONS, hex_id
from curation.stages import STAGES
from curation.stages.mix_sources import _counts
from curation.stages.weigh_attributes import Trait

UIDS = [hex_id(f"p{n}") for n in range(300)]
SOURCES = {uid: "abc"[min(n // 60, 2)] for n, uid in enumerate(UIDS)}


@pytest.fixture(scope="module")
def pairs(spark):
    return spark.createDataFrame(list(SOURCES.items()), "uid string, source string").repartition(3).cache()


def kept(frame):
    return {row.uid for row in frame.collect() if row.keep}


def uniforms(stage, seed):
    return dict(zip(UIDS, keyed_uniforms(seed, stage, pa.array(UIDS))))


def test_a_budget_is_exact_nested_and_by_the_smallest_uniforms(pairs):
    small = kept(STAGES["sample_budget"](pairs, size=40, seed=3))
    large = kept(STAGES["sample_budget"](pairs.orderBy("uid").repartition(7), share=0.5, seed=3))
    draws = uniforms("sample_budget", 3)
    assert small == set(sorted(UIDS, key=draws.get)[:40])
    assert len(large) == 150 and small < large
    assert kept(STAGES["sample_budget"](pairs, size=1000)) == set(UIDS)
    assert kept(STAGES["sample_budget"](pairs, size=0)) == set()
    with pytest.raises(RecipeError, match="either size or share"):
        STAGES["sample_budget"](pairs, size=1, share=0.5)


def test_sources_are_mixed_by_their_weights(pairs):
    weights = {"a": 0.5, "b": 0.5, "c": 0.25}
    result, sides = STAGES["mix_sources"](pairs, weights=weights, budget=100, seed=1)
    found, sizes = kept(result), {"a": 60, "b": 60, "c": 180}
    wanted = source_counts(sizes, weights, 100)
    draws = uniforms("mix_sources", 1)
    for source, count in wanted.items():
        best = sorted((uid for uid in UIDS if SOURCES[uid] == source), key=draws.get)[:count]
        assert {uid for uid in found if SOURCES[uid] == source} == set(best)
    rows = {r.source: (r.weight, r.pairs, r.pairs_kept) for r in sides["sources"].collect()}
    assert rows == {s: (weights[s], sizes[s], wanted[s]) for s in sizes}
    assert found < kept(STAGES["mix_sources"](pairs, weights=weights, budget=140, seed=1)[0])
    assert len(kept(STAGES["mix_sources"](pairs, weights={"a": 1, "b": 1, "c": 0})[0])) == 120


def test_sources_that_are_mixed_as_they_are_lose_nothing():
    sizes = {"a": 5, "b": 40, "c": 55}
    assert _counts(sizes, {"a": 0.05, "b": 0.4, "c": 0.55}, None) == sizes


def test_a_source_without_a_weight_is_no_mixture(pairs):
    with pytest.raises(RecipeError, match=r"source without a weight.*'c'"):
        STAGES["mix_sources"](pairs, weights={"a": 1, "b": 1})


@pytest.fixture(scope="module")
def scored(spark):
    """(frame, rows) of pairs with scores; some have no generated caption, some two, one is negative."""
    generator = np.random.default_rng(5)
    rows = []
    for n, uid in enumerate(sorted(UIDS[:60])):
        captions = [
            ("gen one", "m1", False),
            ("gen two", "m2", False),
            ("wrong", "m1", True),
            ("rewritten", None, False),
        ]
        captions = captions[n % 3 :] if n % 3 else []
        texts = [{"text": t, "kind": "k", "model": m, "language": "en", "negative": neg} for t, m, neg in captions]
        scores = [None if c[2] else float(np.float32(s)) for c, s in zip(captions, generator.uniform(0, 0.4, 9))]
        raw = float("nan") if n == 7 else None if n == 8 else float(np.float32(generator.uniform(0, 0.4)))
        rows.append((uid, f"raw {n}", texts, raw, scores))
    from pyspark.sql.pandas.types import from_arrow_type

    captions = from_arrow_type(CAPTIONS).simpleString()
    ddl = f"uid string, caption string, captions {captions}, clip_score float, captions_clip_score array<float>"
    return spark.createDataFrame(rows, ddl).repartition(3).cache(), rows


@pytest.mark.parametrize(
    "strategy",
    ["raw_top", "generated_top", "raw_top_generated_rest", "raw_top_generated_passing", "best_top", "generated_all"],
)
def test_captions_are_mixed_by_the_plain_rule(scored, strategy):
    frame, rows = scored
    best = []
    for row in rows:
        named = [(s, c) for s, c in zip(row[4], row[2]) if s is not None and c["model"]]
        best.append(max(named, key=lambda each: each[0], default=(None, None)))
    wanted = mix_captions([r[3] for r in rows], [s for s, _ in best], 0.3, strategy)
    found = {r.uid: r for r in STAGES["mix_captions"](frame, x=0.3, strategy=strategy).collect()}
    assert len(set(wanted)) > 1
    for row, (_, caption), source in zip(rows, best, wanted):
        result = found[row[0]]
        texts = {"raw": (row[1], "raw"), "generated": caption and (caption["text"], caption["model"]), "": (None, None)}
        assert (result.caption, result.caption_source) == texts[source]
        assert result.keep == (source != "")


def test_only_the_models_asked_for_give_captions(scored):
    frame, _ = scored
    rows = STAGES["mix_captions"](frame, strategy="generated_all", generated=["m2"]).collect()
    assert {r.caption_source for r in rows if r.keep} == {"m2"}
    with pytest.raises(RecipeError, match=r"no captions that are \['m9'\] have a score; there are those of .*'m2'"):
        STAGES["mix_captions"](frame, strategy="generated_all", generated=["m9"])
    alone = frame.selectExpr("uid", "caption", "captions", "clip_score", "captions_clip_score").limit(3)
    assert STAGES["mix_captions"](alone.where("false"), generated=["m9"]).count() == 0


def test_attributes_are_weighed_as_the_solver_says(spark):
    generator = np.random.default_rng(2)
    texts = [
        " ".join(["A Woman" if f else "a man"] * int(p) + ["in the office"] * int(w) + ["."])
        for f, w, p in generator.random((300, 3)) < (0.3, 0.4, 0.9)
    ]
    frame = spark.createDataFrame(list(zip(UIDS, texts)), "uid string, caption string").repartition(3)
    result, sides = STAGES["weigh_attributes"](
        frame,
        attributes={"female": Trait(words=["woman"], among=["woman", "man"])},
        labels={"work": Trait(words=["office"])},
        keep_share=0.5,
    )
    s = np.array([np.nan if "an" not in t.lower() else float("woman" in t.lower()) for t in texts])
    q = attribute_weights(s, np.array(["office" in t for t in texts], int), 0.5, 0.5, 0.01, 0.01)
    rows = {r.uid: r for r in result.collect()}
    np.testing.assert_allclose([rows[uid].keep_probability for uid in UIDS], q, atol=1e-6)
    draws = uniforms("weigh_attributes", 0)
    assert [rows[uid].keep for uid in UIDS] == [draws[uid] < rows[uid].keep_probability for uid in UIDS]
    before, after = zip(*((r.share, r.share_kept) for r in sides["associations"].collect()))
    assert max(abs(share - 0.5) for share in after) < 0.05 < max(abs(share - 0.5) for share in before)


@pytest.mark.parametrize(
    ("column", "listed", "symbols"),
    [
        ("whole", [1, 2], "110"),
        ("whole", ["1", 3], "101"),
        ("real", [1], "100"),
        ("yes", [True], "100"),
        ("text", ["x", 1], "101"),
        ("text", [True], "010"),
    ],
)
def test_a_trait_lists_values_of_a_column_of_any_type(listable, column, listed, symbols):
    trait = Trait.model_validate({"column": column, "in": listed})
    rows = listable.select("place", trait.symbol().alias("symbol")).collect()
    assert "".join(row.symbol for row in sorted(rows)) == symbols


@pytest.fixture(scope="module")
def listable(spark):
    columns = "place int, whole long, real double, yes boolean, text string, narrow float"
    rows = [(0, 1, 1.0, True, "x", 0.1), (1, 2, 2.5, False, "true", 0.7), (2, 3, None, None, "1", None)]
    return spark.createDataFrame(rows, columns)


def test_a_number_counts_as_a_column_of_float32_holds_it(listable):
    bounds = ({"max": 0.1}, {"min": 0.7}, {"in": [0.1, 0.7]})
    traits = (Trait.model_validate({"column": "narrow"} | bound).symbol() for bound in bounds)
    rows = listable.select("place", *traits).collect()
    assert ["".join(row[1:]) for row in sorted(rows)] == ["101", "011", "000"]


def test_no_number_is_no_trait(spark):
    frame = spark.createDataFrame([(0, float("nan")), (1, 0.7), (2, 0.1)], "place int, score double")
    traits = (
        Trait(column="score", min=0.5),
        Trait(column="score", max=0.5),
        Trait.model_validate({"column": "score", "in": [0.7]}),
    )
    rows = frame.select("place", *(trait.symbol() for trait in traits)).collect()
    assert ["".join(row[1:]) for row in sorted(rows)] == ["000", "101", "010"]


@pytest.mark.parametrize("setting", [{"among": ["man"]}, {"target": 0.3}])
def test_a_label_has_nothing_of_an_attribute(setting):
    given = {"attributes": {"female": {"words": ["woman"]}}, "labels": {"work": {"words": ["office"]} | setting}}
    with pytest.raises(RecipeError, match=rf"labels .*work: \['{next(iter(setting))}'\] is for attributes"):
        check_settings(STAGES["weigh_attributes"].spec, given, "test")
