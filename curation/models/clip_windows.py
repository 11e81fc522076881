"""Captions longer than a text tower's context: windows over their tokens, and the mean of the windows' vectors.

ClipMD (github.com/idan0405/ClipMD) takes the mean of the projected vectors before they get unit length; so do we.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from curation.errors import RecipeError
from curation.methods.windows import caption_windows

_CAPTIONS = 1024  # of which the windows are in memory at once: 46 MB where each has 1,000 words


def window_means(tokenizer: Any, encode: Callable, texts: list[str], mode: str, found: np.ndarray) -> None:
    """Write into the rows of `found` the mean vector of each caption's windows, float32, not of unit length.

    A caption of one window gets that window's vector to the last bit. `encode`: tokens (n, context) and how many of
    each row count -> rows (n, dim). RecipeError for a tokenizer other than CLIP's.
    """
    import torch
    from open_clip.tokenizer import SimpleTokenizer

    if not isinstance(tokenizer, SimpleTokenizer):
        raise RecipeError(
            f"windows = {mode!r}: made for CLIP's own tokenizer, the model has {type(tokenizer).__name__}"
        )
    for first in range(0, len(texts), _CAPTIONS):
        tokens, sizes, counts = windowed(tokenizer, texts[first : first + _CAPTIONS], mode)
        rows = encode(torch.from_numpy(tokens), sizes).astype(np.float64)
        starts = np.cumsum(counts) - counts
        found[first : first + len(counts)] = np.add.reduceat(rows, starts, axis=0) / counts[:, None]


def windowed(tokenizer: Any, texts: list[str], mode: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows of all captions: tokens, int64 (n, context); how many of each row count; windows of each caption.

    The rest of a row is 0, as open_clip pads, or in mode "clipmd" the end token. In that mode a window inside a caption
    has no end token, and the tower reads out its place of highest token id, as ClipMD's does.
    """
    start, end, context = tokenizer.sot_token_id, tokenizer.eot_token_id, tokenizer.context_length
    rows, counts = [], []
    for text in texts:
        ids = [start, *tokenizer.encode(text), end]
        places = caption_windows(len(ids), mode, context)
        pieces = [ids[a:b] for a, b in places]
        rows += pieces if mode == "clipmd" else [[start, *piece, end] for piece in pieces]
        counts.append(len(places))
    tokens = np.full((len(rows), context), end if mode == "clipmd" else 0, np.int64)
    for row, piece in zip(tokens, rows):
        row[: len(piece)] = piece
    return tokens, np.array([len(row) for row in rows]), np.array(counts)
