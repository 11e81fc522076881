"""Length of the caption in words."""

import pyarrow as pa
import pyarrow.compute as pc

from curation.methods.blanks import BLANK
from curation.signal import signal

NOT_SIMPLE = "[^ -~]|  |^ | $|^$"  # whatever has not exactly one space between its words


@signal(pa.int32(), stored=False)
def caption_words(caption: pa.Array) -> pa.Array:
    """Words of each caption, int32, at least 0: the pieces of Python's str.split(), 0 if blank; null stays null.

    So NBSP and the ideographic space part words, and a text without blanks (Chinese, Japanese) is one word. DataComp's
    basic filter keeps more than 2 (arXiv:2304.14108, appendix).

    >>> caption_words(pa.array(["a red dog", "a\\u00a0b\\n c", " ", "\\u732b\\u3000\\u72ac", None])).to_pylist()
    [3, 3, 0, 2, None]
    """
    spaces = pc.count_substring(caption, " ")
    other = pc.match_substring_regex(caption, NOT_SIMPLE)
    counted = pc.count_substring_regex(caption.filter(other), f"[^{BLANK}]+").cast(pa.int32())
    words = pc.add(spaces, pa.scalar(1, spaces.type)).cast(pa.int32())
    return pc.replace_with_mask(words, other.fill_null(False), counted)
