"""Masking numbers in captions before they are scored ("Devil in the Number", arXiv:2309.13770); the pattern is ours."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import unknown
from curation.methods.blanks import BLANK, collapse_blanks

# The paper says only "such as numbers". Each variant under its names here and in published tables of examples.
PATTERNS = {
    "digits": r"\p{Nd}+(?:[.,]\p{Nd}+)*",
    "tokens": rf"[^{BLANK}]*\p{{Nd}}[^{BLANK}]*",
}
ALIASES = {"strip_digit_runs": "digits", "A": "digits", "drop_tokens_with_digit": "tokens", "B": "tokens"}


def mask_numbers(captions: Sequence[str | None] | pa.Array, variant: str = "digits") -> list | pa.Array:
    """The captions without numbers, blanks collapsed: an array for an array, a list for a list; null stays null.

    "digits" (also "strip_digit_runs") deletes every run of Unicode decimal digits with the . or , that stand between
    digits; "tokens" (also "drop_tokens_with_digit") drops each word that holds a digit. What is nothing but numbers
    becomes "". RecipeError for another variant.

    >>> mask_numbers(["2019 BMW X5 3.0d for sale"], "digits")
    ['BMW X d for sale']
    >>> mask_numbers(["2019 BMW X5 3.0d for sale"], "tokens")
    ['BMW for sale']
    """
    variant = ALIASES.get(variant, variant)
    if variant not in PATTERNS:
        raise unknown("variant", [variant], PATTERNS, "mask_numbers")
    if not isinstance(captions, pa.Array | pa.ChunkedArray):
        return mask_numbers(pa.array(captions, pa.string()), variant).to_pylist()
    return collapse_blanks(pc.replace_substring_regex(captions, PATTERNS[variant], ""))
