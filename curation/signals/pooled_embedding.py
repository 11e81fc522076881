"""Picture and caption in one vector."""

from typing import Annotated

import numpy as np
import pyarrow as pa
from pydantic import Field

from curation.errors import SchemaError
from curation.methods.linking import pooled_vectors
from curation.schema import VECTOR
from curation.signal import signal
from curation.vectors import as_matrix, from_matrix


@signal(VECTOR)
def pooled_embedding(
    image_embedding: pa.Array,
    caption_embedding: pa.Array,
    *,
    image_weight: Annotated[float, Field(ge=0, le=1)] = 0.5,
) -> pa.Array:
    """unit(w * image + (1 - w) * caption), w = IMAGE_WEIGHT, of unit vectors, FixedSizeList<float16>[d], shape (n,).

    What CLIPPINGS (arXiv:2304.03464) links records by: dedup_embeddings with `vectors = "pooled_embedding"`,
    `unit = "pair"`, `mode = "components"`. Null where a vector is null, zero, NaN or Inf, or the two cancel out. Raises
    SchemaError where they have different sizes.

    >>> east, north = from_matrix(np.array([[1.0, 0.0]])), from_matrix(np.array([[0.0, 1.0]]))
    >>> pooled_embedding(east, north, image_weight=0.25).to_pylist()
    [[0.316162109375, 0.94873046875]]
    """
    images, image_valid = as_matrix(image_embedding)
    texts, text_valid = as_matrix(caption_embedding)
    valid = image_valid & text_valid
    if valid.any() and images.shape[1] != texts.shape[1]:
        raise SchemaError(
            f"pooled_embedding: image vectors of {images.shape[1]} numbers, caption vectors of {texts.shape[1]}"
        )
    pooled = np.full(images.shape, np.nan)
    pooled[valid] = pooled_vectors(_unit(images[valid]), _unit(texts[valid]), image_weight)
    return from_matrix(pooled)


def _unit(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
