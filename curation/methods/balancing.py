"""Balancing over entries (MetaCLIP, arXiv:2309.16671, section 3.3 and algorithm 1): the arithmetic, no randomness."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from curation.errors import SchemaError

Ids = pa.ListArray | pa.ChunkedArray | Sequence[Sequence[int]]


def entry_probability(counts: Sequence[int] | np.ndarray, t: float) -> np.ndarray:
    """Probability of each entry to keep a caption that holds it, float64, shape of `counts`, in (0, 1].

    It is min(t / count, 1). An entry never seen has 1; t = inf switches balancing off. SchemaError unless t > 0 and
    every count is a number from 0 on.

    >>> entry_probability([8, 2, 0], t=2).tolist()
    [0.25, 1.0, 1.0]
    """
    counts = np.asarray(counts, np.float64)
    if not t > 0 or not (counts >= 0).all():
        least = counts.min(initial=0)  # NaN, also of a null, if there is one
        raise SchemaError(f"entry_probability: t is {t}, wanted above 0; counts from {least}, wanted from 0")
    return np.where(counts <= t, 1.0, t / np.maximum(counts, 1))


def keep_probability(ids: Ids, p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Probability of each caption to be kept, float64, shape (n,), in [0, 1]: 1 - prod(1 - p) over its entries.

    `ids` are the entry ids of each caption (list<int32> or lists), `p` the probability of each entry. One success
    among a caption's entries keeps it, so a single tail entry (p = 1) keeps it for certain; a caption without entries
    has 0, it is dropped before balancing. SchemaError for an id without a probability: beyond `p`, or NaN there.

    >>> keep_probability([[0, 2], [1], []], [0.25, 1.0, 0.5]).tolist()
    [0.625, 1.0, 0.0]
    """
    flat, offsets = flat_ids(ids)
    return 1.0 - _reduce(np.multiply, 1.0 - _looked_up(p, flat), offsets, empty=1.0)


def _looked_up(p: Sequence[float] | np.ndarray, flat: np.ndarray) -> np.ndarray:
    """The probability of each id."""
    p = np.asarray(p, np.float64)
    beyond = (flat < 0) | (flat >= len(p))
    unknown = beyond if beyond.any() else np.isnan(p[flat])
    if unknown.any():
        ids = np.unique(flat[unknown])
        raise SchemaError(
            f"no count of the entries {ids[:3].tolist()} ({len(ids)} in all): wanted the counts of the same matching"
        )
    return p[flat]


def keep_by_draws(ids: Ids, p: Sequence[float] | np.ndarray, uniforms: Sequence | np.ndarray) -> np.ndarray:
    """Which captions are kept, bool, shape (n,): those of which any entry has uniform < p.

    `uniforms` has one draw per (caption, entry) in the order of `ids`: flat, or one list per caption. A caption's list
    may end at its first success, as a sequential draw does; SchemaError where draws are missing.

    >>> keep_by_draws([[0, 2], [1], []], [0.25, 1.0, 0.5], [0.3, 0.7, 0.99]).tolist()
    [False, True, False]
    >>> keep_by_draws([[0, 2], [1], []], [0.25, 1.0, 0.5], [[0.2], [0.99], []]).tolist()
    [True, True, False]
    """
    flat, offsets = flat_ids(ids)
    draws = _draws(uniforms, offsets)
    if len(draws) != len(flat):
        raise SchemaError(f"keep_by_draws: {len(draws)} uniforms for {len(flat)} (caption, entry) rows")
    success = draws < _looked_up(p, flat)
    kept = _reduce(np.logical_or, success, offsets, empty=False)
    unknown = _reduce(np.logical_or, np.isnan(draws), offsets, empty=False)
    if (unknown & ~kept).any():
        raise SchemaError(f"keep_by_draws: the draws of caption {int(np.argmax(unknown & ~kept))} end before a success")
    return kept


def flat_ids(ids: Ids) -> tuple[np.ndarray, np.ndarray]:
    """(all ids int64, offsets int64 of shape (n + 1,)) of lists of ids; a null list is an empty one."""
    if isinstance(ids, pa.ChunkedArray):
        ids = ids.combine_chunks()
    if isinstance(ids, pa.Array):
        sizes = np.asarray(ids.value_lengths().fill_null(0), np.int64)
        flat = ids.flatten().to_numpy(zero_copy_only=False)
    else:
        sizes = np.array([len(row) for row in ids], np.int64)
        flat = np.concatenate([np.zeros(0, np.int64), *(np.asarray(row, np.int64) for row in ids)])
    return flat.astype(np.int64), np.concatenate([[0], np.cumsum(sizes)])


def _draws(uniforms: Sequence | np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Flat draws, NaN for those not taken after a success."""
    if not len(uniforms) or np.ndim(uniforms[0]) == 0:
        return np.asarray(uniforms, np.float64)
    out = np.full(offsets[-1], np.nan)
    for row, start in zip(uniforms, offsets):
        out[start : start + len(row)] = row
    return out


def _reduce(function: np.ufunc, values: np.ndarray, offsets: np.ndarray, empty: float | bool) -> np.ndarray:
    """`function` over values[offsets[k]:offsets[k + 1]] for each k, `empty` where there are none."""
    out = np.full(len(offsets) - 1, empty, values.dtype)
    filled = np.diff(offsets) > 0
    if filled.any():
        out[filled] = function.reduceat(values, offsets[:-1][filled])
    return out
