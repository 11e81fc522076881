"""Faces in pictures: where, how many, how much of the picture."""

from math import ceil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.boxes import BOXES, SIDES, area_share
from curation.signal import FaceModel, signal


@signal(BOXES)
def face_boxes(
    pixels_bounded: list[np.ndarray | None],
    image_width_px: pa.Array,
    image_height_px: pa.Array,
    *,
    faces: FaceModel = "haar",
) -> pa.Array:
    """Boxes of the faces, list of {r0, c0, r1, c1} (int32, half-open), shape (n,), sorted; empty where there is none,
    null where the picture is.

    In pixels of the picture at full resolution after EXIF rotation, whatever size was searched (at most 640 px).
    `faces` is a detector of curation.models.faces: `haar`, which OpenCV brings, finds large upright frontal faces and
    misses many others; a local YuNet finds more. MissingModelError where it is not there.
    """
    from curation.images import threaded
    from curation.models.faces import find

    def one(i: int) -> list[dict[str, int]] | None:
        pixels, width, height = pixels_bounded[i], widths[i], heights[i]
        if pixels is None or width is None or height is None:
            return None
        rows, columns = height / pixels.shape[0], width / pixels.shape[1]
        scaled = [
            (int(r0 * rows), int(c0 * columns), min(height, ceil(r1 * rows)), min(width, ceil(c1 * columns)))
            for r0, c0, r1, c1 in find(faces, pixels)
        ]
        return [dict(zip(SIDES, box)) for box in scaled]

    widths, heights = image_width_px.to_pylist(), image_height_px.to_pylist()
    return pa.array(threaded(one, range(len(pixels_bounded))), BOXES)


@signal(pa.int32(), stored=False)
def face_count(face_boxes: pa.Array) -> pa.Array:
    """Number of faces found, int32, shape (n,), at least 0; null where face_boxes is.

    >>> face_count(pa.array([[], None, [{"r0": 0, "c0": 0, "r1": 2, "c1": 2}]], BOXES)).to_pylist()
    [0, None, 1]
    """
    return pc.list_value_length(face_boxes).cast(pa.int32())


@signal(pa.float32(), stored=False)
def face_area_share(face_boxes: pa.Array, image_width_px: pa.Array, image_height_px: pa.Array) -> pa.Array:
    """Share of the picture inside a box of a face, float32, shape (n,), in [0, 1]; null where face_boxes is.

    >>> boxes = pa.array([[{"r0": 0, "c0": 0, "r1": 2, "c1": 5}]], BOXES)
    >>> face_area_share(boxes, pa.array([10], pa.int32()), pa.array([4], pa.int32())).to_pylist()
    [0.25]
    """
    return area_share(face_boxes, image_width_px, image_height_px)
