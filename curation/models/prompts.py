"""Lists of prompts in text files, and their vectors by a CLIP model: the classes of a zero-shot classifier."""

from functools import lru_cache

import numpy as np

from curation.errors import RecipeError
from curation.files import local_path
from curation.sources.lines import open_text


def prompt_file(path: str) -> str:
    """The path, where it holds prompts; RecipeError otherwise. For settings: refused before any work."""
    prompt_lines(path)
    return path


@lru_cache(maxsize=4)
def prompt_lines(path: str) -> tuple[str, ...]:
    """The prompts of a text file, one a line, without the blanks around them; empty lines do not count.

    RecipeError where there is no such file, it is no UTF-8, or has no prompt or one twice.
    """
    wanted = "wanted a text file, a prompt a line"
    try:
        with open_text(local_path(path) or path) as file:
            lines = tuple(line.strip() for line in file if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: {wanted}: {error}") from error
    if len(set(lines)) < max(1, len(lines)):
        raise RecipeError(f"{path}: {wanted}, each once; found {len(lines)}, {len(set(lines))} different")
    return lines


@lru_cache(maxsize=4)
def prompt_vectors(path: str, clip: str, precision: str) -> np.ndarray:
    """Unit vectors of the prompts by the model `clip`, float32 (k, d), rounded to float16 as all vectors are."""
    from curation.models.clip import here
    from curation.vectors import as_matrix, from_matrix

    vectors, valid = as_matrix(from_matrix(here(clip, precision).embed_texts(list(prompt_lines(path)))))
    if not valid.all():
        raise RecipeError(f"{path}: model {clip!r} gives no vector for {prompt_lines(path)[int(valid.argmin())]!r}")
    vectors.flags.writeable = False
    return vectors
