"""Heads: small networks on embeddings, from a local file.

Arrays NAME.weight (out, in) and NAME.bias (out), applied in the order of the numbers in NAME, and a declaration
(curation.models.declared). `mean` and `std` (in), where they are there, are taken off the vector and divided out first.
An array `prompts` (2, in) alone is Q16's: see curation.methods.q16. Formats: .safetensors, .npz without objects, and
.pt/.pth that hold nothing but tensors.
"""

import pickle
import re
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from curation.errors import MissingModelError
from curation.methods.heads import head_scores, q16
from curation.models.declared import KEY, Declared, read_declared

FORMATS = (".safetensors", ".npz", ".pt", ".pth")
PROMPTS = "prompts"


class Head(NamedTuple):
    """A loaded head. `prompts`: layers hold the prompt vectors alone."""

    declared: Declared
    layers: list[tuple[np.ndarray, np.ndarray]]
    prompts: np.ndarray | None

    @property
    def dim(self) -> int:
        """Numbers of the vectors that it reads."""
        return (self.layers[0][0] if self.prompts is None else self.prompts).shape[1]

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Score of each row (n, dim), float32 (n,)."""
        if self.prompts is not None:
            return q16(vectors, self.prompts).astype(np.float32)
        told = self.declared
        found = head_scores(
            vectors, self.layers, activation=told.activation or "none", output=told.output, index=told.index
        )
        return found.astype(np.float32)


def load_head(path: Path) -> Head:
    """The head in a file; MissingModelError says what is wrong with it."""
    arrays, inside = _READERS[path.suffix](path)
    declared = read_declared(path, inside)
    bad = [name for name, array in arrays.items() if not np.isfinite(np.asarray(array, np.float64)).all()]
    if bad:
        raise MissingModelError(f"scorer {path}: {bad[0]} has NaN or infinity")
    if set(arrays) == {PROMPTS}:
        prompts = arrays[PROMPTS]
        if prompts.ndim != 2 or len(prompts) != 2:
            raise MissingModelError(f"scorer {path}: prompts of shape {prompts.shape}, wanted (2, dim)")
        return Head(declared, [], prompts)
    return _network(path, arrays, declared)


def _network(path: Path, arrays: dict[str, np.ndarray], declared: Declared) -> Head:
    mean, std = arrays.pop("mean", None), arrays.pop("std", None)
    names = sorted({_layer(name) for name in arrays}, key=_order)
    layers = []
    for name in names:
        weight, bias = (arrays.get(f"{name}.{part}" if name else part) for part in ("weight", "bias"))
        known = {f"{name}.weight", f"{name}.bias"} if name else {"weight", "bias"}
        others = [other for other in arrays if _layer(other) == name and other not in known]
        if weight is None or weight.ndim != 2 or others:
            raise MissingModelError(
                f"scorer {path}: layer {name or '(no name)'} has {sorted(o for o in arrays if _layer(o) == name)}; "
                "wanted NAME.weight (out, in) and NAME.bias (out): a plain network, no convolutions or norms"
            )
        layers.append((weight, np.zeros(len(weight)) if bias is None else bias))
    _check_shapes(path, names, layers, declared)
    if mean is not None or std is not None:
        layers[0] = _folded(path, layers[0], mean, std)
    return Head(declared, layers, None)


def _check_shapes(path: Path, names: list[str], layers: list, declared: Declared) -> None:
    if not layers:
        raise MissingModelError(f"scorer {path}: no layers; wanted arrays NAME.weight and NAME.bias")
    for name, (weight, bias), (before, _) in zip(names, layers, [(layers[0][0].T, None), *layers]):
        if bias.shape != (len(weight),) or weight.shape[1] != len(before):
            raise MissingModelError(
                f"scorer {path}: layer {name} has weight {weight.shape}, bias {bias.shape} after {len(before)} values"
            )
    if len(layers) > 1 and declared.activation is None:
        raise MissingModelError(
            f"scorer {path}: {len(layers)} layers, and not said what stands between them; declare activation: none, "
            "relu or tanh (docs/safety.md)"
        )
    outputs = len(layers[-1][0])
    if declared.index >= outputs or (declared.output == "softmax" and outputs == 1):
        raise MissingModelError(
            f"scorer {path}: {outputs} outputs; declared are index {declared.index} and output {declared.output!r}"
        )


def _folded(path: Path, layer: tuple[np.ndarray, np.ndarray], mean: np.ndarray, std: np.ndarray) -> tuple:
    """The first layer with the normalisation of its input in it."""
    weight, bias = (np.asarray(array, np.float64) for array in layer)
    size = (weight.shape[1],)
    mean = np.zeros(size) if mean is None else np.asarray(mean, np.float64).reshape(-1)
    std = np.ones(size) if std is None else np.asarray(std, np.float64).reshape(-1)
    if mean.shape != size or std.shape != size or not (std > 0).all():
        raise MissingModelError(f"scorer {path}: mean {mean.shape} and std {std.shape}, wanted {size}, std above 0")
    return weight / std, bias - (weight / std) @ mean


def _layer(name: str) -> str:
    return name.rpartition(".")[0]


def _order(name: str) -> list:
    """Sorts layers.2 before layers.10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name)]


def _safetensors(path: Path) -> tuple[dict[str, np.ndarray], str | None]:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise MissingModelError(f"scorer {path}: safetensors is not installed: pip install 'curation[clip]'") from error
    try:
        with safe_open(str(path), "numpy") as file:
            names = list(file.keys())
            arrays = {name: file.get_tensor(name) for name in names}
            return arrays, (file.metadata() or {}).get(KEY)
    except (SafetensorError, TypeError) as error:  # TypeError: bfloat16, which numpy has not
        raise MissingModelError(f"scorer {path}: does not load: {error}") from error


def _npz(path: Path) -> tuple[dict[str, np.ndarray], str | None]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (ValueError, OSError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise MissingModelError(f"scorer {path}: does not load without pickle: {error}") from error
    inside = arrays.pop(KEY, None)
    return arrays, None if inside is None else str(inside)


def _pt(path: Path) -> tuple[dict[str, np.ndarray], str | None]:
    try:
        import torch
    except ImportError as error:
        raise MissingModelError(f"scorer {path}: torch is not installed: pip install 'curation[clip]'") from error
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise MissingModelError(f"scorer {path}: is not loaded, as it is not weights alone: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise MissingModelError(f"scorer {path}: wanted a state dict, names to tensors")
    return {name: value.detach().float().numpy() for name, value in found.items()}, None


_READERS = {".safetensors": _safetensors, ".npz": _npz, ".pt": _pt, ".pth": _pt}
