"""Length of the caption in characters."""

import pyarrow as pa
import pyarrow.compute as pc

from curation.signal import signal


@signal(pa.int32(), stored=False)
def caption_chars(caption: pa.Array) -> pa.Array:
    """Characters (Unicode code points) of each caption, int32, at least 0; null stays null.

    DataComp's basic filter keeps more than 5 (arXiv:2304.14108, appendix), LAION drops fewer than 5.

    >>> caption_chars(pa.array(["a dog", "caf\\u00e9", "", None])).to_pylist()
    [5, 4, 0, None]
    """
    return pc.utf8_length(caption).cast(pa.int32())
