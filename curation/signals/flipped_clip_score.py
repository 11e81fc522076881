"""Agreement of the mirrored picture and the caption."""

import pyarrow as pa

from curation.signal import signal
from curation.signals.clip_score import clip_score


@signal(pa.float32())
def flipped_clip_score(flipped_image_embedding: pa.Array, caption_embedding: pa.Array) -> pa.Array:
    """Cosine of caption and picture mirrored left to right, float32, shape (n,), -1 to 1; null as clip_score.

    Mirrored writing is hard to read for a model too, so a picture that agrees with its caption by the words drawn into
    it scores lower here: a cheap alternative to OCR. "The Devil is in the Details" (arXiv:2309.15954), section 3.

    >>> import numpy as np
    >>> from curation.vectors import from_matrix
    >>> flipped_clip_score(from_matrix(np.array([[1.0, 0.0]])), from_matrix(np.array([[3.0, 4.0]]))).to_pylist()
    [0.6000000238418579]
    """
    return clip_score(flipped_image_embedding, caption_embedding)
