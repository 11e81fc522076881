"""Agreement of a picture with each of its further captions."""

import pyarrow as pa
import pyarrow.compute as pc

from curation.signal import ClipModel, signal
from curation.signals.clip_score import clip_score
from curation.signals.embedding import Precision
from curation.vectors import from_matrix


@signal(pa.list_(pa.float32()), added={"precision": "fp32"})
def captions_clip_score(
    captions: pa.Array, image_embedding: pa.Array, *, clip: ClipModel = "sample-clip", precision: Precision = "fp32"
) -> pa.Array:
    """Cosine of the picture and each of its `captions`, list<float32>, in their order, each -1 to 1.

    Null where there are no captions or no vector of the picture; null within the list for a caption without text or
    marked negative, which is meant not to fit. `clip` and `precision` must be those of image_embedding.
    """
    from curation.models.clip import here

    captions = pc.if_else(image_embedding.is_valid(), captions, None)
    rows = pc.list_parent_indices(captions)
    each = pc.list_flatten(captions)
    negative = pc.fill_null(pc.struct_field(each, "negative"), False)
    texts = pc.if_else(negative, None, pc.struct_field(each, "text"))
    vectors = from_matrix(here(clip, precision).embed_texts(texts.to_pylist())) if len(each) else None
    scores = clip_score(image_embedding.take(rows), vectors) if len(each) else pa.array([], pa.float32())
    sizes = pc.fill_null(pc.list_value_length(captions), 0)
    ends = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(sizes.cast(pa.int64()))]).cast(pa.int32())
    return pa.ListArray.from_arrays(ends, scores, mask=captions.is_null())
