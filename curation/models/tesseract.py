"""Text in pictures by the program `tesseract`: a process per picture, then one per line, each on one thread.

Version 4 or newer, with its LSTM models.
"""

import csv
import io
import os
import re
import subprocess
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image

from curation.errors import MissingModelError, TaskError
from curation.models.ocr import Reading, Region

SPARSE, LINE = "11", "7"  # tesseract's page segmentation modes: text anywhere in no order; the picture is one line
MIN_SIDE = 10  # px; of less than 3 it fails, and of so few nothing can be read
MARGIN = 4  # px around a line that is read alone, as tesseract's manual advises ("ImproveQuality", borders)
DPI = "70"  # what it assumes of pictures that do not say; given, it does not guess one from the text


class Tesseract:
    """The program with models of some languages."""

    def __init__(self, languages: Sequence[str]) -> None:
        self.languages = "+".join(languages)

    def find(self, picture: np.ndarray, side: int) -> list[Region]:
        """Lines, upright ones; a line is as sure as its words on average."""
        image = Image.fromarray(picture)
        image.thumbnail((side, side), Image.Resampling.BOX)
        scale = np.array([picture.shape[1] / image.width, picture.shape[0] / image.height], np.float32)
        return [Region(_corners(line) * scale, _score(line)) for line in self._lines(image, SPARSE)]

    def read(self, picture: np.ndarray, corners: np.ndarray) -> Reading:
        """A rotated region is read as the upright one around it."""
        left, top = np.floor(np.maximum(corners.min(axis=0) - MARGIN, 0)).astype(int)
        right, bottom = np.ceil(corners.max(axis=0) + MARGIN).astype(int)
        part = picture[top:bottom, left:right]
        lines = self._lines(Image.fromarray(part), LINE) if part.size else []
        words = [word for line in lines for word in line]
        return Reading(" ".join(word["text"] for word in words), _score(words) if words else 0.0)

    def _lines(self, image: Image.Image, mode: str) -> list[list[dict[str, str]]]:
        """The lines that it finds, each a list of its words: rows of its table."""
        if min(image.size) < MIN_SIDE:
            return []
        file = io.BytesIO()
        image.save(file, "PPM")
        told = _run("stdin", "stdout", "-l", self.languages, "--psm", mode, "--dpi", DPI, "tsv", given=file.getvalue())
        rows = csv.DictReader(io.StringIO(told), delimiter="\t", quoting=csv.QUOTE_NONE)
        words = [row for row in rows if row["level"] == "5" and row["text"].strip()]
        keyed = groupby(words, key=lambda row: (row["block_num"], row["par_num"], row["line_num"]))
        return [list(line) for _, line in keyed]


def version() -> str:
    """Name and version of the program, one line."""
    return _run("--version").splitlines()[0]


def model_files(languages: Sequence[str]) -> dict[str, Path]:
    """The model file of each language; MissingModelError that lists those there are.

    Version 5 or newer: older ones do not say where their models lie.
    """
    head, *known = _run("--list-langs").splitlines()
    missing = sorted(set(languages) - set(known))
    if missing:
        raise MissingModelError(f"ocr tesseract: no model of {missing} here; there are {sorted(known)}")
    quoted = re.search('"(.*)"', head)
    if quoted is None:
        raise MissingModelError(
            f"ocr tesseract: {version()} does not say where its models lie; wanted version 5 or newer"
        )
    folder = Path(quoted[1])
    return {f"{language}.traineddata": folder / f"{language}.traineddata" for language in sorted(languages)}


def _run(*words: str, given: bytes = b"") -> str:
    """What the program says; TaskError where it fails."""
    one_thread = os.environ | {"OMP_THREAD_LIMIT": "1"}
    done = subprocess.run(["tesseract", *words], input=given, capture_output=True, env=one_thread, check=False)
    if done.returncode:
        raise TaskError(
            f"tesseract {' '.join(words)}: status {done.returncode}: {done.stderr.decode(errors='replace')}"
        )
    return done.stdout.decode("utf-8", errors="replace")


def _corners(words: list[dict[str, str]]) -> np.ndarray:
    places = np.array([[int(word[name]) for name in ("left", "top", "width", "height")] for word in words])
    left, top = places[:, :2].min(axis=0)
    right, bottom = (places[:, :2] + places[:, 2:]).max(axis=0)
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


def _score(words: list[dict[str, str]]) -> float:
    return min(max(float(np.mean([float(word["conf"]) for word in words])) / 100, 0.0), 1.0)
