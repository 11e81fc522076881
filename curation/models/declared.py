"""What the file of a scorer says of itself: inside it, or in a JSON file of the same name with .json after it."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from curation import files
from curation.errors import MissingModelError

KEY = "scorer"  # of the declaration in safetensors metadata, npz arrays and ONNX metadata

Channels = Annotated[list[float], Field(min_length=3, max_length=3)]


class Declared(BaseModel):
    """How the numbers of a file become a score. All has a default; several layers need `activation`."""

    model_config = ConfigDict(extra="forbid")

    input: Literal["embedding", "picture"] = "embedding"
    activation: Literal["none", "relu", "tanh"] | None = None  # between the layers of a head
    output: Literal["none", "sigmoid", "softmax"] = "none"  # after the last layer
    index: Annotated[int, Field(ge=0)] = 0  # which output is the score
    label: str | None = None  # of a fastText model: whose probability is the score
    resize: Annotated[list[int], Field(min_length=2, max_length=2)] | None = None  # height, width; null: shorter side
    crop: Annotated[int, Field(ge=1)] = 224  # px, of the centre
    scale: float = 255.0  # pixels are divided by it
    mean: Channels = [0.0, 0.0, 0.0]
    std: Channels = [1.0, 1.0, 1.0]
    channels: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"
    about: str = ""  # what it is, its version and licence: for readers, and kept with the signal


def beside(path: Path) -> Path:
    """Where the declaration of a file lies when it is not in it."""
    return path.with_name(path.name + ".json")


def state(path: Path) -> tuple[tuple, ...]:
    """What tells a file and its declaration from later ones of the same name (curation.files)."""
    return files.state(str(path)) + files.state(str(beside(path)))


def read_declared(path: Path, inside: str | None) -> Declared:
    """The declaration beside the file, else that inside it, else the defaults; MissingModelError where it is wrong."""
    where, text = (beside(path), beside(path).read_text("utf-8")) if beside(path).is_file() else (path, inside)
    try:
        found: Any = json.loads(text) if text else {}
        return Declared.model_validate(found)
    except (json.JSONDecodeError, ValidationError) as error:
        told = (
            "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
            if (isinstance(error, ValidationError))
            else str(error)
        )
        raise MissingModelError(f"scorer {where}: its declaration: {told}; see docs/safety.md") from error
