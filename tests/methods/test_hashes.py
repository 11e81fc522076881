"""Near hashes: the index finds exactly what comparing all finds, at every distance and in every order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.methods import near_hashes
from curation.methods.hashes import HashIndex


def drawn(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 32), np.uint8)


def flipped(hashes: np.ndarray, bits: np.ndarray, seed: int) -> np.ndarray:
    """Each hash with so many of its bits changed, at random places."""
    draw, found = np.random.default_rng(seed), np.unpackbits(hashes, axis=1)
    for row, count in zip(found, bits):
        row[draw.permutation(256)[:count]] ^= 1
    return np.packbits(found, axis=1)


def by_comparing_all(hashes: np.ndarray, listed: np.ndarray, limit: int) -> tuple[list[int], list[int]]:
    apart = (np.unpackbits(hashes, axis=1)[:, None] != np.unpackbits(listed, axis=1)[None]).sum(axis=2)
    rows, bits = apart.argmin(axis=1), apart.min(axis=1)
    return np.where(bits <= limit, rows, -1).tolist(), np.where(bits <= limit, bits, -1).tolist()


@pytest.mark.parametrize("limit", [0, 8, 15, 16, 31])
@pytest.mark.parametrize("count", [1, 300, 9000])
def test_the_index_finds_what_comparing_all_finds(limit: int, count: int) -> None:
    listed = drawn(1, count)
    listed[count // 2] = listed[0]  # equal ones: the first counts
    rows = np.random.default_rng(2).integers(0, count, 80)
    hashes = flipped(listed[rows], np.arange(80) % 48, 3)
    found = [each.tolist() for each in near_hashes(hashes, listed, limit)]
    assert tuple(found) == by_comparing_all(hashes, listed, limit)
    assert (np.array(found[0]) >= 0).sum() > 0 and (limit > 40 or -1 in found[0])


def test_both_ways_are_taken_and_agree() -> None:
    listed = drawn(4, 9000)
    chunked, compared = HashIndex(listed, 31), HashIndex(listed, 63)
    assert chunked._chunked and not compared._chunked  # 63 bits: more buckets than rows
    hashes = flipped(listed[:300], np.arange(300) % 32, 5)
    assert chunked.search(hashes)[0].tolist() == compared.search(hashes)[0].tolist() == list(range(300))


def test_errors_spread_worst_over_the_chunks() -> None:
    """31 errors, two in each of fifteen chunks and one in the last: only that chunk leads to the hash."""
    listed = drawn(6, 5000)
    for last in range(16):
        bits = np.unpackbits(listed[[7]], axis=1).reshape(16, 16)
        for chunk in range(16):
            bits[chunk, : 1 if chunk == last else 2] ^= 1
        hashes = np.packbits(bits.reshape(1, 256), axis=1)
        assert [each.tolist() for each in near_hashes(hashes, listed, 31)] == [[7], [31]]
        assert near_hashes(hashes, listed, 30)[0].tolist() == [-1]


@given(st.permutations(range(40)), st.integers(1, 40))
def test_a_hash_does_not_see_its_neighbours(order: list[int], count: int) -> None:
    listed = drawn(8, 4600)
    hashes = flipped(listed[:40], np.arange(40), 9)
    index = HashIndex(listed, 31)
    assert index._chunked
    whole = index.search(hashes)
    some = index.search(hashes[order[:count]])
    assert all((a[order[:count]] == b).all() for a, b in zip(whole, some))


def test_the_first_of_equally_near_ones_counts_whichever_is_found_first() -> None:
    listed = drawn(10, 9000)
    query = drawn(11, 1)
    bits = np.unpackbits(query, axis=1)[0]
    near = [bits.copy(), bits.copy()]
    near[0][:64] ^= np.arange(64) % 4 == 0  # 16 bits of the first four chunks
    near[1][192:] ^= np.arange(64) % 4 == 0  # 16 bits of the last four
    for first, second in (near, near[::-1]):
        listed[40], listed[7000] = np.packbits(first), np.packbits(second)
        index = HashIndex(listed, 31)
        assert index._chunked and [found.tolist() for found in index.search(query)] == [[40], [16]]


def test_nothing_listed_and_nothing_asked() -> None:
    assert near_hashes(drawn(0, 3), drawn(0, 0), 31)[0].tolist() == [-1] * 3
    assert near_hashes(drawn(0, 0), drawn(0, 3), 31)[0].tolist() == []
    with pytest.raises(ValueError, match=r"\(n, 32\)"):
        near_hashes(np.zeros((2, 8), np.uint8), drawn(0, 3), 31)
    with pytest.raises(ValueError, match="0 to 255"):
        near_hashes(drawn(0, 1), drawn(0, 3), 256)
