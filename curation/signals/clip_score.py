"""Agreement of picture and caption by CLIP."""

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import SchemaError
from curation.signal import ClipModel, signal
from curation.signals.embedding import Precision
from curation.vectors import as_matrix, cosine, from_matrix


@signal(pa.float32())
def clip_score(image_embedding: pa.Array, caption_embedding: pa.Array) -> pa.Array:
    """Cosine of the two vectors, float32, shape (n,), -1 to 1; null where one is null, zero, NaN or Inf.

    Of the float16 vectors as stored, which published thresholds were applied to; their rounded lengths are divided
    out, at most 1e-4 from the plain product. Each pair is summed alone in one order. Vectors as FixedSizeList<float16>
    or binary. Raises SchemaError where the two have different sizes. LAION-400M keeps >= 0.3 (arXiv:2111.02114).

    >>> east, north = from_matrix(np.array([[1.0, 0.0], [3.0, 4.0]])), from_matrix(np.array([[0.0, 1.0], [3.0, 4.0]]))
    >>> clip_score(east, north).to_pylist()
    [0.0, 1.0]
    """
    left, left_valid = as_matrix(image_embedding)
    right, right_valid = as_matrix(caption_embedding)
    valid = left_valid & right_valid
    if valid.any() and left.shape[1] != right.shape[1]:
        raise SchemaError(f"clip_score: image vectors of {left.shape[1]} numbers, caption vectors of {right.shape[1]}")
    scores = np.zeros(len(valid), np.float32)
    scores[valid] = cosine(left[valid], right[valid])
    return pa.array(scores, mask=~valid)


@signal(pa.float32(), added={"windows": "off", "precision": "fp32"})
def number_masked_clip_score(
    caption: pa.Array,
    number_masked_caption: pa.Array,
    image_embedding: pa.Array,
    caption_embedding: pa.Array,
    *,
    clip: ClipModel = "sample-clip",
    windows: Literal["off", "content", "clipmd"] = "off",
    precision: Precision = "fp32",
) -> pa.Array:
    """Cosine of the picture and the caption whose numbers are masked, float32, shape (n,), -1 to 1.

    Null where the masked caption or a vector is null. Where masking changes nothing the score is clip_score's to the
    last bit, and no text is embedded again. `clip` must be the model of the two embeddings, `windows` and `precision`
    those of caption_embedding: in a recipe [signals] sets them all.
    """
    same = pc.fill_null(pc.equal(caption, number_masked_caption), False)
    scores = clip_score(image_embedding, pc.if_else(same, caption_embedding, None))
    changed = pc.and_(pc.invert(same), pc.and_(number_masked_caption.is_valid(), image_embedding.is_valid()))
    if not pc.any(changed).as_py():
        return scores
    from curation.models.clip import here

    texts = pc.if_else(changed, number_masked_caption, None).to_pylist()
    masked = from_matrix(here(clip, precision).embed_texts(texts, windows))
    return pc.coalesce(scores, clip_score(image_embedding, masked))
