"""dedup_pairs: golden rows, order and partitions change nothing, twice is once."""

import pytest

from curation.errors import SchemaError
from curation.stages import STAGES

ROWS = [("b", "i1", "a dog"), ("a", "i1", "a dog"), ("c", "i1", "a cat"), ("d", "i2", "a dog"), ("e", "i1", "a dog")]
EXPECTED = {
    "a": (True, None, None),
    "b": (False, "duplicate_pair", "a"),
    "c": (True, None, None),
    "d": (True, None, None),
    "e": (False, "duplicate_pair", "a"),
}
DDL = "uid string, image_id string, caption string"


def _result(frame):
    return {r.uid: (r.keep, r.drop_reason, r.drop_value) for r in STAGES["dedup_pairs"](frame).collect()}


def test_golden_rows(spark):
    assert _result(spark.createDataFrame(ROWS, DDL)) == EXPECTED


@pytest.mark.parametrize("partitions", [1, 3, 7])
def test_order_and_partitions_change_nothing(spark, partitions):
    assert _result(spark.createDataFrame(ROWS[::-1], DDL).repartition(partitions)) == EXPECTED


def test_twice_is_once(spark):
    frame = spark.createDataFrame(ROWS, DDL)
    kept = frame.join(STAGES["dedup_pairs"](frame).where("keep").select("uid"), "uid")
    assert all(keep for keep, *_ in _result(kept).values())


def test_a_missing_column_names_the_stage(spark):
    with pytest.raises(SchemaError, match=r"dedup_pairs.*lacks \['caption'\]"):
        STAGES["dedup_pairs"](spark.createDataFrame(ROWS, DDL).drop("caption"))
