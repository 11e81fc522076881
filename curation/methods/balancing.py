"""Balancing over entries: the arithmetic, no randomness.

MetaCLIP (arXiv:2309.16671), section 3.3 and algorithm 1; one threshold per language: MetaCLIP 2 (arXiv:2507.22062).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from curation.errors import RecipeError, SchemaError

Ids = pa.ListArray | pa.ChunkedArray | Sequence[Sequence[int]]


def entry_probability(counts: Sequence[int] | np.ndarray, t: float | np.ndarray) -> np.ndarray:
    """Probability of each entry to keep a caption that holds it, float64, shape of `counts`, in (0, 1].

    It is min(t / count, 1), `t` being one number or one per entry. An entry never seen has 1; t = inf switches
    balancing off. SchemaError unless every t > 0 and every count is a number from 0 on.

    >>> entry_probability([8, 2, 0], t=2).tolist()
    [0.25, 1.0, 1.0]
    """
    counts, t = np.asarray(counts, np.float64), np.asarray(t, np.float64)
    if not (t > 0).all() or not (counts >= 0).all():
        least = counts.min(initial=0)  # NaN, also of a null, if there is one
        found = f"t from {t.min(initial=np.inf)}, wanted above 0; counts from {least}, wanted from 0"
        raise SchemaError(f"entry_probability: {found}")
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


def tail_share(counts: Sequence[int] | np.ndarray, t: float) -> float:
    """Share of all matches that fall to entries seen fewer than `t` times, in [0, 1]; NaN where nothing matched.

    MetaCLIP 2 (arXiv:2507.22062), t_to_p: strictly fewer, while `threshold_for_share` includes the threshold itself, so
    the two are no inverses.

    >>> tail_share([1, 2, 7, 10], 5)
    0.15
    """
    counts = _seen(counts, "tail_share")
    total = counts.sum()
    return float(counts[counts < t].sum() / total) if total else float("nan")


def threshold_for_share(counts: Sequence[int] | np.ndarray, p: float) -> int:
    """The count at which the running share of matches, from the rarest entry on, is closest to `p`; 0 without counts.

    MetaCLIP 2 (arXiv:2507.22062), p_to_t, to the letter: of equally close places the first. Counts of 0 are places too,
    so a language with unseen entries can get the threshold 0, at which it vanishes: `language_thresholds` mends that.

    >>> threshold_for_share([10, 1, 6, 3], 0.15), threshold_for_share([1, 0, 2], 0.01)
    (3, 0)
    """
    counts = np.sort(_seen(counts, "threshold_for_share"))
    total = counts.sum()
    return int(counts[np.argmin(np.abs(np.cumsum(counts) / total - p))]) if total else 0


def language_thresholds(counts: Mapping[str, Sequence[int] | np.ndarray], t: int, anchor: str = "en") -> dict[str, int]:
    """The threshold of each language that gives its tail the share that `t` gives the tail of `anchor`.

    MetaCLIP 2 (arXiv:2507.22062), algorithm 1; `anchor` itself keeps `t`, as in the published code. Entries never seen
    are left out and no threshold is below 1, so that no language vanishes. Without any match in `anchor` there is no
    share to go by: RecipeError.

    >>> language_thresholds({"en": [1, 2, 7, 10], "fr": [1, 3, 6, 10], "sw": [0, 0, 2]}, t=5)
    {'en': 5, 'fr': 3, 'sw': 2}
    """
    share = tail_share(counts.get(anchor, ()), t)
    if np.isnan(share):
        raise RecipeError(
            f"language {anchor!r} matched no entry, so there is no tail share; languages: {sorted(counts)}"
        )
    found = {language: _seen(each, language) for language, each in counts.items()}
    return {k: t if k == anchor else max(1, threshold_for_share(each[each > 0], share)) for k, each in found.items()}


def _seen(counts: Sequence[int] | np.ndarray, where: str) -> np.ndarray:
    counts = np.asarray(counts, np.float64)
    if not (counts >= 0).all():
        raise SchemaError(f"{where}: counts from {counts.min()}, wanted numbers from 0")
    return counts


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
