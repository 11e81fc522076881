"""Bounds: reasons as written, NaN and null never pass, exact and DataComp's top fractions."""

import json
import math

import pytest

from curation import bounds
from curation.errors import RecipeError
from curation.recipe import check_settings
from curation.schema import hex_id
from curation.stages import STAGES

ROWS = [
    ("a", 1.0, "x"),
    ("b", float("nan"), "x"),
    ("c", None, "x"),
    ("d", 5.0, "y"),
    ("e", math.inf, "x"),
    ("f", 3.0, None),
]


def _verdicts(frame, keep):
    settings = check_settings(STAGES["select_subset"].spec, {"keep": keep}, "test")
    result = STAGES["select_subset"](frame, **settings)
    return {r.uid: (r.keep, r.drop_reason, r.drop_value) for r in result.collect()}


def test_each_failure_has_its_reason_as_written(spark):
    frame = spark.createDataFrame(ROWS, "uid string, score double, word string").withColumn("score__error", _error())
    frame = frame.selectExpr("*", "cast(null as string) as word__error")
    assert _verdicts(frame, {"score": {"min": 2, "max": 4.5}, "word": {"in": ["x", "z"]}}) == {
        "a": (False, "score<2", "1.0"),
        "b": (False, "score is NaN", "nan"),
        "c": (False, "score is null", "decode_error: cut short"),
        "d": (False, "score>4.5", "5.0"),
        "e": (False, "score is infinite", "Infinity"),
        "f": (False, "word is null", None),
    }


def _error():
    from pyspark.sql import functions as F

    return F.when(F.col("uid") == "c", F.lit("decode_error: cut short"))


def test_bounds_are_inclusive(spark):
    frame = spark.createDataFrame([("a", 3.0), ("b", 2.999)], "uid string, `extra.w` double")
    assert _verdicts(frame, {"extra.w": {"min": 3, "max": 3}}) == {
        "a": (True, None, None),
        "b": (False, "extra.w<3", "2.999"),
    }


def test_a_number_counts_as_a_column_of_float32_holds_it(spark):
    frame = spark.createDataFrame(
        [("a", 1.6, 0.7, 0.1), ("b", 1.6000001, 0.7, 0.1), ("c", 1.6, 0.6999999, 0.1), ("d", 1.6, 0.7, 0.2)],
        "uid string, wide float, share float, level float",
    ).selectExpr("*", *(f"cast(null as string) as {name}__error" for name in ("wide", "share", "level")))
    assert _verdicts(frame, {"wide": {"max": 1.6}, "share": {"min": 0.7}, "level": {"in": [0.1, 2]}}) == {
        "a": (True, None, None),
        "b": (False, "wide>1.6", "1.6000001"),
        "c": (False, "share<0.7", "0.6999999"),
        "d": (False, "level not in 0.1,2", "0.2"),
    }


def test_extra_columns_are_cast_and_uncastable_is_null(spark):
    frame = spark.createDataFrame([("a", "12"), ("b", "wide"), ("c", "NaN")], "uid string, `extra.w` string")
    assert _verdicts(frame, {"extra.w": {"min": 3}}) == {
        "a": (True, None, None),
        "b": (False, "extra.w is null", None),
        "c": (False, "extra.w is NaN", "nan"),
    }


def test_datacomp_fractions_of_the_oracle(spark, shared):
    oracle = json.loads((shared / "oracles/datacomp_baselines_small.json").read_text())
    for case in oracle["clip_score_fraction"]:
        rows = [(r["uid"], r[case["key"]]) for r in oracle["rows"]]
        frame = spark.createDataFrame(rows, "uid string, `extra.s` double")
        found = _verdicts(frame, {"extra.s": {"top_fraction": case["fraction"], "rule": "datacomp"}})
        assert sorted(uid for uid, (keep, *_) in found.items() if keep) == case["kept_uids_sorted"]


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.5, 1.0])
def test_exact_top_fraction_keeps_int_n_f_rows_with_ties_by_uid(spark, fraction, monkeypatch):
    monkeypatch.setattr(bounds, "COLLECTED", 5)  # so that the search has to narrow down, also among equal scores
    rows = [(hex_id(str(i)), float(i % 7) if i % 11 else None) for i in range(300)]
    frame = spark.createDataFrame(rows, "uid string, `extra.s` double").repartition(5)
    kept = {uid for uid, (keep, *_) in _verdicts(frame, {"extra.s": {"top_fraction": fraction}}).items() if keep}
    scored = sorted((-score, uid) for uid, score in rows if score is not None)
    assert kept == {uid for _, uid in scored[: int(len(scored) * fraction)]}


@pytest.mark.parametrize(
    ("keep", "says"),
    [
        ({}, "at least one bound"),
        ({"caption_words": {"mim": 3}}, "mim"),
        ({"caption_words": {"min": 3, "in": [1]}}, "either min and/or max"),
        ({"caption_words": {"min": 3, "max": 2}}, "min is above max"),
        ({"caption_words": {"top_fraction": 1.2}}, "less than or equal to 1"),
        ({"caption_words": {"top_fraction": 1.0, "rule": "datacomp"}}, "undefined"),
    ],
)
def test_wrong_bounds_are_refused_with_a_message(keep, says):
    with pytest.raises(RecipeError, match=says):
        check_settings(STAGES["select_subset"].spec, {"keep": keep}, "recipe x, stage text")
