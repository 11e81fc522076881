"""match_entries and balance_entries against the reference run, and the invariants of the keyed draws."""

import json

import pytest
from pyspark.sql import functions as F

from curation.schema import hex_id
from curation.stages import STAGES


@pytest.fixture(scope="module")
def oracle(shared):
    return json.loads((shared / "oracles/metaclip1_match_balance_small.json").read_text())


@pytest.fixture(scope="module")
def matched(spark, oracle, tmp_path_factory):
    """(matched rows, entry counts) of the oracle's texts; uid = number of the text."""
    entries = tmp_path_factory.mktemp("entries") / "entries.json"
    entries.write_text(json.dumps(oracle["metadata"]))
    rows = [(hex_id(str(i)), i, t["text"]) for i, t in enumerate(oracle["texts"])]
    frame = spark.createDataFrame(rows, "uid string, number int, caption string").repartition(3)
    result, sides = STAGES["match_entries"](frame, metadata=str(entries))
    return result.join(frame.select("uid", "number"), "uid").cache(), sides["entry_counts"].cache()


def test_matches_and_counts_are_the_oracle_s(matched, oracle):
    rows, counts = matched
    found = {r.number: list(r.entries) for r in rows.collect()}
    assert found == {i: t["matched_ids"] for i, t in enumerate(oracle["texts"])}
    expected = {i: c for i, c in enumerate(oracle["entry_count"]) if c}
    assert {r.entry_id: r["count"] for r in counts.collect()} == expected
    assert {r.entry for r in counts.collect()}.isdisjoint(oracle["unmatched_entries"])


def test_a_text_without_entry_is_dropped_with_its_reason(matched, oracle):
    unmatched = [i for i, t in enumerate(oracle["texts"]) if not t["matched_ids"]]
    assert unmatched
    rows = {r.number: r for r in matched[0].collect()}
    for number in unmatched:
        assert (rows[number].keep, rows[number].drop_reason) == (False, "no_entry")
        assert rows[number].drop_value == oracle["texts"][number]["text"]


@pytest.mark.parametrize("case", [0, 1])
def test_keep_probability_is_the_oracle_s(matched, oracle, case):
    rows, counts = matched
    balance = oracle["balance"][case]
    drawn = STAGES["balance_entries"](rows.where("keep"), counts, t=balance["t"])
    numbers = {r.uid: r.number for r in rows.collect()}
    for row in drawn.collect():
        expected = balance["keep_prob_per_text"][numbers[row.uid]]
        assert row.keep_probability == pytest.approx(expected, abs=1e-12)


def test_raising_t_only_adds_and_rare_entries_stay(matched):
    rows, counts = matched
    kept = {}
    for t in (1, 3, 8, 1000):
        drawn = STAGES["balance_entries"](rows.where("keep"), counts, t=t, seed=5).collect()
        kept[t] = {r.uid for r in drawn if r.keep}
        assert {r.uid for r in drawn if r.keep_probability == 1} <= kept[t]
    assert kept[1] < kept[3] <= kept[8] < kept[1000]
    assert kept[1000] == {r.uid for r in rows.where("keep").collect()}


def test_partitions_and_order_change_no_draw(matched):
    rows, counts = matched
    first = STAGES["balance_entries"](rows.where("keep"), counts, t=2, seed=1).collect()
    shuffled = rows.where("keep").orderBy(F.reverse("uid")).repartition(7)
    second = STAGES["balance_entries"](shuffled, counts, t=2, seed=1).collect()
    assert {(r.uid, r.keep, r.keep_probability) for r in first} == {(r.uid, r.keep, r.keep_probability) for r in second}
    other = STAGES["balance_entries"](shuffled, counts, t=2, seed=2).collect()
    assert {r.uid for r in first if r.keep} != {r.uid for r in other if r.keep}
