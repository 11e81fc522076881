"""The caption without its numbers, to be scored in place of the caption."""

from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from curation.methods.number_masking import mask_numbers
from curation.signal import signal


@signal(pa.string(), stored=False)
def number_masked_caption(caption: pa.Array, *, variant: Literal["digits", "tokens"] = "digits") -> pa.Array:
    """Each caption without numbers, string; null for null and where nothing is left, so that it is not ranked.

    `variant` "digits" deletes runs of digits, "tokens" whole words that hold one; the pattern is ours, the paper
    ("Devil in the Number", arXiv:2309.13770) does not state it. RecipeError for another variant.

    >>> number_masked_caption(pa.array(["Nike Air Max 90 size 10", "12 34", None])).to_pylist()
    ['Nike Air Max size', None, None]
    >>> number_masked_caption(pa.array(["IMG_0042.jpg photo"]), variant="tokens").to_pylist()
    ['photo']
    """
    masked = mask_numbers(caption, variant)
    return pc.if_else(pc.equal(masked, ""), pa.scalar(None, masked.type), masked)
