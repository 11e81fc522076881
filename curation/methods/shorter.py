"""Fewer tokens of a caption than it has, as CLIPA trains on (arXiv:2305.07017)."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from curation.errors import SchemaError, unknown

TokenMode = Literal["truncate", "random", "block", "simple", "syntax", "shuffle"]
SPECIALS = 2  # start and end token take two places of the length
PRIORITY = ("NN", "JJ", "VB")  # nouns, adjectives, verbs, then all others: CLIPA's order, by Penn Treebank tags


def reduce_tokens(
    tokens: Sequence[Any],
    length: int,
    mode: TokenMode = "truncate",
    *,
    uniforms: Sequence[float] | float | None = None,
    tags: Sequence[str] | None = None,
) -> list[Any]:
    """At most `length` - 2 of a caption's tokens, specials not among them, so that with both specials `length` fit.

    A caption that fits is kept as it is, whatever the mode:

    - truncate: the first ones;
    - random: those of the smallest `uniforms`, one for each token, in the caption's order ("shuffle": in theirs);
    - block (CLIPA's code says "simple"): as many in a row, from floor(u * (n - kept + 1)), u the one of `uniforms`;
    - syntax: `tokens` are words, `tags` their Penn Treebank tags: nouns before adjectives before verbs before others,
      of equal ones the first (CLIPA's sort is not stable beyond 16 words), in the caption's order.

    CLIPA (UCSC-VLAA/CLIPA, open_clip's tokenizer). Uniforms lie in [0, 1); for a recorded permutation give its inverse
    over n, for a recorded start (start + 0.5) / (n - kept + 1). RecipeError for another mode, SchemaError for a length
    without room, or uniforms or tags that are not as many.

    >>> reduce_tokens("abcdef", 5), reduce_tokens("abcdef", 5, "block", uniforms=0.99)
    (['a', 'b', 'c'], ['d', 'e', 'f'])
    >>> reduce_tokens("abcdef", 5, "random", uniforms=[0.5, 0.1, 0.9, 0.2, 0.8, 0.3])
    ['b', 'd', 'f']
    >>> reduce_tokens("the old man saw a dog".split(), 5, "syntax", tags="DT JJ NN VBD DT NN".split())
    ['old', 'man', 'dog']
    """
    if mode not in get_args(TokenMode):
        raise unknown("mode", [mode], get_args(TokenMode), "reduce_tokens")
    kept = length - SPECIALS
    if kept < 1:
        raise SchemaError(f"reduce_tokens: length {length} has no room between start and end token; wanted at least 3")
    if len(tokens) <= kept:
        return list(tokens)
    return [tokens[place] for place in _places(len(tokens), kept, mode, uniforms, tags)]


def _places(count: int, kept: int, mode: str, uniforms: Any, tags: Sequence[str] | None) -> list[int]:
    """Which `kept` of `count` places, in the order in which they are given."""
    if mode == "truncate":
        return list(range(kept))
    if mode == "syntax":
        ranks = [next((n for n, tag in enumerate(PRIORITY) if each.startswith(tag)), 3) for each in tags or ()]
        return sorted(_smallest(ranks, count, kept, "tags"))
    if mode in ("block", "simple"):
        first = int(_numbers(uniforms, 1, "uniforms")[0] * (count - kept + 1))
        return list(range(first, first + kept))
    drawn = _smallest(uniforms, count, kept, "uniforms")
    return drawn if mode == "shuffle" else sorted(drawn)


def _smallest(values: Any, count: int, kept: int, name: str) -> list[int]:
    return np.argsort(_numbers(values, count, name), kind="stable")[:kept].tolist()


def _numbers(values: Any, count: int, name: str) -> np.ndarray:
    found = np.atleast_1d(np.asarray(() if values is None else values, np.float64))
    if found.shape != (count,):
        raise SchemaError(f"reduce_tokens: {name} of shape {found.shape}, wanted {count}")
    return found
