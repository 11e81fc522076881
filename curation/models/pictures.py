"""Pictures as a CLIP model reads them: resized and cropped, in its own way or in a faster one that is all but equal.

The faster one resizes in whole numbers on vector registers (torch's antialiased kernels for bytes, the method of
pillow-simd): 0 or 1 grey level from Pillow's, at least 69 dB on figures and photographs (docs/embedding.md).
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

Fit = Callable[[np.ndarray], np.ndarray]


def fitting(transform: Any, settings: Any) -> tuple[Fit, Fit]:
    """(exact, fast): uint8 RGB of any size -> uint8 RGB of the model's input size.

    `transform` is open_clip's for `settings`, its PreprocessCfg. Exact is all of it that comes before the numbers are
    scaled, by Pillow. Where fast knows no short cut (pictures squashed or padded, inputs that are not square) it is
    the same.
    """
    *geometry, _, _ = transform.transforms  # to a tensor; normalise

    def exact(image: np.ndarray) -> np.ndarray:
        picture = Image.fromarray(image)
        for step in geometry:
            picture = step(picture)
        return np.asarray(picture)

    height, width = settings.size if isinstance(settings.size, tuple | list) else (settings.size, settings.size)
    known = settings.resize_mode == "shortest" and settings.interpolation in ("bicubic", "bilinear")
    if height != width or not known:
        return exact, exact
    warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # nothing is written to it
    return exact, lambda image: _resized(image, height, settings.interpolation)


def _resized(image: np.ndarray, side: int, interpolation: str) -> np.ndarray:
    """The shorter side resized to `side`, then the middle square; sizes as torchvision rounds them."""
    import torch

    height, width = image.shape[:2]
    shorter = min(height, width)
    size = (int(side * height / shorter), int(side * width / shorter))
    # Pixels lie together, as the vector kernels want them.
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
    if size != (height, width):
        pixels = torch.nn.functional.interpolate(pixels, size, mode=interpolation, antialias=True)
    top, left = (round((length - side) / 2.0) for length in size)
    return pixels[0, :, top : top + side, left : left + side].permute(1, 2, 0).numpy()
