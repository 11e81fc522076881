"""Labels of clusters in text files: a taxonomy that people gave the clusters after looking at them."""

from functools import lru_cache

from curation.errors import RecipeError
from curation.files import local_path, state
from curation.sources.lines import open_text

WANTED = "wanted a text file, NUMBER<TAB>LABEL a line"


def label_file(path: str) -> str:
    """The path, where it holds labels; RecipeError otherwise. For settings: refused before any work."""
    read_labels(path)
    return path


def read_labels(path: str, clusters: int | None = None) -> dict[int, str]:
    """Number of the cluster -> its label, of a text file; empty lines and those that begin with # do not count.

    RecipeError where there is no such file, a line is another, a number comes twice, or is not below `clusters`.
    """
    return _read(path, clusters, state(path))


@lru_cache(maxsize=4)
def _read(path: str, clusters: int | None, _state: tuple) -> dict[int, str]:
    found: dict[int, str] = {}
    try:
        with open_text(local_path(path) or path) as file:
            lines = [line.strip() for line in file]
    except OSError as error:
        raise RecipeError(f"{path}: {WANTED}: {error}") from error
    for place, line in enumerate(lines, 1):
        number, tab, label = line.partition("\t")
        if not line or line.startswith("#"):
            continue
        if not (tab and label.strip() and number.isascii() and number.isdigit()):
            raise RecipeError(f"{path}, line {place}: {line[:80]!r}; {WANTED}")
        if int(number) in found or int(number) >= (clusters or int(number) + 1):
            why = "comes twice" if int(number) in found else f"is none of {clusters} clusters"
            raise RecipeError(f"{path}, line {place}: number {number} {why}")
        found[int(number)] = label.strip()
    return found
