"""CLIPScore and RefCLIPScore: how well a caption describes a picture, for reports on captions."""

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import SchemaError
from curation.methods.scores import PREFIX, clip_score_report
from curation.schema import VECTOR
from curation.signal import ClipModel, signal
from curation.signals.embedding import Precision
from curation.vectors import as_matrix, from_matrix


@signal(VECTOR)
def prefixed_caption_embedding(
    caption: pa.Array, *, clip: ClipModel = "sample-clip", precision: Precision = "fp32"
) -> pa.Array:
    """CLIP vector of "A photo depicts " and the caption, FixedSizeList<float16>[d], unit length; null where it is.

    The text of CLIPScore (arXiv:2104.08718, section 3). Otherwise as caption_embedding.
    """
    from curation.models.clip import here

    return from_matrix(here(clip, precision).embed_texts(pc.binary_join_element_wise(PREFIX, caption, "").to_pylist()))


@signal(pa.float32())
def clip_s(image_embedding: pa.Array, prefixed_caption_embedding: pa.Array) -> pa.Array:
    """CLIPScore of picture and caption, float32, shape (n,), 0 to 2.5; null where a vector is null, zero, NaN or Inf.

    2.5 max(cosine, 0) with the prefixed caption (arXiv:2104.08718, section 3; published for ViT-B/32). What data sets
    call CLIP score is clip_score.

    >>> east, north = from_matrix(np.array([[1.0, 0.0], [3.0, 4.0]])), from_matrix(np.array([[0.0, 1.0], [3.0, 4.0]]))
    >>> clip_s(east, north).to_pylist()
    [0.0, 2.5]
    """
    images, captions, valid = _matched(image_embedding, prefixed_caption_embedding)
    scores = np.zeros(len(valid), np.float32)
    scores[valid] = clip_score_report(images[valid], captions[valid])["clip_s"]
    return pa.array(scores, mask=~valid)


@signal(pa.float32(), version=2)
def refclip_s(
    captions: pa.Array,
    image_embedding: pa.Array,
    prefixed_caption_embedding: pa.Array,
    *,
    clip: ClipModel = "sample-clip",
    rule: Literal["paper", "code"] = "paper",
    precision: Precision = "fp32",
) -> pa.Array:
    """RefCLIPScore, float32, shape (n,): harmonic mean of clip_s and the best cosine of caption and a reference.

    References are the pair's further `captions` with a text that are not marked negative; null where there is none, or
    no clip_s. Only clip_s is scaled by 2.5. `rule` "paper" takes a negative cosine for 0 (0 to 1.43), "code" does not,
    as jmhessel/clipscore 1036465, and is null where the two sum to 0. `clip` and `precision` must be those of the
    embeddings. arXiv:2104.08718, section 3.
    """
    from curation.models.clip import here

    images, candidates, valid = _matched(image_embedding, prefixed_caption_embedding)
    captions = pc.if_else(pa.array(valid), captions, None)
    rows, each = pc.list_parent_indices(captions), pc.list_flatten(captions)
    negative = pc.fill_null(pc.struct_field(each, "negative"), False)
    texts = pc.struct_field(each, "text")
    usable = pc.and_(pc.invert(negative), texts.is_valid())
    rows, texts = rows.filter(usable), texts.filter(usable)
    found = np.full(len(valid), np.nan, np.float32)
    if len(texts):
        vectors = here(clip, precision).embed_texts(pc.binary_join_element_wise(PREFIX, texts, "").to_pylist())
        which, starts = np.unique(rows.to_numpy(), return_index=True)
        references = np.split(vectors, starts[1:])
        found[which] = clip_score_report(images[which], candidates[which], references)[f"refclip_s_{rule}"]
    return pa.array(found, mask=np.isnan(found))


def _matched(images: pa.Array, texts: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    left, left_valid = as_matrix(images)
    right, right_valid = as_matrix(texts)
    valid = left_valid & right_valid
    if valid.any() and left.shape[1] != right.shape[1]:
        raise SchemaError(f"clip_s: image vectors of {left.shape[1]} numbers, caption vectors of {right.shape[1]}")
    return left, right, valid
