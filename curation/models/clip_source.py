"""Where a CLIP model comes from: a name -> its configuration and weights, found before any work starts.

sample-clip                      packaged, small: for tests and for trying things out
local-dir:DIR                    DIR/open_clip_config.json and DIR/open_clip_model.safetensors (or model.safetensors)
ViT-B-32@/path/x.safetensors     an architecture of open_clip with a weights file (.pt is read as tensors only)
ViT-B-32/openai                  an architecture and pretrained tag of open_clip, from its cache or downloaded
"""

import difflib
import hashlib
import importlib.util
import json
import os
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from curation.errors import MissingModelError
from curation.files import state as file_state
from curation.models.named import file_digest

PACKAGED = ("sample-clip",)
WEIGHTS_FILES = ("open_clip_model.safetensors", "model.safetensors")  # open_clip's names, in its order
CONFIG = "open_clip_config.json"
# Of Hugging Face's tokenizers: tokenizer.json, vocab.txt, spiece.model and the like.
TOKENIZER_FILES = (".json", ".txt", ".model")
# What open_clip's PreprocessCfg takes; a pretrained tag's settings say where the weights lie, too.
PREPROCESSING = ("size", "mode", "mean", "std", "interpolation", "resize_mode", "fill_color")
_WAYS = (
    f"a CLIP model is named by one of {', '.join(PACKAGED)} (packaged); local-dir:DIR with open_clip_config.json and "
    f"{' or '.join(WEIGHTS_FILES)}; ARCHITECTURE@FILE.safetensors (or .pt holding tensors only), such as "
    "ViT-B-32@/models/b32.safetensors; ARCHITECTURE/TAG, such as ViT-B-32/openai, downloaded by open_clip"
)


@dataclass(frozen=True)
class ModelSource:
    """One model: `config` as in open_clip_config.json, the weights file, and open_clip's name of the tokenizer.

    `tokenizer` is None where the configuration alone says which one it is.
    """

    name: str
    config: dict[str, Any]
    weights: Traversable
    tokenizer: str | None = None


def resolve(name: str) -> ModelSource:
    """The configuration and weights file of a model. Raises MissingModelError that lists the ways to get one.

    Reads no weights and imports no torch, but for ARCHITECTURE/TAG: the table of tags is open_clip's own.
    """
    if name in PACKAGED:
        return _packaged(name)
    if name.startswith("local-dir:"):
        return _local_dir(name, Path(name.removeprefix("local-dir:")))
    architecture, at, path = name.partition("@")
    if at:
        return _weights_file(name, architecture, Path(path))
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        return _pretrained(name, *name.split("/"))
    raise _missing(name, "is no such name")


def absolute_name(name: str) -> str:
    """The name with the path in it, if it has one, made absolute.

    >>> absolute_name("sample-clip"), absolute_name("ViT-B-32@/x/b32.pt"), absolute_name("local-dir:/models/../m")
    ('sample-clip', 'ViT-B-32@/x/b32.pt', 'local-dir:/m')
    """
    for mark in ("local-dir:", "@"):
        head, found, path = name.partition(mark)
        if found:
            return f"{head}{found}{os.path.abspath(path)}"
    return name


def input_side(name: str) -> int:
    """Pixels of the longer side of the pictures that a model reads; 0 where its configuration does not say."""
    size = resolve(name).config["model_cfg"].get("vision_cfg", {}).get("image_size", 0)
    return max(size) if isinstance(size, list | tuple) else int(size)


def digest(name: str) -> str:
    """SHA-256 of a model's weights file, 64 hex; read once per path, size and time of change."""
    weights = resolve(name).weights
    if not isinstance(weights, Path):  # inside a zip
        return hashlib.sha256(weights.read_bytes()).hexdigest()
    return file_digest(str(weights))


def state(name: str) -> tuple:
    """What tells a model in local files from a later one of the same name; the files of the others do not change."""
    path = name.removeprefix("local-dir:") if name.startswith("local-dir:") else name.partition("@")[2]
    return file_state(path) if path else ()


def setup(name: str) -> str:
    """64 hex that stand for what a vector depends on beside the weights: architecture, preprocessing, tokenizer."""
    source = resolve(name)
    prepared = {k: v for k, v in source.config.get("preprocess_cfg", {}).items() if k in PREPROCESSING}
    told: list[Any] = [source.config["model_cfg"], prepared, source.tokenizer and _tokenizer(source.tokenizer)]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _tokenizer(name: str) -> Any:
    """A tokenizer by open_clip's name for it; of a folder, what its files hold."""
    if not name.startswith("local-dir:"):
        return name
    folder = Path(name.removeprefix("local-dir:"))
    files = sorted(path for path in folder.iterdir() if path.suffix in TOKENIZER_FILES and path.name != CONFIG)
    return [[path.name, file_digest(str(path))] for path in files]


def _missing(name: str, why: str) -> MissingModelError:
    return MissingModelError(f"model {name!r} {why}; {_WAYS}")


def _packaged(name: str) -> ModelSource:
    package = files("curation")
    config, weights = package / f"models/{name}.json", package / f"data/{name}.safetensors"
    if not (config.is_file() and weights.is_file()):
        raise _missing(name, "is not in this build of the package")
    return ModelSource(name, _read_config(name, config), weights)


def _local_dir(name: str, folder: Path) -> ModelSource:
    config = folder / CONFIG
    weights = next((folder / n for n in WEIGHTS_FILES if (folder / n).is_file()), None)
    if not config.is_file() or weights is None:
        found = sorted(p.name for p in folder.iterdir())[:10] if folder.is_dir() else "no such folder"
        raise _missing(name, f"lacks its configuration or weights (found: {found})")
    return ModelSource(name, _read_config(name, config), weights, name)


def _read_config(name: str, file: Traversable) -> dict[str, Any]:
    try:
        config = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise _missing(name, f"has a configuration that is not JSON ({error})") from error
    if not isinstance(config, dict) or "model_cfg" not in config:
        raise _missing(name, "has a configuration without model_cfg")
    return config


def _weights_file(name: str, architecture: str, path: Path) -> ModelSource:
    config = {"model_cfg": _architecture(name, architecture)}
    if path.suffix not in (".safetensors", ".pt"):
        raise _missing(name, f"has weights of type {path.suffix!r}, wanted .safetensors or .pt")
    if not path.is_file():
        raise _missing(name, "has no such weights file")
    return ModelSource(name, config, path, architecture)


def _architecture(name: str, architecture: str) -> dict[str, Any]:
    """The configuration that open_clip ships for an architecture, read without importing it."""
    spec = importlib.util.find_spec("open_clip")
    if spec is None or not spec.submodule_search_locations:
        raise _missing(name, "needs open_clip: pip install 'curation[clip]'")
    folder = Path(spec.submodule_search_locations[0], "model_configs")
    if not re.fullmatch(r"[\w.-]+", architecture) or not (folder / f"{architecture}.json").is_file():
        close = difflib.get_close_matches(architecture, [p.stem for p in folder.glob("*.json")], 5)
        raise _missing(name, f"has an unknown architecture (close: {close})")
    return json.loads((folder / f"{architecture}.json").read_text("utf-8"))


def _pretrained(name: str, architecture: str, tag: str) -> ModelSource:
    model = _architecture(name, architecture)
    ensure_torchvision()
    from open_clip import pretrained

    settings = pretrained.get_pretrained_cfg(architecture, tag)
    if not settings:
        raise _missing(name, f"has an unknown tag (known: {pretrained.list_pretrained_tags_by_model(architecture)})")
    try:
        path = pretrained.download_pretrained(settings)
    except (OSError, RuntimeError) as error:
        raise _missing(name, f"is neither cached nor could it be downloaded ({error})") from error
    # Such weights were trained with QuickGELU although the architecture's own file says nothing of it.
    model["quick_gelu"] = bool(settings.get("quick_gelu") or model.get("quick_gelu"))
    return ModelSource(name, {"model_cfg": model, "preprocess_cfg": settings}, Path(path), architecture)


@lru_cache(maxsize=1)
def ensure_torchvision() -> Any:
    """Make `import torchvision`, and so open_clip, work beside a torch without CUDA; call it before either.

    torchvision's compiled operators do not load there, and its import fails on the missing schemas of `nms` and
    `qnms`. They are declared, never called. Where the operators load, nothing is done. Returns the declarations,
    which live as long as this function's cache, or None.
    """
    import torch

    spec = importlib.util.find_spec("torchvision")
    if "torchvision" in sys.modules or spec is None:
        return None
    try:
        for extension in Path(spec.submodule_search_locations[0]).glob("_C*.so"):
            torch.ops.load_library(str(extension))
        torch.ops.torchvision.nms  # noqa: B018 - raises AttributeError where the extension did not declare it
    except (OSError, RuntimeError, AttributeError):
        declared = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            declared.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return declared
    return None
