"""Scores of a multimodal language model (MLM filter), read from a column or asked of a model."""

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.methods.scores import parse_mlm_score
from curation.signal import Function, signal

# MLM filter (arXiv:2403.02677), section 3.1
Metric = Literal["image_text_matching", "object_detail_fulfillment", "caption_text_quality", "semantic_understanding"]


@signal(pa.int32())
def mlm_score(
    caption: pa.Array,
    pixels_bounded: list[np.ndarray | None],
    *,
    mlm: Function = ...,
    metric: Metric = "image_text_matching",
) -> pa.Array:
    """Score of the pair by a model, int32, shape (n,), 0 to 100; null where the answer is no score or nothing asked.

    `mlm` names a function of one's own, MODULE:FUNCTION or FILE.py:FUNCTION: pictures, captions and the metric in, a
    text each out (curation.models.mlm); its first line must be a whole number (curation.methods.parse_mlm_score).
    MLM filter (arXiv:2403.02677) keeps image_text_matching >= 66 and object_detail_fulfillment >= 20; another model
    has its own scale: bound it by top_fraction.
    """
    from curation.models.mlm import answers

    told = answers(mlm, pixels_bounded, caption.to_pylist(), metric)
    return pa.array([parse_mlm_score(answer) for answer in told], pa.int32())


@signal(pa.int32(), stored=False)
def mlm_column_score(extra: pa.Array, *, metric: Metric = "image_text_matching", column: str = "") -> pa.Array:
    """Score that the source brought along as `extra.COLUMN` (default: the metric's name), int32, shape (n,), 0 to 100.

    Null where there is no such column, or its text is no score: as mlm_score reads a model's answer.

    >>> rows = [[("image_text_matching", "85")], [("image_text_matching", "high")], [("itm", "7")], None]
    >>> extra = pa.array(rows, pa.map_(pa.string(), pa.string()))
    >>> mlm_column_score(extra).to_pylist(), mlm_column_score(extra, column="itm").to_pylist()
    ([85, None, None, None], [None, None, 7, None])
    """
    texts = pc.map_lookup(extra, column or metric, "first")
    return pa.array([parse_mlm_score(text) for text in texts.to_pylist()], pa.int32())
