"""Lists of prompts in text files, and their vectors by a CLIP model: the classes of a zero-shot classifier."""

from functools import lru_cache
from typing import Any

import numpy as np

from curation.errors import RecipeError
from curation.files import local_path, state
from curation.sources.lines import open_text


def prompt_file(path: str) -> str:
    """The path, where it holds prompts; RecipeError otherwise. For settings: refused before any work."""
    prompt_lines(path)
    return path


def prompt_lines(path: str) -> tuple[str, ...]:
    """The prompts of a text file, one a line, without the blanks around them; empty lines do not count.

    RecipeError where there is no such file, it is no UTF-8, or has no prompt or one twice.
    """
    return _lines(path, state(path))


@lru_cache(maxsize=4)
def _lines(path: str, _state: tuple) -> tuple[str, ...]:
    wanted = "wanted a text file, a prompt a line"
    try:
        with open_text(local_path(path) or path) as file:
            lines = tuple(line.strip() for line in file if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: {wanted}: {error}") from error
    if len(set(lines)) < max(1, len(lines)):
        raise RecipeError(f"{path}: {wanted}, each once; found {len(lines)}, {len(set(lines))} different")
    return lines


def prompt_vectors(path: str, clip: str, precision: str) -> np.ndarray:
    """Unit vectors of the prompts by the model `clip`, float32 (k, d), rounded to float16 as all vectors are."""
    from curation.models.clip import here

    return _vectors(path, prompt_lines(path), here(clip, precision))


@lru_cache(maxsize=4)
def _vectors(path: str, lines: tuple[str, ...], clip: Any) -> np.ndarray:
    from curation.vectors import as_matrix, from_matrix

    vectors, valid = as_matrix(from_matrix(clip.embed_texts(list(lines))))
    if not valid.all():
        raise RecipeError(f"{path}: model {clip.source.name!r} gives no vector for {lines[int(valid.argmin())]!r}")
    vectors.flags.writeable = False
    return vectors
