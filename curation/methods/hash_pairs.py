"""All pairs of 256-bit hashes within a distance: multi-index hashing, cut into buckets that are compared apart."""

from collections.abc import Iterator

import numpy as np

from curation.methods.hash_kernel import near_in_buckets
from curation.methods.hashes import CHUNK_BITS, CHUNKS, VALUES, chunk_values, hash_words, near_masks

NEIGHBOURS = 64  # assumption: of so many better neighbours one stays; bounds the pairs of a cluster, else n^2 / 2
ROWS = 4096  # hashes whose pairs are told at once: at most 262,144


def buckets(hashes: np.ndarray, bits: int, distance: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row, bucket, home) of (n, 32) uint8 hashes: where each has to lie so that near ones meet, int64, int32, bool.

    A bucket is a chunk of 16 bits and its first `bits`; a hash is at home in one of each chunk, and visits those that a
    near one may be at home in: of two hashes `distance` apart one chunk differs by at most distance // 16 bits.
    """
    values = chunk_values(hash_words(hashes))
    masks = [mask for mask in near_masks(distance // CHUNKS).tolist() if mask < 1 << bits]
    first = values.astype(np.int32) >> (CHUNK_BITS - bits)
    chunk = np.arange(CHUNKS, dtype=np.int32)[:, None] << bits
    numbers = np.stack([chunk | (first ^ mask) for mask in masks])
    rows = np.broadcast_to(np.arange(len(hashes)), numbers.shape)
    home = np.zeros(numbers.shape, bool)
    home[0] = True
    return rows.reshape(-1), numbers.reshape(-1), home.reshape(-1)


def bucket_pairs(
    hashes: np.ndarray, home: np.ndarray, chunk: int, distance: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(better, worse, bits apart), int64 each, of rows of a bucket, in order of preference: the worse one at home.

    Only pairs that meet in no chunk before this one, so that each comes once. A row looks at its better neighbours best
    first, bucket by bucket, until it has met NEIGHBOURS: in a cluster of n hashes n * NEIGHBOURS comparisons, not n^2.
    """
    words = hash_words(hashes)
    values = chunk_values(words)[chunk].astype(np.int64)
    starts = np.zeros(VALUES + 1, np.int64)
    np.cumsum(np.bincount(values, minlength=VALUES), out=starts[1:])
    table = (np.argsort(values, kind="stable"), starts)
    errors = distance // CHUNKS
    rows = np.flatnonzero(home)
    for start in range(0, len(rows), ROWS):
        part = rows[start : start + ROWS]
        found = np.empty((3, len(part) * NEIGHBOURS), np.int64)
        limits = (chunk, errors, distance, NEIGHBOURS)
        count = near_in_buckets(words, part, values, table, near_masks(errors), limits, found)
        yield found[0, :count], found[1, :count], found[2, :count]
