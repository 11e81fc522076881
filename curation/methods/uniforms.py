"""Keyed uniforms: every random choice is a hash of what is chosen, so row order and partitions change nothing."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import SchemaError

# The five primes and the rotations are those of the XXH64 specification (Collet, xxHash fast digest algorithm).
P1, P2, P3, P4, P5 = (
    np.uint64(p)
    for p in (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
)
BATCH = 1 << 16  # rows hashed at a time, grouped by length: bounds memory (2^14 is slower: more groups)


def keyed_uniforms(seed: int, stage: str, uids: pa.Array, entries: pa.Array | None = None) -> np.ndarray:
    """One uniform per row, float64, shape (n,), in [0, 1): the top 53 bits of a hash of (seed, stage, uid[, entry]).

    The hash is XXH64 (seed 0) over the UTF-8 bytes of `seed NUL stage NUL uid [NUL entry]`. `entries` goes with `uids`
    row by row; both may be dictionary-encoded. Raising a probability only adds rows. SchemaError on nulls: they would
    all share one draw.

    >>> keyed_uniforms(0, "balance_entries", pa.array(["00", "01"])).round(6).tolist()
    [0.166751, 0.388678]
    """
    parts = [pa.scalar(f"{seed}\0{stage}"), _plain(uids)]
    if entries is not None:
        parts.append(_plain(entries))
    out = np.empty(len(uids), np.float64)
    for start in range(0, len(uids), BATCH):
        rows = [p if isinstance(p, pa.Scalar) else p[start : start + BATCH] for p in parts]
        out[start : start + BATCH] = _batch(pc.binary_join_element_wise(*rows, "\0"))
    return out


def _plain(strings: pa.Array) -> pa.Array:
    if isinstance(strings, pa.ChunkedArray):
        strings = strings.combine_chunks()
    if strings.null_count:
        raise SchemaError(f"keyed_uniforms: {strings.null_count} of {len(strings)} keys are null, wanted none")
    return strings.cast(pa.string())


def _batch(keys: pa.Array) -> np.ndarray:
    sizes = pc.binary_length(keys).to_numpy(zero_copy_only=False)
    order = np.argsort(sizes, kind="stable")
    hashes = np.empty(len(keys), np.uint64)
    keys = keys.take(pa.array(order))
    data = np.frombuffer(keys.buffers()[2] or b"", np.uint8)
    firsts = np.flatnonzero(np.diff(sizes[order], prepend=-1))
    at = 0
    for first, stop in zip(firsts, [*firsts[1:], len(keys)]):
        size = int(sizes[order[first]])
        block = data[at : at + size * (stop - first)].reshape(stop - first, size)
        hashes[order[first:stop]] = xxh64(block)
        at += block.size
    return (hashes >> np.uint64(11)) * 2.0**-53


def xxh64(rows: np.ndarray) -> np.ndarray:
    """XXH64 with seed 0 of every row of a uint8 matrix (n, size): uint64, shape (n,)."""
    size = rows.shape[1]
    words, rest = size // 8, size % 8
    lanes = np.ascontiguousarray(rows[:, : 8 * words]).view("<u8").T.copy()
    value, done = _stripes(lanes) if size >= 32 else (np.full(len(rows), P5), 0)
    value += np.uint64(size)
    for k in range(done, words):
        value ^= _round(np.uint64(0), lanes[k])
        value = _rotate(value, 27) * P1 + P4
    at = 8 * words
    if rest >= 4:
        value ^= np.ascontiguousarray(rows[:, at : at + 4]).view("<u4")[:, 0].astype(np.uint64) * P1
        value = _rotate(value, 23) * P2 + P3
        at += 4
    for k in range(at, size):
        value ^= rows[:, k].astype(np.uint64) * P5
        value = _rotate(value, 11) * P1
    for shift, prime in ((33, P2), (29, P3)):
        value ^= value >> np.uint64(shift)
        value *= prime
    return value ^ (value >> np.uint64(32))


def _stripes(lanes: np.ndarray) -> tuple[np.ndarray, int]:
    with np.errstate(over="ignore"):
        states = [np.full(lanes.shape[1], start) for start in (P1 + P2, P2, np.uint64(0), np.uint64(0) - P1)]
    done = lanes.shape[0] // 4 * 4
    for k in range(done):
        states[k % 4] = _round(states[k % 4], lanes[k])
    value = sum(_rotate(state, turn) for state, turn in zip(states, (1, 7, 12, 18)))
    for state in states:
        value ^= _round(np.uint64(0), state)
        value = value * P1 + P4
    return value, done


def _round(state: np.ndarray, lane: np.ndarray) -> np.ndarray:
    return _rotate(state + lane * P2, 31) * P1


def _rotate(value: np.ndarray, by: int) -> np.ndarray:
    return (value << np.uint64(by)) | (value >> np.uint64(64 - by))
