"""DataComp's basic filter as bounds on signals gives the uids of the reference (arXiv:2304.14108, appendix)."""

import json

import numpy as np
import pyarrow as pa
import pytest

from curation.signals.caption_chars import caption_chars
from curation.signals.caption_words import caption_words


@pytest.fixture(scope="module")
def oracle(shared):
    return json.loads((shared / "oracles" / "datacomp_baselines_small.json").read_text())


def test_counts(oracle):
    texts = pa.array([row["text"] for row in oracle["rows"]])
    assert caption_words(texts).to_pylist() == [row["py_split_words"] for row in oracle["counts"]]
    assert caption_chars(texts).to_pylist() == [row["chars"] for row in oracle["counts"]]


def test_basic_filter(oracle):
    rows = oracle["rows"]
    texts = pa.array([row["text"] for row in rows])
    sides = np.array([(row["original_width"], row["original_height"]) for row in rows], float)
    with np.errstate(invalid="ignore"):
        aspect = sides.max(axis=1) / sides.min(axis=1)  # 0 by 0 is NaN, which passes no bound
    keep = np.asarray(caption_words(texts)) >= 3
    keep &= np.asarray(caption_chars(texts)) >= 6
    keep &= [row["lang"] == "en" for row in rows]
    keep &= sides.min(axis=1) >= 200
    keep &= aspect <= 3.0
    assert [row["uid"] for row, k in zip(rows, keep) if k] == oracle["basic_filter_uids"]
