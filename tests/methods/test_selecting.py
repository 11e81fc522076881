"""Top shares by the exact rule and by DataComp's."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import RecipeError
from curation.methods import top_share

SCORES = st.lists(st.none() | st.just(float("nan")) | st.integers(0, 5).map(float), max_size=40)
SHARES = st.sampled_from([0.0, 0.1, 0.29, 0.3, 0.5, 0.58, 0.9, 0.999])


def test_datacomp_oracle(shared):
    oracle = json.loads((shared / "oracles" / "datacomp_baselines_small.json").read_text())
    for run in oracle["clip_score_fraction"]:
        keep = top_share([row[run["key"]] for row in oracle["rows"]], run["fraction"], "datacomp")
        assert sorted(row["uid"] for row, k in zip(oracle["rows"], keep) if k) == run["kept_uids_sorted"]


def test_number_masking_oracle(shared):
    oracle = json.loads((shared / "oracles" / "text_rules_small.json").read_text())["number_masking"]
    for scores, kept in (("score_raw", "kept_top40_raw"), ("score_masked", "kept_top40_masked")):
        assert np.flatnonzero(top_share(oracle[scores], 0.4)).tolist() == oracle[kept]


def missing(score):
    return score is None or score != score  # noqa: PLR0124 - NaN


@given(SCORES, SHARES)
def test_exact_keeps_that_many_best_first_ties_by_order(scores, f):
    keep = top_share(scores, f)
    rows = sorted((k for k, s in enumerate(scores) if not missing(s)), key=lambda k: (-scores[k], k))
    assert sorted(rows[: int(len(rows) * f)]) == np.flatnonzero(keep).tolist()


@given(SCORES, SHARES)
def test_datacomp_is_its_definition(scores, f):
    found = sorted((s for s in scores if not missing(s)), reverse=True)
    wanted = [not missing(s) and s >= found[int(len(found) * f)] for s in scores]
    assert top_share(scores, f, "datacomp").tolist() == wanted


def test_worked_example():
    assert top_share([0.4, 0.3, 0.2, 0.1], 0.5, "datacomp").sum() == 3
    assert top_share([0.4, 0.3, 0.2, 0.1], 0.5).sum() == 2


def test_arrow_arrays_with_nulls():
    assert top_share(pa.array([0.1, None, 0.3]), 0.5).tolist() == [False, False, True]


def test_all_and_nothing():
    assert top_share([1.0, None, 0.0], 1.0).tolist() == [True, False, True]
    assert top_share([1.0, 2.0], 0.0).tolist() == [False, False]
    assert top_share([], 0.5).tolist() == top_share([None], 0.5, "datacomp").tolist()[1:] == []


def test_wrong_settings_are_refused():
    with pytest.raises(RecipeError, match="no threshold at f = 1"):
        top_share([1.0, 2.0], 1.0, "datacomp")
    with pytest.raises(RecipeError, match=r"f is 1\.5"):
        top_share([1.0], 1.5)
    with pytest.raises(RecipeError, match=r"\['laion'\]; known: \['datacomp', 'exact'\]"):
        top_share([1.0], 0.5, "laion")
