"""Agreement of picture and caption by several models, or by one at several times of its training."""

import numpy as np
import pyarrow as pa

from curation.signal import signal


@signal(pa.float32(), stored=False, each=("clip", "checkpoints"))
def mean_clip_score(*clip_score: pa.Array, checkpoints: list[str] = ...) -> pa.Array:
    """Mean of clip_score over CHECKPOINTS, a list of models as `clip` names them; float32, shape (n,), -1 to 1.

    Null where one of them is. Each score is kept in the store under its model, so one checkpoint more costs one pass.
    C-SSFT of T-MARS (arXiv:2307.03132, section 5): a CLIP fine-tuned for some epochs on a clean set, the mean taken
    over its epochs.

    >>> mean_clip_score(pa.array([0.5, None]), pa.array([0.25, 0.5]), checkpoints=["a", "b"]).to_pylist()
    [0.375, None]
    """
    valid = np.all([scores.is_valid().to_numpy(zero_copy_only=False) for scores in clip_score], axis=0)
    total = sum(scores.fill_null(0).to_numpy().astype(np.float64) for scores in clip_score)
    return pa.array((total / len(clip_score)).astype(np.float32), mask=~valid)
