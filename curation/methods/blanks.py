"""What counts as a blank: the characters that Python's str.split() splits at, as the references do."""

import pyarrow as pa
import pyarrow.compute as pc

# The members of a class in the syntax of RE2: every character with str.isspace() (a test walks them all).
BLANK = r"\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"


def collapse_blanks(strings: pa.Array) -> pa.Array:
    """The strings with every run of blanks as one space and none at the ends; null stays null.

    >>> collapse_blanks(pa.array([" a\\t\\n b ", "", None])).to_pylist()
    ['a b', '', None]
    """
    spaced = pc.replace_substring_regex(strings, f"[{BLANK}]+", " ")
    return pc.utf8_trim(spaced, " ")
