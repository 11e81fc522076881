"""The matching benchmark: both sides do the same job, and what differs is found."""

import random
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from matching import job, peer, rounds, sides  # noqa: E402 - needs the line above

from curation.methods import Matcher  # noqa: E402

ENTRIES = ["dog", "red dog", "a", "St. Louis", "New York", "!", "", "12", "é"]


def drawn_captions(count):
    draw = random.Random(7)
    pieces = [*ENTRIES, ",", ".", ";", ":", "?", "!", "`", "\t", "\n", "\r", " ", "  ", "\u00a0", "-", "'s", "(dog)"]
    return [
        "".join(draw.choice(pieces) + " " * draw.randrange(2) for _ in range(draw.randrange(9))) for _ in range(count)
    ]


def brute_force(captions, entries):
    return [[n for n, entry in enumerate(entries) if f" {entry} " in peer.spaced(c)] for c in captions]


def test_the_peer_searches_what_the_matcher_searches():
    captions = drawn_captions(2000)
    entries = [entry for entry in ENTRIES if entry]
    assert Matcher(entries).match(pa.array(captions)).to_pylist() == brute_force(captions, entries)


def test_the_automaton_finds_all_overlapping_entries():
    pytest.importorskip("ahocorasick", reason="the peer is installed by the benchmark, not by the project")
    captions, entries = drawn_captions(500), [entry for entry in ENTRIES if entry]
    assert [sorted(ids) for ids in peer.built_automaton(entries)(captions)] == brute_force(captions, entries)


def test_the_job_leaves_lists_and_counts(spark, tmp_path):
    captions, entries = drawn_captions(300), [entry for entry in ENTRIES if entry]
    uids = [f"{n:032x}" for n in range(len(captions))]
    pq.write_table(pa.table({"uid": uids, "caption": captions}), tmp_path / "captions.parquet")
    pq.write_table(pa.table({"entry": entries}), tmp_path / "entries.parquet")
    files = [str(tmp_path / name) for name in ("captions.parquet", "entries.parquet")]
    job.done(spark, sides.ours, *files, tmp_path / "ours")
    wanted = brute_force(captions, entries)
    found = pq.read_table(tmp_path / "ours" / "entries").sort_by("uid")
    assert found["uid"].to_pylist() == uids and found["entries"].to_pylist() == wanted
    counts = pq.read_table(tmp_path / "ours" / "counts").to_pylist()
    flat = [entry for ids in wanted for entry in ids]
    assert {row["entry_id"]: row["count"] for row in counts} == {entry: flat.count(entry) for entry in flat}


def _written(folder, rows, counts):
    for name, table in (("entries", rows), ("counts", counts)):
        (folder / name).mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(table), folder / name / "part.parquet")


def test_differences_are_lists_and_counts_not_orders(tmp_path):
    rows = [{"uid": "a", "entries": [2, 1]}, {"uid": "b", "entries": [3]}, {"uid": "c", "entries": []}]
    counts = [{"entry_id": 1, "count": 1}, {"entry_id": 2, "count": 1}, {"entry_id": 3, "count": 1}]
    _written(tmp_path / "ours", rows, counts)
    _written(tmp_path / "same", [rows[2], rows[1], rows[0] | {"entries": [1, 2]}], counts[::-1])
    _written(tmp_path / "other", [rows[0], rows[1] | {"entries": [3, 4]}], [*counts[:2], {"entry_id": 3, "count": 2}])
    assert rounds.differences(tmp_path / "ours", tmp_path / "same") == []
    assert rounds.differences(tmp_path / "ours", tmp_path / "other") == [
        {"spark_uid": "b", "ours": [3], "peer": [3, 4]},
        {"spark_uid": "c", "ours": [], "peer": None},
        {"spark_entry": 3, "ours": 1, "peer": 2},
    ]


def test_summary_takes_medians_of_first_and_of_later_jobs():
    def runs(first, later, memory):
        each = [(9.0, 100.0), (first, memory), (later, memory), (later, memory)]
        return [{"cpu": cpu, "wall": cpu / 2, "worker_mb": mb} for cpu, mb in each]

    found = rounds.summary(
        {
            "ours": [runs(2.0, 1.0, 150.0), runs(4.0, 2.0, 160.0), runs(3.0, 1.5, 155.0)],
            "peer": [runs(15.0, 6.0, 400.0), runs(16.0, 9.0, 410.0), runs(20.0, 7.0, 405.0)],
        }
    )
    assert found["cpu_seconds"] == {"ours": 3.0, "peer": 16.0} and found["ratio"] == 5.33
    assert found["ratio_range"] == [4.0, 7.5]
    assert found["cpu_seconds_built"] == {"ours": 1.5, "peer": 7.0} and found["ratio_built"] == 4.67
    assert found["worker_mb"] == {
        "ours": 160.0,
        "peer": 410.0,
        "ours_single_entry": 100.0,
        "peer_single_entry": 100.0,
    }
