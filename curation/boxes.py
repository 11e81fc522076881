"""Boxes in pictures, of text and of faces: the column, its rows as tuples, the share of the picture inside."""

import pyarrow as pa

from curation.methods.text_masking import masked_share

SIDES = ("r0", "c0", "r1", "c1")  # half-open, in pixels of the full resolution
BOXES = pa.list_(pa.struct([(side, pa.int32()) for side in SIDES]))


def box_tuples(boxes: list[dict]) -> list[tuple[int, int, int, int]]:
    """(r0, c0, r1, c1) of each box of a row of BOXES."""
    return [(box["r0"], box["c0"], box["r1"], box["c1"]) for box in boxes]


def area_share(boxes: pa.Array, image_width_px: pa.Array, image_height_px: pa.Array) -> pa.Array:
    """Share of each picture inside its boxes, float32, shape (n,), in [0, 1]; null where boxes or size are.

    Where boxes overlap the area counts once; what lies beyond the border does not count.
    """
    found: list[float | None] = [None] * len(boxes)
    sizes = zip(image_height_px.to_pylist(), image_width_px.to_pylist())
    for i, (row, (height, width)) in enumerate(zip(boxes.to_pylist(), sizes)):
        if row is not None and height is not None:
            found[i] = masked_share((height, width), box_tuples(row)) if row else 0.0
    return pa.array(found, pa.float32())
