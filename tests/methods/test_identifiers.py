"""Other people's identifiers equal the recorded ones."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.methods import datacomp_uid, laion_hash, metaclip_uid


def test_oracle(shared):
    rows = json.loads((shared / "oracles" / "hashes_small.json").read_text())["hashes"]
    for row in rows:
        url, text = row["url"], row["text"]
        assert datacomp_uid(url, text) == row["cc2dataset_uid = md5(alt+url)"]
        assert laion_hash(url, text) == row["laion5B_hash = mmh3.hash64(url+text)[0] signed"]
        assert metaclip_uid(url) == row["metaclip1_uuid = sha224(url)[:24]"]
        assert metaclip_uid(url, version=2) == row["metaclip2_uuid = sha224(url without tab/space)[:24]"]


def test_datacomp_rows(shared):
    rows = json.loads((shared / "oracles" / "datacomp_baselines_small.json").read_text())["rows"]
    assert [datacomp_uid(row["url"], row["text"]) for row in rows] == [row["uid"] for row in rows]


def test_versions_of_metaclip_differ_in_blanks():
    assert metaclip_uid("a b\tc", version=2) == metaclip_uid("abc") != metaclip_uid("a b\tc")


@given(st.text(max_size=80), st.text(max_size=80))
def test_laion_hash_equals_the_mmh3_package(url, text):
    mmh3 = pytest.importorskip("mmh3", reason="mmh3 is not installed")
    assert laion_hash(url, text) == mmh3.hash64((url + text).encode(), 0)[0]


@given(st.text(max_size=80))
def test_laion_hash_is_a_signed_word(text):
    assert -(2**63) <= laion_hash("", text) < 2**63
