"""Text in pictures by PP-OCRv6's small detector and recogniser, which come with rapidocr, run by onnxruntime.

The models are rapidocr's; what surrounds them is ours. Its defaults enlarge every picture to a shorter side of 736 px,
a line to a width of 320 px at least, and use all cores for each. Here a picture is never enlarged, a line not widened,
and every one is a batch of its own on one thread, as many at a time as the task has cores: on a CPU larger batches are
no faster (measured from 192 to 384 px and from 48 to 640 px), and so no row depends on its neighbours.
"""

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime

from curation.models.ocr import Reading, Region

MULTIPLE = 32  # sides of the detector's input, as in PP-OCR's own preprocessing
THRESHOLD = 0.3  # of the probability that a pixel is text; PP-OCR's setting (arXiv:1911.08947 has 0.2)
LEAST_SCORE = 0.4  # mean probability of a region that is kept at all; text_boxes bounds it higher
UNCLIP = 1.8  # how far regions grow (arXiv:1911.08947: 1.5); the best of 1.4 to 2 on rendered words
MIN_SIDE = 3  # px of the detector's input; less is noise (PP-OCR's setting)
HEIGHT = 48  # px of a line, as the recogniser was trained
SQUEEZE = 0.75  # of a line's width: a quarter less work, and as many words found (at 0.65 fewer; Latin script); ours
WIDTH_STEP, MAX_WIDTH = 16, 1600  # px of a line: to a multiple of this, with grey; longer ones are squeezed; ours
TALL = 1.5  # a region so many times as tall as wide is a line on its side (PP-OCR's setting)
# The detector takes things for text that fill a picture: a ring, a plain picture with a border. Regions less than
# twice as long as high, and higher than a quarter of the picture, must therefore be readable: letters of that size get
# 0.9 and more, what was taken for text by mistake got 0.7 at most. Ours.
SQUARE, LARGE, READABLE = 2.0, 0.25, 0.8
MAX_REGIONS = 200  # of a picture, the surest ones: bounds the time for one; ours


class RapidOcr:
    """Both models, loaded once a process."""

    def __init__(self, detector: Path, recogniser: Path) -> None:
        cv2.setNumThreads(1)  # pictures run side by side already
        self.detector, self.recogniser = _session(detector), _session(recogniser)
        listed = self.recogniser.get_modelmeta().custom_metadata_map["character"].splitlines()
        self.characters = np.array(["", *listed, " "], object)  # 0 is CTC's blank

    def find(self, picture: np.ndarray, side: int) -> list[Region]:
        """The 200 surest regions, large square ones only if readable. Never enlarges."""
        height, width = picture.shape[:2]
        rows, columns = seen_size(height, width, side)
        seen = _resized(picture, rows, columns)
        probability = self.detector.run(None, {"x": _normalised(seen)})[0][0, 0]
        regions = [r for r in regions_of(probability) if not _is_doubtful(r, seen) or self._is_readable(seen, r)]
        scale = np.array([width / columns, height / rows], np.float32)
        return [Region(corners * scale, score) for corners, score in regions]

    def _is_readable(self, seen: np.ndarray, region: Region) -> bool:
        reading = self.read(seen, region.corners, squeeze=1.0)  # a squeezed circle passes for an O
        return reading.score >= READABLE and any(letter.isalnum() for letter in reading.text)  # it knows a square, too

    def read(self, picture: np.ndarray, corners: np.ndarray, squeeze: float = SQUEEZE) -> Reading:
        """A line on its side is read both ways, and the surer reading counts."""
        width, height = (float(np.linalg.norm(corners[i] - corners[0])) for i in (1, 3))
        if height < TALL * width:
            return self._read_line(picture, corners, squeeze)
        # Whether it runs up or down is not known.
        ways = (np.roll(corners, turn, axis=0) for turn in (1, -1))
        return max((self._read_line(picture, way, squeeze) for way in ways), key=lambda reading: reading.score)

    def _read_line(self, picture: np.ndarray, corners: np.ndarray, squeeze: float) -> Reading:
        line = line_of(picture, corners, squeeze)
        width = line.shape[1]
        padded = np.zeros((1, 3, HEIGHT, -(-width // WIDTH_STEP) * WIDTH_STEP), np.float32)
        padded[..., :width] = _normalised(line)
        return self._decoded(self.recogniser.run(None, {"x": padded})[0][0])

    def _decoded(self, probabilities: np.ndarray) -> Reading:
        """CTC's best path of (steps, classes): repeats are one, blanks nothing."""
        best = probabilities.argmax(axis=1)
        kept = (best != 0) & np.append(True, best[1:] != best[:-1])
        if not kept.any():
            return Reading("", 0.0)
        return Reading("".join(self.characters[best[kept]]), float(probabilities.max(axis=1)[kept].mean()))


def _session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # sizes differ from picture to picture; plans for each would pile up
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def seen_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Rows and columns at which a picture is looked at: the longer at most `side`, both multiples of 32.

    >>> seen_size(256, 250, 512), seen_size(3000, 4000, 512), seen_size(1, 9000, 512)
    ((256, 256), (384, 512), (32, 512))
    """
    scale = min(1.0, side / max(height, width))
    rows, columns = (max(MULTIPLE, round(length * scale / MULTIPLE) * MULTIPLE) for length in (height, width))
    return rows, columns


def regions_of(probability: np.ndarray) -> list[Region]:
    """The regions where `probability` (rows, columns) says text, in reading order; of more than 200 the surest.

    Connected pixels above 0.3; their smallest rotated rectangle, whose mean probability counts, grown by 1.8 * area /
    perimeter on each side: the model is trained on shrunken regions (arXiv:1911.08947, label generation, inference).
    """
    text = (probability > THRESHOLD).astype(np.uint8)
    found = []
    for contour in cv2.findContours(text, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]:
        centre, (width, height), angle = cv2.minAreaRect(contour)
        if min(width, height) < MIN_SIDE:
            continue
        score = _mean_inside(probability, cv2.boxPoints((centre, (width, height), angle)))
        if score >= LEAST_SCORE:
            grown = UNCLIP * width * height / (width + height)  # of both sides: 2 * ratio * area / perimeter
            corners = cv2.boxPoints((centre, (width + grown, height + grown), angle))
            found.append(Region(_from_upper_left(corners), score))
    surest = sorted(found, key=lambda region: -region.score)[:MAX_REGIONS]
    return sorted(surest, key=lambda region: (region.corners[:, 1].min(), region.corners[:, 0].min()))


def _is_doubtful(region: Region, seen: np.ndarray) -> bool:
    low, long = sorted(float(np.linalg.norm(region.corners[i] - region.corners[0])) for i in (1, 3))
    return long < SQUARE * low and low > LARGE * min(seen.shape[:2])


def _mean_inside(probability: np.ndarray, corners: np.ndarray) -> float:
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    high = np.ceil(corners.max(axis=0)).astype(int) + 1
    part = probability[low[1] : high[1], low[0] : high[0]]
    mask = cv2.fillPoly(np.zeros(part.shape, np.uint8), [(corners - low).astype(np.int32)], 1)
    return float(cv2.mean(part, mask)[0])


def _from_upper_left(corners: np.ndarray) -> np.ndarray:
    """The corners, which OpenCV gives clockwise, from the one nearest to the picture's upper left."""
    return np.roll(corners, -int(np.argmin(corners.sum(axis=1))), axis=0).astype(np.float32)


def line_of(picture: np.ndarray, corners: np.ndarray, squeeze: float) -> np.ndarray:
    """The picture inside a rotated rectangle as an upright line of 48 px, uint8; beyond the border it is repeated.

    Its width is `squeeze` times what it were in proportion, 1600 px at most.
    Sampled once, bilinearly, but at full size first where that would skip pixels.
    """
    width, height = (max(float(np.linalg.norm(corners[i] - corners[0])), 1.0) for i in (1, 3))
    columns = min(max(math.ceil(squeeze * HEIGHT * width / height), 1), MAX_WIDTH)
    if columns >= width and height <= HEIGHT:
        return _turned(picture, corners, HEIGHT, columns)
    full = _turned(picture, corners, max(1, round(height)), max(1, round(width)))
    return _resized(full, HEIGHT, columns)


def _turned(picture: np.ndarray, corners: np.ndarray, rows: int, columns: int) -> np.ndarray:
    target = np.array([[0, 0], [columns, 0], [0, rows]], np.float32)
    turn = cv2.getAffineTransform(corners[[0, 1, 3]].astype(np.float32), target)
    return cv2.warpAffine(picture, turn, (columns, rows), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _resized(picture: np.ndarray, rows: int, columns: int) -> np.ndarray:
    if picture.shape[:2] == (rows, columns):
        return picture
    smaller = rows * columns < picture.shape[0] * picture.shape[1]
    return cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def _normalised(picture: np.ndarray) -> np.ndarray:
    """(1, 3, rows, columns) float32 from -1 to 1, blue first, as OpenCV reads what the models were trained on."""
    return np.ascontiguousarray(picture[..., ::-1].transpose(2, 0, 1)[None], np.float32) / 127.5 - 1
