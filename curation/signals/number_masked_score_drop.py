"""How much of a pair's score hangs on the numbers in its caption."""

import pyarrow as pa
import pyarrow.compute as pc

from curation.signal import signal


@signal(pa.float32(), stored=False)
def number_masked_score_drop(clip_score: pa.Array, number_masked_clip_score: pa.Array) -> pa.Array:
    """clip_score less number_masked_clip_score, float32, shape (n,), -2 to 2; null where one is.

    Strongly positive where the pair was matched on its numbers ("Devil in the Number", arXiv:2309.13770); 0 where the
    caption has none.

    >>> scores = pa.array([0.5, 0.5], pa.float32()), pa.array([0.125, None], pa.float32())
    >>> number_masked_score_drop(*scores).to_pylist()
    [0.375, None]
    """
    return pc.subtract(clip_score, number_masked_clip_score)
