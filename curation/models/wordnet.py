"""WordNet from a folder of its own files, and lists of synsets."""

import re
from functools import lru_cache
from pathlib import Path

from curation.errors import RecipeError
from curation.files import local_path, state
from curation.methods.wordnet import PARTS, WordNet, parse_exceptions, parse_index

SYNSET = re.compile(r"[nvasr]?(\d{8})")  # ImageNet's ids: part of speech and offset (n02084071)


def load(folder: str) -> WordNet:
    """WordNet of a folder that holds its index.* and *.exc files, about 60 MB, once per process.

    RecipeError names the files that are missing.
    """
    return _wordnet(folder, state(folder))


@lru_cache(maxsize=2)
def _wordnet(folder: str, _state: tuple) -> WordNet:
    path = Path(local_path(folder) or folder)
    names = [f"index.{part}" for part in PARTS] + [f"{part}.exc" for part in PARTS]
    missing = [name for name in names if not (path / name).is_file()]
    if missing:
        raise RecipeError(f"WordNet folder {folder}: no {missing}; wanted the `dict` folder of WordNet 3.0")
    texts = {name: (path / name).read_text("utf-8") for name in names}
    return WordNet(
        {part: parse_index(texts[f"index.{part}"]) for part in PARTS},
        {part: parse_exceptions(texts[f"{part}.exc"]) for part in PARTS},
    )


def synset_list(path: str, folder: str) -> frozenset[int]:
    """The offsets in a file with one synset id a line, such as ImageNet-21k's; each must be one of the WordNet given.

    RecipeError names the lines that are no id, and ids that this WordNet does not have: those of another version.
    """
    return _offsets(path, folder, state(path) + state(folder))


@lru_cache(maxsize=2)
def _offsets(path: str, folder: str, _state: tuple) -> frozenset[int]:
    wordnet = load(folder)
    lines = [line.strip() for line in Path(local_path(path) or path).read_text("utf-8").splitlines()]
    found = {line: SYNSET.fullmatch(line) for line in lines if line}
    wrong = [line[:40] for line, match in found.items() if match is None]
    if wrong or not found:
        raise RecipeError(
            f"synset list {path}: {wrong[:3]} of {len(found)} lines; wanted one id a line, like n02084071"
        )
    offsets = frozenset(int(match[1]) for match in found.values())
    known = {offset for lemmas in wordnet.synsets.values() for each in lemmas.values() for offset in each}
    absent = sorted(offsets - known)
    if absent:
        raise RecipeError(
            f"synset list {path}: {len(absent)} of {len(offsets)} synsets are not in {folder}, as {absent[0]:08d}: "
            "another version of WordNet? ImageNet's ids are those of WordNet 3.0"
        )
    return offsets
