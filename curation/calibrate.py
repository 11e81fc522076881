"""`curate calibrate`: evaluation pictures -> a file of their vectors with the score from which a picture is one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import RecipeError, SchemaError, StaleOutputError
from curation.evaluation_items import evaluation_items
from curation.files import absolute, exists
from curation.graph import Graph, Node
from curation.methods.leakage import leak_threshold
from curation.methods.uniforms import keyed_uniforms
from curation.models.evaluation import SCHEMA, write_evaluation
from curation.vectors import as_matrix, exact_cosine, to_binary

BLOCK = 256  # altered copies compared with all pictures at once


def calibrate(
    source: list[str],
    *,
    out: str,
    clip: str = "sample-clip",
    precision: float = 0.99,
    sample: int = 1000,
    threshold: float | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Write the evaluation pictures of SOURCE, and the score from which on a picture is one of them, to the file OUT.

    SOURCE is NAME=PATH, NAME the set's name, PATH a folder of pictures, plain tars or both, a tar, a .txt file with a
    path a line, or a pool (`curate ingest` makes one of tables and Hugging Face datasets); a PATH alone is named by its
    last part. Pictures are embedded by CLIP, a model as
    for image_embedding. SAMPLE of them by keyed hash are altered (JPEG of quality 30, half the size, middle 80 %,
    mirrored, grey, brighter): the threshold is the least at which of the copies, each once with its original among the
    pictures and once without, PRECISION of those that score above it have it. Or THRESHOLD, as published for the
    descriptor. The stage decontaminate takes the file, which holds for this model and version alone.
    """
    if exists(out):
        raise StaleOutputError(f"{out} exists: name another file")
    if not 0 < precision <= 1 or sample < 1:
        raise RecipeError(f"calibrate: precision {precision}, sample {sample}; wanted a share and at least 1")
    node = Graph({"clip": clip}).node("image_embedding")
    items = pa.concat_tables(evaluation_items(each) for each in source)
    vectors = to_binary(_embedded(node, items["image"].to_pylist(), [_as_is])[0])
    sound = np.asarray(vectors.is_valid())
    there = items.append_column("vector", vectors).filter(pa.array(sound))
    told = {"threshold": threshold}
    if threshold is None:
        told = _calibrated(node, there, precision, sample, seed)
    settings = dict(node.settings)
    told["descriptor"] = {"signal": "image_embedding", "key": node.key, "settings": settings}
    write_evaluation(absolute(out), there.select(SCHEMA.names), told)
    return {"file": out, "items": len(there), "unreadable": int((~sound).sum())} | told


def _embedded(node: Node, pointers: list[dict], changes: list[Callable]) -> list[pa.Array]:
    """image_embedding of each picture after each of the changes, by the function and settings of the signal itself."""
    from curation.images import batches

    decoded = node.inputs[0]
    found: list[list[pa.Array]] = [[] for _ in changes]
    for _, batch in batches(pointers, decoded=[decoded]):
        pixels = batch.decoded(decoded)
        for each, change in zip(found, changes):
            altered = [None if picture is None else change(picture) for picture in pixels]
            each.append(node.function(altered, **dict(node.settings)))
    return [pa.concat_arrays(each) for each in found]


def _calibrated(node: Node, items: pa.Table, precision: float, sample: int, seed: int) -> dict[str, Any]:
    vectors, _ = as_matrix(items["vector"].combine_chunks())
    _, first, number = np.unique(vectors, axis=0, return_index=True, return_inverse=True)
    if len(first) < 2:
        raise RecipeError(f"calibrate: {len(first)} different pictures that can be read, wanted at least 2")
    names = pc.binary_join_element_wise(items["set"], items["item"], "\0").take(pa.array(first)).combine_chunks()
    chosen = np.sort(first[np.argsort(keyed_uniforms(seed, "calibrate", names), kind="stable")[:sample]])
    copies = _embedded(node, items["image"].take(pa.array(chosen)).to_pylist(), list(ALTERED.values()))
    own = number.reshape(-1)[chosen]
    parts = [_scores(copy, own, vectors[first]) for copy in copies]
    scores, same = (np.concatenate(each) for each in zip(*parts))
    try:
        threshold, found, recall = leak_threshold(scores, same, precision)
    except SchemaError as error:
        raise RecipeError(f"calibrate: {error}; name a lower precision or more pictures") from error
    halves = {name: (part[0][: len(part[0]) // 2], part[1][: len(part[0]) // 2]) for name, part in zip(ALTERED, parts)}
    each = {name: float(((s > threshold) & hit).mean()) for name, (s, hit) in halves.items()}
    return {"threshold": threshold, "precision": found, "recall": recall, "recall_of": each, "sample": len(chosen)}


def _scores(copies: pa.Array, own: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each copy twice the cosine to the nearest known vector: with its own among them, and without.

    Second: whether the nearest is its own.
    """
    copied, valid = as_matrix(copies)
    copied, own = copied[valid], own[valid]
    unit = known / np.linalg.norm(known, axis=1, keepdims=True)
    best, other = np.empty(len(own), np.int64), np.empty(len(own), np.int64)
    for start in range(0, len(own), BLOCK):
        rows = slice(start, start + BLOCK)
        products = copied[rows] @ unit.T
        best[rows] = products.argmax(axis=1)
        products[np.arange(len(products)), own[rows]] = -np.inf
        other[rows] = products.argmax(axis=1)
    scores = [exact_cosine(copied, known[best]), exact_cosine(copied, known[other])]
    return np.concatenate(scores), np.concatenate([best == own, np.zeros(len(own), bool)])


def _as_is(pixels: np.ndarray) -> np.ndarray:
    return pixels


def _jpeg(pixels: np.ndarray) -> np.ndarray:
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=30)
    return np.asarray(Image.open(file).convert("RGB"))


def _half(pixels: np.ndarray) -> np.ndarray:
    from PIL import Image

    height, width = pixels.shape[:2]
    return np.asarray(Image.fromarray(pixels).resize((max(1, width // 2), max(1, height // 2)), Image.Resampling.BOX))


def _middle(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    return pixels[height // 10 : height - height // 10, width // 10 : width - width // 10]


def _mirrored(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels[:, ::-1])


def _grey(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(pixels.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)


def _brighter(pixels: np.ndarray) -> np.ndarray:
    return np.minimum(pixels * 1.3, 255).astype(np.uint8)


# What re-encoding, thumbnails, cropping and editing do to a picture on its way through the web.
ALTERED = {"jpeg": _jpeg, "half": _half, "middle": _middle, "mirrored": _mirrored, "grey": _grey, "brighter": _brighter}
