"""Lengths of captions in tokens: shares and quantiles by hand, and of real long captions."""

import gzip
import json

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from curation.methods import token_lengths
from curation.methods.lengths import LENGTHS
from curation.signals.caption_tokens import caption_tokens


def test_beyond_is_more_than_the_context():
    tokens = pa.array([76, 77, 78, 79, None, 2], pa.int32())
    languages = pa.array(["en", "en", "en", None, "en", "de"])
    found = token_lengths(tokens, languages)
    assert found.schema.equals(LENGTHS)
    rows = {row["language"]: row for row in found.to_pylist()}
    assert list(rows) == [None, "en", "de", "und"]
    assert [(row["captions"], row["beyond"]) for row in rows.values()] == [(5, 2), (3, 1), (1, 0), (1, 1)]
    assert rows["en"]["beyond_share"] == 1 / 3
    assert token_lengths(tokens, languages, context=2).to_pylist()[0]["beyond"] == 4


ROWS = st.lists(st.tuples(st.none() | st.integers(2, 300), st.sampled_from(["en", "de", "zh", None])), max_size=60)


@given(ROWS)
def test_rows_add_up_and_quantiles_are_lengths_of_captions(rows):
    tokens = pa.array([t for t, _ in rows], pa.int32())
    found = token_lengths(tokens, pa.array([code for _, code in rows], pa.string())).to_pylist()
    counted = [(t, code or "und") for t, code in rows if t is not None]
    assert len(found) == (len({code for _, code in counted}) + 1 if counted else 0)
    for row in found:
        own = sorted(t for t, code in counted if row["language"] in (None, code))
        assert row["captions"] == len(own) and row["beyond"] == sum(t > 77 for t in own)
        for name, q in (("tokens_p50", 0.5), ("tokens_p90", 0.9), ("tokens_p99", 0.99), ("tokens_max", 1)):
            assert row[name] == next(t for t in own if sum(o <= t for o in own) >= q * len(own) - 1e-9)


def test_long_captions_of_imageinwords(shared):
    with gzip.open(shared / "data" / "captions" / "imageinwords-iiw400.jsonl.gz", "rt", encoding="utf-8") as file:
        long = [json.loads(line)["IIW"] for line in file]
    with gzip.open(shared / "data" / "captions" / "multi30k-task1-train.en.gz", "rt", encoding="utf-8") as file:
        short = [next(file) for _ in range(400)]
    tokens = caption_tokens(pa.array(long + short))
    found = token_lengths(tokens, pa.array(["long"] * len(long) + ["short"] * 400)).to_pylist()
    shares = {row["language"]: row["beyond_share"] for row in found}
    assert shares["long"] > 0.95 and shares["short"] == 0
    assert 0.4 < shares[None] < 0.6
    assert found[0]["tokens_max"] == int(np.max(tokens))
