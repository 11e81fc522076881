"""Vectors in .npy files: centroids, and pictures to be like."""

from functools import lru_cache

import numpy as np

from curation.errors import RecipeError
from curation.files import local_path, state

ROWS = 1 << 14  # looked at together: 50 MB at 768 numbers


def vector_file(path: str) -> str:
    """The path, where it is a .npy of vectors; RecipeError otherwise. For settings: refused before any work."""
    load(path)
    return path


def load(path: str) -> np.ndarray:
    """Vectors of a .npy, float16, float32 or float64 (n, d), n and d at least 1, mapped and not in memory.

    RecipeError where there is no such file, it is of another type, or has NaN or infinity.
    """
    return _mapped(path, state(path))


@lru_cache(maxsize=4)
def _mapped(path: str, _state: tuple) -> np.ndarray:
    wanted = "wanted a .npy of vectors, numbers of shape (n, d)"
    try:
        array = np.load(local_path(path) or path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise RecipeError(f"no file {path}; {wanted}") from error
    except (ValueError, EOFError, OSError) as error:
        raise RecipeError(f"{path}: {wanted}: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or array.ndim != 2 or not array.size:
        found = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else "several arrays"
        raise RecipeError(f"{path}: {wanted}, found {found}")
    for start in range(0, len(array), ROWS):
        if not np.isfinite(array[start : start + ROWS]).all():
            raise RecipeError(f"{path}: NaN or infinity in rows {start} to {start + ROWS}; {wanted}")
    return array
