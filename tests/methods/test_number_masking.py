"""Masking numbers: the table of examples, and the definition by Python's own regex."""

import json
import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import RecipeError
from curation.methods import mask_numbers

TEXTS = st.text("a1 9.,٣३x-\u00a0\t\n²½Ⅷ", max_size=25)


@pytest.mark.parametrize(("ours", "theirs"), [("digits", "strip_digit_runs"), ("tokens", "drop_tokens_with_digit")])
def test_oracle(shared, ours, theirs):
    rows = json.loads((shared / "oracles" / "text_rules_small.json").read_text())["number_masking"]["masking"]
    wanted = [row[theirs] for row in rows]
    assert mask_numbers([row["text"] for row in rows], ours) == wanted
    assert mask_numbers(pa.array([row["text"] for row in rows]), theirs).to_pylist() == wanted


@given(TEXTS)
def test_equals_the_definition(text):
    without_runs = re.sub(r"\d+(?:[.,]\d+)*", "", text)
    assert mask_numbers([text], "digits") == [" ".join(without_runs.split())]
    words = [word for word in text.split() if not re.search(r"\d", word)]
    assert mask_numbers([text], "tokens") == [" ".join(words)]


@given(TEXTS, st.sampled_from(["digits", "tokens"]))
def test_masking_again_changes_nothing(text, variant):
    once = mask_numbers([text], variant)
    assert mask_numbers(once, variant) == once


def test_nulls_and_chunks():
    assert mask_numbers([None, "7"]) == [None, ""]
    assert mask_numbers(pa.chunked_array([["a 1"], [None]])).to_pylist() == ["a", None]


def test_another_variant_is_refused():
    with pytest.raises(RecipeError, match=r"\['words'\]; known: \['digits', 'tokens'\]"):
        mask_numbers(["a"], "words")
