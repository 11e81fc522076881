"""prune_frequent_words against the reference run; partitions change nothing."""

import json

import pytest

from curation.schema import hex_id
from curation.stages import STAGES


@pytest.fixture(scope="module")
def oracle(shared):
    return json.loads((shared / "oracles/wfpp_small.json").read_text())


def _frame(spark, oracle):
    rows = [(hex_id(str(i)), i, text) for i, text in enumerate(oracle["texts"])]
    return spark.createDataFrame(rows, "uid string, number int, caption string")


def test_scores_and_counts_are_the_oracle_s(spark, oracle):
    frame = _frame(spark, oracle)
    for run in oracle["runs"]:
        result, sides = STAGES["prune_frequent_words"](frame, keep_share=0.5, t=run["t"], min_count=run["min_count"])
        scores = {r.number: r.word_score for r in result.join(frame.select("uid", "number"), "uid").collect()}
        for number, expected in enumerate(run["score"]):
            assert scores[number] == (None if expected is None else pytest.approx(expected, abs=1e-12))
        assert {r.word: r["count"] for r in sides["word_counts"].collect()} == run["counter"]


@pytest.mark.parametrize("partitions", [1, 4])
def test_kept_sets_are_the_oracle_s_whatever_the_partitions(spark, oracle, partitions):
    frame = _frame(spark, oracle).repartition(partitions)
    numbers = {r.uid: r.number for r in frame.collect()}
    run = oracle["runs"][0]
    for share, expected in run["kept_ids_by_fraction"].items():
        settings = {"keep_share": float(share), "t": run["t"], "min_count": run["min_count"]}
        rows, _ = STAGES["prune_frequent_words"](frame, **settings)
        assert sorted(numbers[r.uid] for r in rows.where("keep").collect()) == expected


def test_a_caption_without_words_is_dropped_without_a_value(spark):
    rows = [(hex_id(text), text) for text in ("a ship at sea", "a ship", " ")]
    pairs = spark.createDataFrame(rows, "uid string, caption string")
    verdicts, _ = STAGES["prune_frequent_words"](pairs, keep_share=0.5, min_count=1)
    dropped = {r.caption: r for r in verdicts.join(pairs, "uid").where("not keep").collect()}
    assert dropped[" "].drop_value is None and dropped[" "].word_score is None
    assert all(r.drop_value is not None for r in dropped.values() if r.caption != " ")
