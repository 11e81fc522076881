"""Functions as a user names them: `backend = "tests.language_functions:by_script"`."""

import fractions

import numpy as np


def by_script(texts):
    """Greek by its letters, Latin otherwise; nothing of texts that begin with a question mark."""
    found = []
    for text in texts:
        greek = any("α" <= letter <= "ω" for letter in text.lower())
        found.append(None if text.startswith("?") else ("el" if greek else "la", np.float32(0.75)))
    return found


def edges(texts):
    """Probabilities at the ends of what is allowed, in other types of number."""
    return tuple([("en", 0), ("en", True), ["en", 1.0], ("en", fractions.Fraction(1, 3))][: len(texts)])


def too_few(texts):
    return [("en", 0.5)] * (len(texts) - 1)


def a_generator(texts):
    return (("en", 0.5) for _ in texts)


def only_codes(texts):
    return ["en"] * len(texts)


def percents(texts):
    return [("en", 99.0)] * len(texts)


def not_a_number(texts):
    return [("en", float("nan"))] * len(texts)


def in_words(texts):
    return [("en", "0.5")] * len(texts)


def no_language(texts):
    return [("", 0.5)] * len(texts)


def lists(texts):
    return [("en", [0.5])] * len(texts)


NOT_CALLABLE = {"en": 0.5}
