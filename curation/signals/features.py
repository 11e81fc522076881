"""CLIP vectors as the towers give them, for what is published on vectors that were not normalised."""

import numpy as np
import pyarrow as pa

from curation.schema import VECTOR
from curation.signal import ClipModel, signal
from curation.vectors import from_matrix


@signal(VECTOR)
def image_features(pixels_small: list[np.ndarray | None], *, clip: ClipModel = "sample-clip") -> pa.Array:
    """CLIP vector of the picture, not normalised, FixedSizeList<float16>[d], shape (n,); null where the picture is.

    Otherwise as image_embedding, which is the same at unit length; a recipe that reads both runs the model twice.
    """
    from curation.models.clip import load

    return from_matrix(load(clip).embed_images(pixels_small, unit=False))


@signal(VECTOR)
def caption_features(caption: pa.Array, *, clip: ClipModel = "sample-clip") -> pa.Array:
    """CLIP vector of the caption, not normalised, FixedSizeList<float16>[d], shape (n,); null where the caption is.

    What lies beyond the model's context is cut off. Otherwise as caption_embedding.
    """
    from curation.models.clip import load

    return from_matrix(load(clip).embed_texts(caption.to_pylist(), unit=False))
