"""Keyed uniforms equal the xxhash package and depend on nothing but their key."""

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import SchemaError
from curation.methods import keyed_uniforms
from curation.methods.uniforms import xxh64

KEYS = st.text(max_size=60)


def by_the_package(*parts):
    return (xxhash.xxh64_intdigest("\0".join(parts).encode()) >> 11) * 2.0**-53


@given(st.integers(0, 2**40), st.sampled_from(["", "balance_entries"]), st.lists(st.tuples(KEYS, KEYS), max_size=12))
def test_equals_the_xxhash_package(seed, stage, rows):
    uids, entries = [u for u, _ in rows], [e for _, e in rows]
    alone = keyed_uniforms(seed, stage, pa.array(uids, pa.string()))
    assert alone.tolist() == [by_the_package(str(seed), stage, u) for u in uids]
    both = keyed_uniforms(seed, stage, pa.array(uids, pa.string()), pa.array(entries, pa.string()))
    assert both.tolist() == [by_the_package(str(seed), stage, u, e) for u, e in rows]


@pytest.mark.parametrize("size", range(0, 140))
def test_every_length_of_input(size):
    rows = np.random.default_rng(size).integers(0, 256, (5, size), dtype=np.uint8)
    assert xxh64(rows).tolist() == [xxhash.xxh64_intdigest(row.tobytes()) for row in rows]


def test_order_batches_slices_and_dictionaries_change_nothing(monkeypatch):
    uids = pa.array([f"{k:032x}" for k in range(1000)])
    entries = pa.array(["dog", "red dog", "x" * 40, ""] * 250)
    whole = keyed_uniforms(7, "s", uids, entries)
    shuffled = np.random.default_rng(0).permutation(1000)
    again = keyed_uniforms(7, "s", uids.take(pa.array(shuffled)), entries.take(pa.array(shuffled)))
    assert (again == whole[shuffled]).all()
    assert (keyed_uniforms(7, "s", uids[500:], entries[500:]) == whole[500:]).all()
    assert (keyed_uniforms(7, "s", pa.chunked_array([uids[:3], uids[3:]]), entries.dictionary_encode()) == whole).all()
    monkeypatch.setattr("curation.methods.uniforms.BATCH", 7)
    assert (keyed_uniforms(7, "s", uids, entries) == whole).all()


def test_entry_ids_count_as_their_decimals():
    uids = pa.array(["a", "b"])
    by_id = keyed_uniforms(0, "s", uids, pa.array([3, 12], pa.int32()))
    assert by_id.tolist() == keyed_uniforms(0, "s", uids, pa.array(["3", "12"])).tolist()


def test_uniform_and_independent_of_neighbouring_keys():
    found = keyed_uniforms(0, "s", pa.array([str(k) for k in range(100_000)]))
    assert found.min() >= 0 and found.max() < 1
    counts, _ = np.histogram(found, 100, (0, 1))
    chi2 = ((counts - 1000) ** 2 / 1000).sum()
    assert 60 < chi2 < 150  # 99 degrees of freedom: both ends have p < 0.002
    assert abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 0.02
    assert abs(np.corrcoef(found, keyed_uniforms(1, "s", pa.array([str(k) for k in range(100_000)])))[0, 1]) < 0.02


def test_nulls_are_refused():
    with pytest.raises(SchemaError, match="1 of 2 keys are null"):
        keyed_uniforms(0, "s", pa.array(["a", None]))
