"""The loops of curation.methods.hashes, compiled: nearest of a list of 256-bit hashes within a distance."""

import numba
import numpy as np

from curation.methods.compiled import compiled


def _popcount(bits):
    """Ones of 64 bits by adding neighbours; LLVM makes one instruction of it where the processor has one."""
    bits = bits - ((bits >> np.uint64(1)) & np.uint64(0x5555555555555555))
    bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (bits * np.uint64(0x0101010101010101)) >> np.uint64(56)


_popcount = numba.njit(inline="always")(_popcount)


def _distance(left, right):
    total = _popcount(left[0] ^ right[0]) + _popcount(left[1] ^ right[1])
    return np.int64(total + _popcount(left[2] ^ right[2]) + _popcount(left[3] ^ right[3]))


_distance = numba.njit(inline="always")(_distance)


def _nearer(query, listed, ids, span, best, distance):
    """The nearest of the rows of a span of `listed`, if nearer than what is known, and how far it is."""
    for row in range(span[0], span[1]):
        found = _distance(query, listed[row])
        if found < distance or (found == distance and best >= 0 and ids[row] < best):
            best, distance = ids[row], found
    return best, distance


_nearer = numba.njit(inline="always")(_nearer)


def _search_all(queries, listed, best, distance):
    """For each query (4 uint64) the nearest row of `listed`, the first among equals, if nearer than `distance`."""
    for query in range(queries.shape[0]):
        near, at = distance[query], best[query]
        for row in range(listed.shape[0]):
            found = _distance(queries[query], listed[row])
            if found < near:
                near, at = found, row
        best[query], distance[query] = at, near


def _search_chunk(queries, order, values, table, masks, best, distance):
    """The same, of the rows whose 16-bit chunk is the query's (`values`) but for one of `masks`.

    `table`: the hashes sorted by that chunk, which rows they are, and where each value's begin. Queries are taken in
    `order`, so that rows stay in the cache.
    """
    listed, ids, starts = table
    for place in range(order.shape[0]):
        query = order[place]
        at, near = best[query], distance[query]
        for mask in masks:
            bucket = values[query] ^ mask
            span = (starts[bucket], starts[bucket + 1])
            at, near = _nearer(queries[query], listed, ids, span, at, near)
        best[query], distance[query] = at, near


def _met_before(left, right, chunk, errors):
    """Whether two hashes share a chunk before this one but for so many bits."""
    for number in range(chunk):
        shift = np.uint64(16 * (number % 4))
        differs = ((left[number // 4] ^ right[number // 4]) >> shift) & np.uint64(0xFFFF)
        if np.int64(_popcount(differs)) <= errors:
            return True
    return False


_met_before = numba.njit(_met_before)


def _bucket_pairs(words, row, ids, limits, state, found):
    """The smaller rows of a bucket (ascending) that are near `row`; state: pairs written, and near ones met."""
    chunk, errors, limit, most = limits
    count, met = state
    for place in range(ids.shape[0]):
        other = ids[place]
        if other >= row or met == most:
            break
        apart = _distance(words[row], words[other])
        if apart <= limit:
            met += 1
            if not _met_before(words[row], words[other], chunk, errors):
                found[0, count], found[1, count], found[2, count] = other, row, apart
                count += 1
    return count, met


_bucket_pairs = numba.njit(_bucket_pairs)


def _near_in_buckets(words, rows, values, table, masks, limits, found):
    """Pairs (smaller row, row, bits apart) of `rows` into `found`, (3, n); their number."""
    ids, starts = table
    count = 0
    for row in rows:
        met = 0
        for mask in masks:
            bucket = values[row] ^ mask
            state = (count, met)
            count, met = _bucket_pairs(words, row, ids[starts[bucket] : starts[bucket + 1]], limits, state, found)
    return count


near_in_buckets = compiled(_near_in_buckets)
search_all, search_chunk = compiled(_search_all), compiled(_search_chunk)
