"""Face detectors by name: pixels -> boxes of faces.

haar         the cascade of frontal faces that comes with OpenCV (Viola and Jones 2001; pip install 'curation[faces]')
FILE.onnx    YuNet (Wu, Peng, Yu; Machine Intelligence Research 2023) as OpenCV's FaceDetectorYN reads it, a local file

Both run on one thread a picture and see a picture alone.
"""

import hashlib
import threading
from collections.abc import Callable
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from curation.errors import MissingModelError
from curation.files import absolute
from curation.models.declared import state
from curation.models.named import file_digest
from curation.models.onnx import require

HAAR = "haar"
CASCADE = "haarcascade_frontalface_alt.xml"  # fewer false faces than `default` and `alt2` at the same neighbours
NEIGHBOURS = 4  # detections that agree on a face: false faces in 0 of 145 scientific figures, at 3 in 3
STEP = 1.1  # ratio of the sizes that are tried, OpenCV's default
SMALLEST = 20  # a face is at least this part (1/20) of the shorter side, and 24 px, at the size that is searched
SIDE = 640  # px of the longer side that is searched
SURE = 0.6  # YuNet's score of a face; OpenCV's own example takes 0.9, which misses more
OVERLAP, TOP = 0.3, 5000  # OpenCV's defaults of FaceDetectorYN: of boxes to merge; kept before merging
Box = tuple[int, int, int, int]

_LOCAL = threading.local()  # OpenCV's detectors hold buffers: one a thread


def digest(name: str) -> str:
    """64 hex over the detector's file and, as OpenCV does the rest, OpenCV's version; MissingModelError without."""
    from importlib.metadata import PackageNotFoundError, version

    path = file_of(name)
    try:
        told = version("opencv-python-headless")
    except PackageNotFoundError:  # another of OpenCV's packages brings the same module
        import cv2

        told = cv2.__version__
    return hashlib.sha256(f"{file_digest(str(path))}\0{told}".encode()).hexdigest()


def absolute_name(name: str) -> str:
    """The name, a path made absolute."""
    return name if name == HAAR else absolute(name)


def file_of(name: str) -> Path:
    """The file behind a name; MissingModelError says how to get one that is not here."""
    folder = require("cv2", f"face detector {name!r}", "faces")
    path = folder / "data" / CASCADE if name == HAAR else Path(name)
    if not path.is_file() or (name != HAAR and path.suffix != ".onnx"):
        raise MissingModelError(
            f"face detector {name!r}: no file; wanted {HAAR!r} or the path of YuNet's .onnx (docs/safety.md says where)"
        )
    return path


def find(name: str, pixels: np.ndarray) -> list[Box]:
    """(r0, c0, r1, c1) of each face, half-open, in pixels of the picture (H, W, 3) uint8 RGB, sorted."""
    height, width = pixels.shape[:2]
    factor = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    searched = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX)) if factor < 1 else pixels
    rows, columns = height / size[1], width / size[0]
    found = set()
    for left, top, wide, high in _detector(name)(np.ascontiguousarray(searched)):
        r0, c0 = max(0, int(top * rows)), max(0, int(left * columns))
        r1, c1 = min(height, ceil((top + high) * rows)), min(width, ceil((left + wide) * columns))
        found |= {(r0, c0, r1, c1)} if r0 < r1 and c0 < c1 else set()
    return sorted(found)


def _detector(name: str) -> Callable:
    """The detector of this thread."""
    held = _LOCAL.__dict__.setdefault("detectors", {})
    path = file_of(name)
    key = (path, state(path))
    if key not in held:
        held[key] = _haar(str(path)) if name == HAAR else _yunet(str(path))
    return held[key]


@lru_cache(maxsize=1)
def _cv2() -> Any:
    import cv2

    cv2.setNumThreads(1)  # pictures are searched beside each other instead
    return cv2


def _haar(path: str) -> Callable:
    cascade = _cv2().CascadeClassifier(path)
    if cascade.empty():
        raise MissingModelError(f"face detector {path}: does not load")

    def detect(pixels: np.ndarray) -> list:
        grey = np.asarray(Image.fromarray(pixels).convert("L"))
        least = max(24, min(grey.shape) // SMALLEST)  # 24 px: below the cascade's own window of 20 nothing is found
        return [[float(v) for v in box] for box in cascade.detectMultiScale(grey, STEP, NEIGHBOURS, 0, (least, least))]

    return detect


def _yunet(path: str) -> Callable:
    cv2 = _cv2()
    try:
        model = cv2.FaceDetectorYN.create(path, "", (SIDE, SIDE), SURE, OVERLAP, TOP)
    except cv2.error as error:
        raise MissingModelError(f"face detector {path}: does not load as YuNet: {error}") from error

    def detect(pixels: np.ndarray) -> list:
        model.setInputSize((pixels.shape[1], pixels.shape[0]))
        _, faces = model.detect(pixels[..., ::-1].copy())
        return [] if faces is None else [[float(v) for v in face[:4]] for face in faces]

    return detect
