"""Agreement of caption and picture where the picture's text is painted over (T-MARS, arXiv:2307.03132)."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.boxes import box_tuples
from curation.methods.text_masking import PAD, RING, mask_boxes
from curation.schema import VECTOR
from curation.signal import PICTURES, ClipModel, signal
from curation.signals.clip_score import clip_score
from curation.signals.embedding import Decode, Precision
from curation.vectors import from_binary, from_matrix, to_binary


@signal(PICTURES, stored=False)
def text_masked_pixels(
    pixels: list[np.ndarray | None], text_boxes: pa.Array, *, mask_pad: int = PAD, mask_ring: int = RING
) -> list[np.ndarray | None]:
    """The pictures, each box of text in the mean colour of its surroundings: uint8 RGB (H, W, 3), full resolution.

    No column: other signals read it within a pass. Boxes are widened by `mask_pad` pixels, their surroundings are
    `mask_ring` pixels wide; curation.methods.mask_boxes is the rule. A picture without text is passed on as it is. None
    where the picture or its boxes are null, and where no pixel lies outside the boxes.

    >>> box = {"r0": 2, "c0": 1, "r1": 4, "c1": 3}
    >>> picture = np.full((6, 6, 3), 100, np.uint8)
    >>> picture[:, 0] = 40
    >>> text_masked_pixels([picture], pa.array([[box]]), mask_pad=0, mask_ring=1)[0][2].tolist()[:2]
    [[40, 40, 40], [80, 80, 80]]
    """
    found: list[np.ndarray | None] = []
    for picture, boxes in zip(pixels, text_boxes.to_pylist(), strict=True):
        if picture is None or boxes is None:
            found.append(None)
        else:
            masked = mask_boxes(picture, box_tuples(boxes), pad=mask_pad, ring=mask_ring) if boxes else picture
            found.append(masked)
    return found


@signal(VECTOR, why_null="all_text: no pixel of the picture lies outside the boxes of text")
def text_masked_embedding(
    text_masked_pixels: list[np.ndarray | None],
    text_boxes: pa.Array,
    image_embedding: pa.Array,
    *,
    clip: ClipModel = "sample-clip",
    decode: Decode = "full",
    precision: Precision = "fp32",
) -> pa.Array:
    """CLIP vector of the picture without its text, FixedSizeList<float16>[d], shape (n,), unit length.

    Where there is no text it is `image_embedding`, bit for bit, and nothing is embedded again. Null where the picture
    or its vector is, and where no pixel lies outside the boxes of text. The settings must be those of image_embedding.
    Embedded from the full resolution, as masks are exact there.
    """
    from curation.models.clip import here

    has_text = np.asarray(pc.fill_null(pc.greater(pc.list_value_length(text_boxes), 0), False))
    known = image_embedding.is_valid().to_numpy(zero_copy_only=False)
    wanted = [each if again else None for each, again in zip(text_masked_pixels, has_text & known)]
    kept = pc.if_else(pc.and_(text_boxes.is_valid(), pc.invert(pa.array(has_text))), to_binary(image_embedding), None)
    if all(each is None for each in wanted):
        return from_binary(kept)
    masked = to_binary(from_matrix(here(clip, precision).embed_images(wanted, fast=decode != "exact")))
    return from_binary(pc.coalesce(kept, masked))


@signal(pa.float32())
def text_masked_clip_score(text_masked_embedding: pa.Array, caption_embedding: pa.Array) -> pa.Array:
    """Cosine of caption and picture without its text, float32, shape (n,), -1 to 1; clip_score where there is no text.

    Low where only the text agreed with the caption. Null where a vector is, and where text covers all of the picture.
    T-MARS (arXiv:2307.03132, section 4) drops the lower half of a pool.
    """
    return clip_score(text_masked_embedding, caption_embedding)
