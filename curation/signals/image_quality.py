"""What the pixels of a picture alone say of its quality: blur, light, sameness."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from PIL import Image

from curation.signal import signal

SIDE = 512  # pixels of the longer side at which all is measured: so that resolution alone changes little
RADIUS = 4  # the re-blur averages 9 pixels (Crete and others, section 3)
DARK, BRIGHT = 16, 239  # luma at the ends of the scale, a sixteenth of it each; ours
LEVELS = 16  # per channel, at which colours count as the same; ours


@signal(pa.float32(), version=2)
def image_blur(pixels_bounded: list[np.ndarray | None]) -> pa.Array:
    """How blurred the picture is, float32, shape (n,), from 0 (sharp) to 1; null where the picture is, or has no edge.

    The share of the differences between neighbours that is still there after averaging 9 of them, the larger of rows
    and columns. "The Blur Effect" (Crete, Dolmiere, Ladret, Nicolas; SPIE 6492, 2007), of luma at 512 px.

    >>> edge = np.zeros((64, 64, 3), np.uint8)
    >>> edge[:, 32:] = 255
    >>> [round(v, 2) for v in image_blur([edge]).to_pylist()]
    [0.11]
    """
    return _measured(pixels_bounded, _blur)


@signal(pa.float32(), version=2)
def image_entropy(pixels_bounded: list[np.ndarray | None]) -> pa.Array:
    """Entropy of the luma in bits, float32, shape (n,), 0 (one grey) to 8; null where the picture is.

    >>> image_entropy([np.full((4, 4, 3), 7, np.uint8)]).to_pylist()
    [0.0]
    """
    return _measured(pixels_bounded, _entropy)


@signal(pa.float32(), version=2)
def image_solid_share(pixels_bounded: list[np.ndarray | None]) -> pa.Array:
    """Share of the pixels that have the most frequent colour, float32, shape (n,), above 0 to 1; null where the picture
    is. Colours count as the same when all channels fall into the same sixteenth.

    >>> image_solid_share([np.full((4, 4, 3), 7, np.uint8)]).to_pylist()
    [1.0]
    """
    return _measured(pixels_bounded, _solid)


@signal(pa.float32(), version=2)
def image_dark_share(pixels_bounded: list[np.ndarray | None]) -> pa.Array:
    """Share of the pixels with a luma below 16 of 255, float32, shape (n,), in [0, 1]; null where the picture is."""
    return _measured(pixels_bounded, lambda pixels: float((_luma(pixels) < DARK).mean()))


@signal(pa.float32(), version=2)
def image_bright_share(pixels_bounded: list[np.ndarray | None]) -> pa.Array:
    """Share of the pixels with a luma above 239 of 255, float32, shape (n,), in [0, 1]; null where the picture is."""
    return _measured(pixels_bounded, lambda pixels: float((_luma(pixels) > BRIGHT).mean()))


def _measured(pictures: list[np.ndarray | None], measure: Callable[[np.ndarray], float | None]) -> pa.Array:
    return pa.array([None if pixels is None else measure(_reduced(pixels)) for pixels in pictures], pa.float32())


def _reduced(pixels: np.ndarray) -> np.ndarray:
    """The picture with a longer side of at most SIDE pixels."""
    longer = max(pixels.shape[:2])
    if longer <= SIDE:
        return pixels
    height, width = (max(1, round(length * SIDE / longer)) for length in pixels.shape[:2])
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))


def _luma(pixels: np.ndarray) -> np.ndarray:
    """Rec. 601 luma, uint8, as Pillow's."""
    return np.asarray(Image.fromarray(pixels).convert("L"))


def _blur(pixels: np.ndarray) -> float | None:
    luma = _luma(pixels).astype(np.float32)
    found = [share for share in (_left_after_blur(luma), _left_after_blur(luma.T)) if share is not None]
    return max(found, default=None)


def _left_after_blur(luma: np.ndarray) -> float | None:
    """Share of the differences along rows that averaging leaves; None where there are none."""
    width = 2 * RADIUS + 1
    sums = np.cumsum(np.pad(luma, ((0, 0), (RADIUS + 1, RADIUS)), mode="edge"), axis=1, dtype=np.float64)
    blurred = (sums[:, width:] - sums[:, :-width]) / width
    sharp, soft = np.abs(np.diff(luma, axis=1)), np.abs(np.diff(blurred, axis=1))
    total = float(sharp.sum())
    return None if total == 0 else 1.0 - float(np.maximum(sharp - soft, 0).sum()) / total


def _entropy(pixels: np.ndarray) -> float:
    counts = np.bincount(_luma(pixels).ravel(), minlength=256)
    shares = counts[counts > 0] / counts.sum()
    return float(abs((shares * np.log2(shares)).sum()))  # abs: minus zero is zero


def _solid(pixels: np.ndarray) -> float:
    steps = (pixels // (256 // LEVELS)).astype(np.int32)
    colours = (steps[..., 0] * LEVELS + steps[..., 1]) * LEVELS + steps[..., 2]
    return float(np.bincount(colours.ravel()).max() / colours.size)
