"""MetaCLIP's balancing: the recorded reference run and the invariants of the formula (arXiv:2309.16671)."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import SchemaError
from curation.methods import entry_probability, keep_by_draws, keep_probability, match


@pytest.fixture(scope="module")
def oracle(shared):
    return json.loads((shared / "oracles" / "metaclip1_match_balance_small.json").read_text())


@pytest.fixture(scope="module")
def ids(oracle):
    return match([row["text"] for row in oracle["texts"]], oracle["metadata"])


def test_counts_of_the_reference_run(oracle, ids):
    counts = np.bincount([entry for row in ids for entry in row], minlength=len(oracle["metadata"]))
    assert counts.tolist() == oracle["entry_count"]


def test_probabilities_of_the_reference_run(oracle, ids):
    for run in oracle["balance"]:
        p = entry_probability(oracle["entry_count"], run["t"])
        np.testing.assert_allclose(p, run["entry_prob"], rtol=0, atol=1e-12)
        keep = keep_probability(pa.array(ids, pa.list_(pa.int32())), p)
        np.testing.assert_allclose(keep, run["keep_prob_per_text"], rtol=0, atol=1e-12)
        assert keep.sum() == pytest.approx(run["expected_kept"], abs=1e-9)
        assert (keep * (1 - keep)).sum() == pytest.approx(run["var_kept"], abs=1e-9)


def test_decisions_of_the_reference_run(oracle, ids):
    for run in oracle["balance"]:
        p = entry_probability(oracle["entry_count"], run["t"])
        one_by_one = keep_by_draws(ids, p, run["sequential_uniforms_per_text"])
        assert one_by_one.tolist() == run["sequential_decisions"]
        at_once = keep_by_draws(pa.array(ids), p, run["vectorised_uniforms_per_inverted_row"])
        assert np.flatnonzero(at_once).tolist() == run["vectorised_kept_text_ids"]
    p = entry_probability(oracle["entry_count"], np.inf)
    kept = keep_by_draws(ids, p, run["vectorised_uniforms_per_inverted_row"])
    assert np.flatnonzero(kept).tolist() == oracle["max_match_inf_kept_text_ids"]


def test_worked_example():
    p = entry_probability([8, 2, 4], t=2)
    assert p.tolist() == [0.25, 1.0, 0.5]
    assert keep_probability([[0, 2], [0, 1], []], p).tolist() == [0.625, 1.0, 0.0]


ROWS = st.lists(st.lists(st.integers(0, 9), unique=True, max_size=6).map(sorted), max_size=20)
COUNTS = st.lists(st.integers(0, 1000), min_size=10, max_size=10)


@given(ROWS, COUNTS, st.integers(1, 500))
def test_bounds_and_certain_tails(rows, counts, t):
    p = entry_probability(counts, t)
    keep = keep_probability(rows, p)
    for row, value in zip(rows, keep):
        largest = max((p[k] for k in row), default=0.0)
        assert largest - 1e-12 <= value <= min(1.0, sum(p[k] for k in row)) + 1e-12
        if any(counts[k] <= t for k in row):
            assert value == 1.0


@given(ROWS, COUNTS, st.integers(1, 500), st.integers(0, 500), st.randoms())
def test_with_common_uniforms_raising_t_only_adds(rows, counts, t, more, random):
    uniforms = [random.random() for row in rows for _ in row]
    kept = keep_by_draws(rows, entry_probability(counts, t), uniforms)
    later = keep_by_draws(rows, entry_probability(counts, t + more), uniforms)
    assert not (kept & ~later).any()
    everything = keep_by_draws(rows, entry_probability(counts, max(counts) or 1), uniforms)
    assert everything.tolist() == [bool(row) for row in rows]


def test_expected_number_kept_is_met():
    rows = [[k % 3] for k in range(30_000)]
    p = entry_probability([10_000] * 3, t=2_500)
    kept = keep_by_draws(rows, p, np.random.default_rng(0).random(30_000)).sum()
    assert abs(kept - 7_500) < 4 * np.sqrt(30_000 * 0.25 * 0.75)


def test_null_lists_slices_and_chunks_are_lists_of_ids():
    ids = pa.array([[5], [0, 1], None, [], [1]], pa.list_(pa.int32()))
    p = [0.5, 0.25, 0, 0, 0, 0]
    assert keep_probability(ids[1:], p).tolist() == [0.625, 0.0, 0.0, 0.25]
    assert keep_probability(pa.chunked_array([ids[1:3], ids[3:]]), p).tolist() == [0.625, 0.0, 0.0, 0.25]
    assert keep_by_draws(ids[1:], p, [0.6, 0.2, 0.3]).tolist() == [True, False, False, False]
    assert keep_probability([], p).tolist() == []


def test_missing_draws_are_refused():
    with pytest.raises(SchemaError, match="2 uniforms for 3"):
        keep_by_draws([[0, 1], [0]], [0.5, 0.5], [0.1, 0.2])
    with pytest.raises(SchemaError, match="caption 1 end before a success"):
        keep_by_draws([[0], [0, 1]], [0.5, 0.5], [[0.1], [0.9]])


def test_wrong_settings_are_refused():
    with pytest.raises(SchemaError, match=r"t from 0\.0"):
        entry_probability([1], 0)
    with pytest.raises(SchemaError, match="counts from -1"):
        entry_probability([-1], 1)
