"""CLIP vectors as the towers give them, for what is published on vectors that were not normalised."""

import numpy as np
import pyarrow as pa

from curation.schema import VECTOR
from curation.signal import ClipModel, signal
from curation.signals.embedding import Decode, Precision, decoded
from curation.vectors import from_matrix


@signal(VECTOR, instead=decoded)
def image_features(
    pixels_bounded: list[np.ndarray | None],
    *,
    clip: ClipModel = "sample-clip",
    decode: Decode = "full",
    precision: Precision = "fp32",
) -> pa.Array:
    """CLIP vector of the picture, not normalised, FixedSizeList<float16>[d], shape (n,); null where the picture is.

    Otherwise as image_embedding, which is the same at unit length; a recipe that reads both runs the model twice.
    """
    from curation.models.clip import here

    return from_matrix(here(clip, precision).embed_images(pixels_bounded, fast=decode != "exact", unit=False))


@signal(VECTOR)
def caption_features(caption: pa.Array, *, clip: ClipModel = "sample-clip", precision: Precision = "fp32") -> pa.Array:
    """CLIP vector of the caption, not normalised, FixedSizeList<float16>[d], shape (n,); null where the caption is.

    What lies beyond the model's context is cut off. Otherwise as caption_embedding.
    """
    from curation.models.clip import here

    return from_matrix(here(clip, precision).embed_texts(caption.to_pylist(), unit=False))
