"""Whitened likelihood, conformity, CLIPScore: closed forms and recorded values."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import SchemaError
from curation.methods import clip_score_report, conformity, parse_mlm_score, whiten_fit, whiten_loglik


@pytest.fixture(scope="module")
def oracle(shared):
    return json.loads((shared / "oracles" / "whitening_conformity_small.json").read_text())


def test_likelihood_of_the_reference(oracle):
    x, queries = np.array(oracle["X"]), np.array(oracle["queries"])
    fit = whiten_fit(x)
    np.testing.assert_allclose(fit.mean, oracle["mean"], atol=1e-8)
    np.testing.assert_allclose(whiten_loglik(x, fit), oracle["log_likelihood_of_X"], atol=1e-8)
    np.testing.assert_allclose(whiten_loglik(queries, fit), oracle["log_likelihood_of_queries"], rtol=1e-8)


def test_conformity_of_the_reference(oracle):
    found = conformity(np.array(oracle["X"]))
    np.testing.assert_allclose(found, oracle["conformity_exact(mean cosine to the other n-1)"], atol=1e-8)


@given(st.integers(0, 50), st.integers(3, 40), st.integers(1, 6))
def test_conformity_is_the_mean_cosine_to_the_others(seed, n, d):
    x = np.random.default_rng(seed).normal(size=(n, d))
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.testing.assert_allclose(conformity(x), (cosines.sum(1) - 1) / (n - 1), atol=1e-9)


@given(st.integers(0, 50), st.integers(1, 5))
def test_the_mean_squared_length_of_the_fit_set_is_known(seed, d):
    n = 4 * d + 3
    x = np.random.default_rng(seed).normal(size=(n, d)) * np.arange(1, d + 1)
    lengths = -2 * whiten_loglik(x, whiten_fit(x)) - d * np.log(2 * np.pi)
    assert lengths.mean() == pytest.approx(d * (n - 1) / n)


def test_a_dimension_that_follows_from_others_makes_nothing_unlikely():
    x = np.random.default_rng(0).normal(size=(100, 3))
    x[:, 2] = x[:, 0] + x[:, 1]
    found = whiten_loglik(x, whiten_fit(x))
    assert np.isfinite(found).all() and found.min() > -40
    assert whiten_loglik(np.array([[1.0, 1.0, np.nan]]), whiten_fit(x)).tolist() == pytest.approx([np.nan], nan_ok=True)
    with pytest.raises(SchemaError, match="at least 2 rows"):
        whiten_fit(x[:1])


def test_rows_that_are_no_vectors_do_not_count():
    x = np.random.default_rng(0).normal(size=(20, 3))
    with_others = np.vstack([x, [[np.nan, 0, 1], [np.inf, 1, 1]]])
    np.testing.assert_array_equal(whiten_fit(with_others).mean, whiten_fit(x).mean)
    np.testing.assert_array_equal(conformity(with_others)[:20], conformity(x))
    assert np.isnan(conformity(with_others)[20:]).all() and np.isnan(conformity(np.eye(2) * [1, 0])).all()
    assert np.isnan(whiten_loglik(x[:1], whiten_fit(np.ones((5, 3))))).all()  # nothing varies
    with pytest.raises(SchemaError, match="at least 2 rows"):
        whiten_fit(with_others[19:])


def test_clip_scores_without_references_and_of_no_vector():
    images, captions = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]), np.array([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]])
    found = clip_score_report(images, captions, [np.empty((0, 2)), captions[:2], captions])
    assert found["clip_s"].tolist() == pytest.approx([2.5, 0.0, np.nan], nan_ok=True)
    assert found["ref_max_cos"].tolist() == pytest.approx([np.nan, 1.0, 1.0], nan_ok=True)
    assert found["refclip_s_paper"].tolist() == pytest.approx([np.nan, 0.0, np.nan], nan_ok=True)
    upright = clip_score_report(images[:1], np.array([[0.0, 1.0]]), [images[:1]])  # 2ab / (a + b) is 0 / 0
    assert (upright["refclip_s_paper"][0], upright["ref_max_cos"][0]) == (0, 0) and np.isnan(
        upright["refclip_s_code"][0]
    )
    assert all(len(each) == 0 for each in clip_score_report(images[:0], captions[:0], []).values())


def test_clip_scores_of_the_reference(shared):
    oracle = json.loads((shared / "oracles" / "clipscore_small.json").read_text())
    references = [np.array(each) for each in oracle["references"]]
    found = clip_score_report(np.array(oracle["image"]), np.array(oracle["caption"]), references)
    for name in ("clip_s", "ref_max_cos", "refclip_s_code", "refclip_s_paper"):
        np.testing.assert_allclose(found[name], oracle[name], atol=1e-9, err_msg=name)


def test_answers_of_the_reference(shared):
    oracle = json.loads((shared / "oracles" / "text_rules_small.json").read_text())["mlm_filter"]
    assert [parse_mlm_score(case["raw"]) for case in oracle["parse"]] == [case["score"] for case in oracle["parse"]]


@pytest.mark.parametrize("answer", [None, "", "-1", "101", "1000", "8 5", "85.", "八五", "٨٥", "1" * 5000])
def test_other_answers_are_none(answer):
    assert parse_mlm_score(answer) is None
