"""Multimodal language models as scorers: a function of one's own from pictures, captions and a metric to answers.

    def score(pictures: list[np.ndarray], captions: list[str], metric: str) -> list[str]

pictures: (H, W, 3) uint8 RGB; an answer per pair, as the model wrote it: curation.methods.parse_mlm_score takes the
score of it. An answer must depend on its own pair alone: decode greedily, in batches padded to one size.
"""

from collections.abc import Sequence

import numpy as np

from curation.errors import RecipeError
from curation.models import functions

WHAT = "scorer"
BATCH = 64  # pairs given at once


def digest(name: str) -> str:
    """64 hex over the source behind a function; raises as functions.function."""
    return functions.digest(name, WHAT)


def absolute_name(name: str) -> str:
    """The name with the path in it, if it has one, made absolute."""
    return functions.absolute_name(name)


def answers(
    name: str, pictures: Sequence[np.ndarray | None], captions: Sequence[str | None], metric: str
) -> list[str | None]:
    """The scorer's answer to each pair; None where it has no picture or no caption. RecipeError for what is no text."""
    function = functions.function(name, WHAT)
    found: list[str | None] = [None] * len(captions)
    whole = [i for i, (p, c) in enumerate(zip(pictures, captions, strict=True)) if p is not None and c is not None]
    for start in range(0, len(whole), BATCH):
        here = whole[start : start + BATCH]
        told = function([pictures[i] for i in here], [captions[i] for i in here], metric)
        if not isinstance(told, list | tuple) or len(told) != len(here):
            what = f"{len(told)} values" if isinstance(told, list | tuple) else type(told).__name__
            raise RecipeError(f"scorer {name!r}: wanted a list of {len(here)} answers, found {what}")
        for i, answer in zip(here, told):
            if not isinstance(answer, str | None):
                raise RecipeError(f"scorer {name!r}: wanted text or None, found {answer!r} for {captions[i][:60]!r}")
            found[i] = answer
    return found
