"""Evaluation sets in a file of `curate calibrate`: vectors of pictures, captions, the threshold of the descriptor."""

import json
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.errors import RecipeError
from curation.files import absolute, committing, local_path, state
from curation.methods.leakage import caption_ngrams
from curation.models.named import file_digest
from curation.schema import IMAGE
from curation.vectors import as_matrix

KEY = b"curation.evaluation"
SCHEMA = pa.schema(
    [
        ("set", pa.string()),
        ("item", pa.string()),
        ("caption", pa.string()),
        ("vector", pa.binary()),
        ("image", IMAGE),
    ]
)
WANTED = "wanted a file of curate calibrate"


class Evaluation(NamedTuple):
    """`items`: the columns of SCHEMA, a row each; `vectors` float32 (n, d); `ngrams` of all captions.

    `told`: threshold, precision, recall, and of the descriptor its signal, key and model.
    """

    items: pa.Table
    vectors: np.ndarray
    ngrams: frozenset[str]
    told: dict[str, Any]


def evaluation_file(path: str) -> str:
    """The path, where it holds evaluation sets; RecipeError otherwise. For settings: refused before any work."""
    load_evaluation(path)
    return path


def load_evaluation(path: str) -> Evaluation:
    """What `write_evaluation` wrote; RecipeError where there is no such file or it is of another kind."""
    return _read(path, state(path))


@lru_cache(maxsize=2)
def _read(path: str, _state: tuple) -> Evaluation:
    try:
        items = pq.read_table(local_path(path) or path)
    except (OSError, pa.ArrowInvalid) as error:
        raise RecipeError(f"{path}: {WANTED}: {error}") from error
    told = (items.schema.metadata or {}).get(KEY)
    if told is None or items.schema.names != SCHEMA.names or not len(items):
        raise RecipeError(f"{path}: {WANTED}; found columns {items.schema.names}")
    vectors, valid = as_matrix(items["vector"].combine_chunks())
    if not valid.all():
        raise RecipeError(f"{path}: row {int(valid.argmin())} has no vector; {WANTED}")
    ngrams = frozenset().union(*(caption_ngrams(text or "") for text in items["caption"].to_pylist()))
    return Evaluation(items, vectors, ngrams, json.loads(told))


def write_evaluation(path: str, items: pa.Table, told: dict[str, Any]) -> None:
    """Write items (the columns of SCHEMA) and what goes with them, under `path` at once and whole."""
    table = items.cast(SCHEMA).replace_schema_metadata({KEY: json.dumps(told, sort_keys=True).encode()})
    with committing(path) as file:
        pq.write_table(table, file, compression="zstd")


def digest(path: str) -> str:
    """SHA-256 of the file, 64 hex."""
    return file_digest(path)


def absolute_name(path: str) -> str:
    """The path made absolute."""
    return absolute(path)


def check_descriptor(path: str, key: str, settings: dict[str, Any]) -> None:
    """RecipeError unless the file's vectors are by the signal of that key: a threshold holds for one descriptor."""
    told = load_evaluation(path).told["descriptor"]
    if told["key"] != key:
        raise RecipeError(
            f"{path}: its vectors and threshold are of {told['signal']} {told['settings']}, here it is {settings}, "
            "or the weights or the version differ; run curate calibrate with this model"
        )
