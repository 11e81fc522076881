"""CLIP vectors of pictures and captions."""

from typing import Literal

import numpy as np
import pyarrow as pa

from curation.schema import VECTOR
from curation.signal import ClipModel, signal
from curation.vectors import from_matrix


@signal(VECTOR)
def image_embedding(pixels_small: list[np.ndarray | None], *, clip: ClipModel = "sample-clip") -> pa.Array:
    """CLIP vector of the picture, FixedSizeList<float16>[d], shape (n,), unit length; null where the picture is.

    Tables hold it as binary (curation.vectors.to_binary). Computed in float32 on CPU and float16 on CUDA. Raises
    MissingModelError where `clip` cannot be found. CLIP: arXiv:2103.00020.
    """
    from curation.models.clip import load

    return from_matrix(load(clip).embed_images(pixels_small))


@signal(VECTOR, added={"windows": "off"})
def caption_embedding(
    caption: pa.Array, *, clip: ClipModel = "sample-clip", windows: Literal["off", "content", "clipmd"] = "off"
) -> pa.Array:
    """CLIP vector of the caption, FixedSizeList<float16>[d], shape (n,), unit length; null where the caption is.

    What lies beyond the model's context (77 tokens for most) is cut off; an empty caption has a vector too. With
    `windows` a longer caption gets the mean vector of windows over all of its tokens instead: "content", 75 content
    tokens each between start and end token, 7 shared; "clipmd", as ClipMD cuts them (curation.methods.caption_windows).
    A caption within the context has the same vector in all three. RecipeError for windows over a tokenizer other than
    CLIP's. Otherwise as image_embedding.
    """
    from curation.models.clip import load

    return from_matrix(load(clip).embed_texts(caption.to_pylist(), windows))
