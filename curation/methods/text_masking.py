"""Text in pictures painted over (T-MARS, arXiv:2307.03132, section 4): the pixels, given the boxes."""

from collections.abc import Sequence

import numpy as np

PAD, RING = 2, 3  # pixels; the paper's masking code is not public: both are ours

Box = Sequence[int]


def mask_boxes(pixels: np.ndarray, boxes: Sequence[Box], *, pad: int = PAD, ring: int = RING) -> np.ndarray | None:
    """A copy of `pixels` (H, W, 3) uint8 in which each box has the mean colour of its surroundings; null where no pixel
    lies outside the boxes.

    A box is (r0, c0, r1, c1), half-open, in pixels; it is widened by `pad` on each side and cut at the border. Its
    colour is the mean, rounded half up, of the pixels of the original picture that are at most `ring` away and in no
    box, or of all pixels in no box where there are none. Pixels outside the boxes stay as they are; later boxes are
    painted over earlier ones. T-MARS (arXiv:2307.03132), section 4; the details are ours.

    >>> picture = np.full((6, 6, 3), 100, np.uint8)
    >>> picture[:, 0] = 40
    >>> mask_boxes(picture, [(2, 1, 4, 3)], pad=0, ring=1)[2, 1].tolist()
    [80, 80, 80]
    """
    height, width = pixels.shape[:2]
    spans = [_span(box, pad, height, width) for box in boxes]
    masked = np.zeros((height, width), bool)
    for rows, columns in spans:
        masked[rows, columns] = True
    if masked.all() and masked.size:
        return None
    painted, everywhere = pixels.copy(), None
    for rows, columns in spans:
        near = (_widened(rows, ring, height), _widened(columns, ring, width))
        around = pixels[near][~masked[near]]
        if not len(around):
            everywhere = pixels[~masked] if everywhere is None else everywhere
            around = everywhere
        painted[rows, columns] = _mean(around)
    return painted


def masked_share(shape: tuple[int, ...], boxes: Sequence[Box], *, pad: int = 0) -> float:
    """Share of a picture of `shape` (H, W, ...) that lies in any of the boxes, in [0, 1]; NaN for an empty picture.

    >>> masked_share((6, 6), [(2, 1, 4, 3), (2, 1, 4, 2)])
    0.1111111111111111
    """
    masked = np.zeros(shape[:2], bool)
    for box in boxes:
        masked[_span(box, pad, *shape[:2])] = True
    return float(masked.mean()) if masked.size else float("nan")


def _span(box: Box, pad: int, height: int, width: int) -> tuple[slice, slice]:
    top, left, bottom, right = box
    rows = slice(min(max(top - pad, 0), height), min(max(bottom + pad, 0), height))
    return rows, slice(min(max(left - pad, 0), width), min(max(right + pad, 0), width))


def _widened(span: slice, by: int, end: int) -> slice:
    return slice(max(span.start - by, 0), min(span.stop + by, end))


def _mean(colours: np.ndarray) -> np.ndarray:
    """Mean of (n, 3) colours, each channel rounded half up, in whole numbers."""
    count = len(colours)
    return (2 * colours.sum(axis=0, dtype=np.int64) + count) // (2 * count)
