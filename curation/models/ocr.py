"""Readers of text in pictures by name: where text is, and what it says.

rapidocr             PP-OCRv6's small models for Chinese, English and others in Latin script, which come with rapidocr:
                     the default (pip install curation[ocr]; models Apache-2.0, PaddlePaddle)
tesseract            the program of that name with its English model; some ten times slower
tesseract:ENG+DEU    the same with the models of these languages, by tesseract's codes (`tesseract --list-langs`)

Either finds regions of a picture and reads what is in them. What it says of a picture depends on that picture alone.
"""

import hashlib
import importlib.metadata
import importlib.util
import shutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from curation.errors import MissingModelError, unknown
from curation.images import threaded
from curation.models.named import file_digest

KNOWN = ("rapidocr", "tesseract", "tesseract:LANGUAGE+LANGUAGE")
PACKAGES = ("rapidocr", "onnxruntime", "cv2")
# The two packaged models (rapidocr 3.10): where text is, and what it says.
DETECTOR, RECOGNISER = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"


class Region(NamedTuple):
    """Where a line of text is: a rotated rectangle, and how sure the model is, 0 to 1.

    `corners`: float32 (4, 2), (x, y) in pixels of the picture; clockwise from the upper left one.
    """

    corners: np.ndarray
    score: float


class Reading(NamedTuple):
    """What a region says, "" for nothing, and how sure the model is, 0 to 1."""

    text: str
    score: float


class Reader(Protocol):
    """What reads one uint8 RGB picture (height, width, 3), on one thread."""

    def find(self, picture: np.ndarray, side: int) -> list[Region]:
        """Its regions in reading order, looked at with a longer side of at most `side` pixels."""

    def read(self, picture: np.ndarray, corners: np.ndarray) -> Reading:
        """What one region of it, given by its corners, says."""


class Ocr(NamedTuple):
    """A reader at work on several pictures, as many at a time as the task has cores."""

    reader: Reader

    def detect(self, pictures: Sequence[np.ndarray], side: int) -> list[list[Region]]:
        """The regions of each picture."""
        return threaded(lambda picture: self.reader.find(picture, side), pictures)

    def read(self, pictures: Sequence[np.ndarray], regions: Sequence[Sequence[np.ndarray]]) -> list[list[Reading]]:
        """What each region of each picture says."""
        pairs = list(zip(pictures, regions, strict=True))
        return threaded(lambda pair: [self.reader.read(pair[0], corners) for corners in pair[1]], pairs)


@lru_cache(maxsize=2)
def load(name: str) -> Ocr:
    """The reader of that name, once per process. RecipeError for an unknown name, MissingModelError if not here."""
    models = model_files(name)
    if name == "rapidocr":
        from curation.models.rapid_ocr import RapidOcr

        return Ocr(RapidOcr(models[DETECTOR], models[RECOGNISER]))
    from curation.models.tesseract import Tesseract

    return Ocr(Tesseract(languages(name)))


def digest(name: str) -> str:
    """64 hex over the model files of a reader, and of tesseract over its version; raises as `load`."""
    told = "".join(f"{file} {file_digest(str(path))}\n" for file, path in model_files(name).items())
    return hashlib.sha256(f"{told}{_program(name)}".encode()).hexdigest()


def absolute_name(name: str) -> str:
    """The name: none has a path in it."""
    return name


def describe(name: str) -> dict[str, Any]:
    """What a value depends on, as JSON: name, digest, each model file's SHA-256, and the program that runs them."""
    files = {file: file_digest(str(path)) for file, path in model_files(name).items()}
    runs = _program(name) or f"onnxruntime {importlib.metadata.version('onnxruntime')}"
    return {"name": name, "digest": digest(name), "files": files, "runs": runs, "batch_size": 1}


def model_files(name: str) -> dict[str, Path]:
    """The model files of a reader by name, sorted; raises as `load`."""
    if name == "rapidocr":
        return _packaged()
    if name.partition(":")[0] != "tesseract" or "" in languages(name):
        raise unknown("reader", [name], KNOWN, "ocr")
    if shutil.which("tesseract") is None:
        raise MissingModelError(f"ocr {name!r}: no program tesseract on PATH; on Debian: apt-get install tesseract-ocr")
    from curation.models import tesseract

    return tesseract.model_files(languages(name))


def languages(name: str) -> tuple[str, ...]:
    """Tesseract's codes of the languages in a name.

    >>> languages("tesseract"), languages("tesseract:eng+deu")
    (('eng',), ('eng', 'deu'))
    """
    return tuple(name.partition(":")[2].split("+")) if ":" in name else ("eng",)


def _packaged() -> dict[str, Path]:
    missing = [package for package in PACKAGES if importlib.util.find_spec(package) is None]
    if missing:
        raise MissingModelError(f"ocr 'rapidocr': {', '.join(missing)} not installed: pip install curation[ocr]")
    folder = Path(importlib.util.find_spec("rapidocr").submodule_search_locations[0]) / "models"
    files = {file: folder / file for file in (DETECTOR, RECOGNISER)}
    absent = [file for file, path in files.items() if not path.is_file()]
    if absent:
        found = importlib.metadata.version("rapidocr")
        raise MissingModelError(f"ocr 'rapidocr': rapidocr {found} holds no {absent}: pip install curation[ocr]")
    return files


def _program(name: str) -> str:
    """What makes the values besides the models; nothing for onnxruntime, whose versions agree in all but last bits."""
    if name == "rapidocr":
        return ""
    from curation.models import tesseract

    return tesseract.version()
