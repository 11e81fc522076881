"""Text in pictures: where it is and what it says. One signal finds regions, one reads them; the others bound those."""

import math

import numpy as np
import pyarrow as pa

from curation.boxes import BOXES, area_share
from curation.signal import OcrModel, signal

REGIONS = pa.list_(pa.struct([("corners", pa.list_(pa.float32())), ("score", pa.float32())]))
READINGS = pa.list_(pa.struct([("text", pa.string()), ("score", pa.float32())]))


@signal(REGIONS)
def text_regions(
    pixels_bounded: list[np.ndarray | None],
    image_width_px: pa.Array,
    image_height_px: pa.Array,
    *,
    ocr: OcrModel = "rapidocr",
    ocr_side_px: int = 384,
) -> pa.Array:
    """Where lines of text are, in reading order: list<struct {corners, score}>, empty where there is none.

    `corners`: x and y, four times, of a rotated rectangle in pixels of the full resolution, clockwise from the upper
    left; it may reach beyond the border. `score`: mean probability of text inside, 0.4 to 1. Null where the picture is.
    Seen at a longer side of at most `ocr_side_px`: docs/text_in_images.md says what small text that costs. `ocr`: see
    curation.models.ocr. Differentiable Binarization, arXiv:1911.08947. MissingModelError where the reader is not here.
    """
    from curation.models.ocr import load

    there = _present(pixels_bounded)
    found: list[list[dict] | None] = [None] * len(pixels_bounded)
    for i, regions in zip(there, load(ocr).detect([pixels_bounded[i] for i in there], ocr_side_px)):
        scale = _scale(pixels_bounded[i], image_width_px[i].as_py(), image_height_px[i].as_py())
        found[i] = [{"corners": (r.corners * scale).ravel().tolist(), "score": r.score} for r in regions]
    return pa.array(found, REGIONS)


@signal(READINGS)
def text_readings(
    pixels_bounded: list[np.ndarray | None],
    image_width_px: pa.Array,
    image_height_px: pa.Array,
    text_regions: pa.Array,
    *,
    ocr: OcrModel = "rapidocr",
) -> pa.Array:
    """What each of `text_regions` says, in their order: list<struct {text, score}>; null where the picture is.

    `text` "" where nothing can be read; `score`: mean probability of its characters, 0 to 1. Read from the full
    resolution, of a JPEG above 4 Mpx scaled to at most that. Text upside down is not turned.
    """
    from curation.models.ocr import load

    there = [i for i in _present(pixels_bounded) if text_regions[i].is_valid]
    corners = []
    for i in there:
        scale = _scale(pixels_bounded[i], image_width_px[i].as_py(), image_height_px[i].as_py())
        corners.append([_corners(region) / scale for region in text_regions[i].as_py()])
    found: list[list[dict] | None] = [None] * len(pixels_bounded)
    for i, readings in zip(there, load(ocr).read([pixels_bounded[i] for i in there], corners)):
        found[i] = [reading._asdict() for reading in readings]
    return pa.array(found, READINGS)


@signal(BOXES, stored=False)
def text_boxes(
    text_regions: pa.Array, image_width_px: pa.Array, image_height_px: pa.Array, *, box_score: float = 0.5
) -> pa.Array:
    """Boxes around the lines of text: list<struct {r0, c0, r1, c1}>, int32, half-open, in full-resolution pixels.

    Of regions with a score of at least `box_score` (0.4 is the least there is; rapidocr has 0.5), in reading order: the
    smallest upright box around each, cut at the picture's border; none of them is empty. Null where the picture is.

    >>> region = {"corners": [1.5, 2, 9, 2, 9, 30, 1.5, 30], "score": 0.9}
    >>> text_boxes(pa.array([[region], []], REGIONS), pa.array([40, 40]), pa.array([20, 20])).to_pylist()
    [[{'r0': 2, 'c0': 1, 'r1': 20, 'c1': 9}], []]
    """
    found: list[list[dict] | None] = [None] * len(text_regions)
    sizes = zip(image_height_px.to_pylist(), image_width_px.to_pylist())
    for i, (regions, (height, width)) in enumerate(zip(text_regions.to_pylist(), sizes)):
        if regions is not None and height is not None:
            boxes = [_box(_corners(region), height, width) for region in regions if region["score"] >= box_score]
            found[i] = [box for box in boxes if box["r0"] < box["r1"] and box["c0"] < box["c1"]]
    return pa.array(found, BOXES)


@signal(pa.list_(pa.string()), stored=False)
def image_text(text_readings: pa.Array, *, text_score: float = 0.5) -> pa.Array:
    """The lines of text that the picture shows, list<string>, in reading order; null where the picture is.

    Those read with a score of at least `text_score` (rapidocr's default).

    >>> image_text(pa.array([[{"text": "SALE", "score": 0.9}, {"text": "x", "score": 0.2}], [], None])).to_pylist()
    [['SALE'], [], None]
    """
    found = [
        None if lines is None else [line["text"] for line in lines if line["text"] and line["score"] >= text_score]
        for lines in text_readings.to_pylist()
    ]
    return pa.array(found, pa.list_(pa.string()))


@signal(pa.float32(), stored=False)
def image_text_area_share(text_boxes: pa.Array, image_width_px: pa.Array, image_height_px: pa.Array) -> pa.Array:
    """Share of the picture inside boxes of text, float32, shape (n,), in [0, 1]; null where the picture is.

    Where boxes overlap the area counts once; what lies beyond the border does not count.

    >>> boxes = [[{"r0": 0, "c0": 0, "r1": 5, "c1": 10}, {"r0": 4, "c0": 0, "r1": 6, "c1": 10}], []]
    >>> [round(share, 2) for share in image_text_area_share(pa.array(boxes), *2 * [pa.array([10, 10])]).to_pylist()]
    [0.6, 0.0]
    """
    return area_share(text_boxes, image_width_px, image_height_px)


def _present(pictures: list[np.ndarray | None]) -> list[int]:
    return [i for i, picture in enumerate(pictures) if picture is not None]


def _scale(seen: np.ndarray, width: int, height: int) -> np.ndarray:
    """Pixels of the full resolution per pixel of the decoded picture, (x, y)."""
    return np.array([width / seen.shape[1], height / seen.shape[0]])


def _corners(region: dict) -> np.ndarray:
    return np.array(region["corners"], np.float64).reshape(4, 2)


def _box(corners: np.ndarray, height: int, width: int) -> dict[str, int]:
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    rows = (min(max(math.floor(top), 0), height), min(max(math.ceil(bottom), 0), height))
    columns = (min(max(math.floor(left), 0), width), min(max(math.ceil(right), 0), width))
    return {"r0": rows[0], "c0": columns[0], "r1": rows[1], "c1": columns[1]}
