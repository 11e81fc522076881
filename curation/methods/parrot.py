"""Captions that repeat the text in their picture ("Parrot Captions Teach CLIP to Spot Text", arXiv:2312.14232)."""

import re
from collections.abc import Sequence

import numpy as np

WORD = re.compile(r"[^\W_]+")  # ours: runs of letters and digits; the paper does not say


def parrot_share(
    captions: Sequence[str | None], texts: Sequence[Sequence[str] | None], distance: int = 0, letters: int = 0
) -> np.ndarray:
    """Share of each caption's different words that the picture shows, float64, shape (n,), in [0, 1].

    `texts` are the words or lines read in each picture. Words are compared in lower case, as sets; one counts as shown
    if a word of the picture is at most `distance` insertions, deletions and substitutions away (the paper's fuzzy
    variant; its bound is not stated), or, of fewer than `letters` letters, if it is the same (ours: one edit makes "a"
    any letter). NaN for a caption without words, and for nulls; 0 for a picture without text.
    CoTR of arXiv:2312.14232, section 3.

    >>> parrot_share(["Keep Calm and Carry On poster", "cat"], [["KEEP CALM", "AND", "CARRY ON"], []]).round(3).tolist()
    [0.833, 0.0]
    >>> [parrot_share(["a pineapple"], [["R", "PINEAPLE"]], 1, letters).tolist() for letters in (0, 4)]
    [[1.0], [0.5]]
    """
    found = np.full(len(captions), np.nan)
    for number, (caption, text) in enumerate(zip(captions, texts, strict=True)):
        words = _words([caption]) if caption is not None else set()
        if words and text is not None:
            shown = _words(text)
            found[number] = sum(
                _is_shown(word, shown, distance if len(word) >= letters else 0) for word in words
            ) / len(words)
    return found


def _words(texts: Sequence[str]) -> set[str]:
    return {word for text in texts for word in WORD.findall(text.lower())}


def _is_shown(word: str, shown: set[str], distance: int) -> bool:
    return word in shown or (distance > 0 and any(_within(word, other, distance) for other in shown))


def _within(a: str, b: str, distance: int) -> bool:
    """Whether the Levenshtein distance is at most `distance`."""
    if abs(len(a) - len(b)) > distance:
        return False
    before = list(range(len(b) + 1))
    for row, letter in enumerate(a, 1):
        here = [row]
        for column, other in enumerate(b, 1):
            here.append(min(before[column] + 1, here[-1] + 1, before[column - 1] + (letter != other)))
        if min(here) > distance:
            return False
        before = here
    return before[-1] <= distance
