"""Hashes of 256 bits near those of a list: multi-index hashing, exact."""

from itertools import combinations

import numpy as np

BITS, CHUNKS = 256, 16
WIDTH = BITS // 8  # bytes of a hash
CHUNK_BITS = BITS // CHUNKS
VALUES = 1 << CHUNK_BITS


class HashIndex:
    """A list of hashes to be searched: (n, 32) uint8, in any order, once or more each; an answer is a row of it.

    Of two hashes at most `limit` bits apart one of the 16 chunks of 16 bits differs by at most limit // 16 bits
    (Norouzi, Punjani, Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", CVPR 2012), so only rows that
    share such a chunk are compared. Where that would be more rows than there are, all are. A chunk is searched for all
    queries before the next, on a copy of the list sorted by it: 32 more bytes a hash, and 64 for the sixteen orders.
    """

    def __init__(self, hashes: np.ndarray, limit: int) -> None:
        if not 0 <= limit < BITS:
            raise ValueError(f"a distance of {limit} bits; wanted 0 to {BITS - 1}")
        self.limit, self._listed = limit, hash_words(hashes)
        masks = near_masks(limit // CHUNKS)
        opened = CHUNKS * len(masks)  # buckets a query
        self._chunked = opened * (1 + len(hashes) / VALUES) < len(hashes)
        self._masks, self._orders = masks, []
        for values in chunk_values(self._listed) if self._chunked else ():
            starts = np.zeros(VALUES + 1, np.int64)
            np.cumsum(np.bincount(values, minlength=VALUES), out=starts[1:])
            self._orders.append((np.argsort(values, kind="stable").astype(np.int32), starts))

    def search(self, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(row, distance) of the nearest listed hash, int64 each, shape (n,): -1 where none is within the limit.

        The smallest row among equally near ones. Many at once are faster than few: each call sorts the list anew.
        """
        from curation.methods.hash_kernel import search_all, search_chunk  # imports numba

        queries = hash_words(hashes)
        best, distance = np.full(len(queries), -1), np.full(len(queries), self.limit + 1)
        if not self._chunked:
            search_all(queries, self._listed, best, distance)
        for values, (ids, starts) in zip(chunk_values(queries), self._orders):
            order = np.argsort(values, kind="stable")
            table = (self._listed[ids], ids, starts)
            search_chunk(queries, order, values.astype(np.int64), table, self._masks, best, distance)
        return best, np.where(best < 0, -1, distance)


def near_hashes(hashes: np.ndarray, listed: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """(row of `listed`, distance in bits) of the nearest listed hash to each hash; -1 where none is within `limit`.

    Both (n, 32) uint8. PDQ's authors take 31 of 256 bits as the same picture.

    >>> one = np.zeros((1, 32), np.uint8)
    >>> [found.tolist() for found in near_hashes(one ^ 3, np.concatenate([one + 255, one]), 64)]
    [[1], [64]]
    """
    return HashIndex(listed, limit).search(hashes)


def hash_words(hashes: np.ndarray) -> np.ndarray:
    """(n, 32) uint8 as (n, 4) uint64, little-endian."""
    if hashes.dtype != np.uint8 or hashes.ndim != 2 or hashes.shape[1] != WIDTH:
        raise ValueError(f"hashes of shape {hashes.shape} {hashes.dtype}; wanted (n, {WIDTH}) uint8")
    return np.ascontiguousarray(hashes).view("<u8")


def chunk_values(words: np.ndarray) -> np.ndarray:
    """The sixteen 16-bit chunks of hashes, (16, n)."""
    return np.ascontiguousarray(words.view("<u2").reshape(-1, CHUNKS).T)


def near_masks(errors: int) -> np.ndarray:
    """All 16-bit values with at most so many ones, fewest first."""
    wrong = [places for count in range(errors + 1) for places in combinations(range(CHUNK_BITS), count)]
    return np.array([sum(1 << place for place in places) for places in wrong], np.int64)
