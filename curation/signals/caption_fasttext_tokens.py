"""Tokens of a caption as fastText's own tokeniser counts them."""

import pyarrow as pa
import pyarrow.compute as pc

from curation.signal import signal

WORD = r"[^ \n\r\t\v\f\x00]+"  # fastText, src/dictionary.cc, readWord: other blanks do not part words
LINE_END = "\n"  # a token of its own there, </s>


@signal(pa.int32(), stored=False)
def caption_fasttext_tokens(caption: pa.Array) -> pa.Array:
    """Tokens per caption by fastText's tokeniser, int32, shape (n,); null stays null, 0 if empty.

    Words parted by ASCII blanks alone (no-break and ideographic ones part nothing), and one more for each line end.
    DataComp's image-based filter keeps > 1 (arXiv:2304.14108, appendix; mlfoundations/datacomp 4a8df19).

    >>> caption_fasttext_tokens(pa.array(["a dog", "dogs\\n", "a\\u3000b", "", None])).to_pylist()
    [2, 2, 1, 0, None]
    """
    words = pc.count_substring_regex(caption, WORD)
    return pc.add(words, pc.count_substring(caption, LINE_END)).cast(pa.int32())
