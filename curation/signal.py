"""The declaration of a signal: a value of one pair alone.

A signal is a plain function: Arrow arrays (or decoded pixels, or other signals) in, one Arrow array out; no Spark, no
I/O, no randomness. Its name is the column it makes; its positional parameter names are the columns it reads, so
signals form a graph; keyword-only parameters are its settings. `@signal` only attaches a `SignalSpec` read off the
signature; the function stays callable with Arrow arrays.

Inputs that the engine supplies besides pool columns and signals (see curation.images):
    encoded       binary array: the bytes of the image file
    pixels        list of (H, W, 3) uint8 RGB arrays or None, full resolution, EXIF-rotated
    pixels_small  the same from a scaled decode by a fixed rule
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, get_args

import pyarrow as pa

IMAGE_INPUTS = ("encoded", "pixels", "pixels_small")

# A setting annotated so names a CLIP model: its weights digest becomes part of the signal's key, and it is loaded
# (and refused with instructions when absent) before any work starts.
ClipModel = Annotated[str, "clip"]


def setting_defaults(function: Callable) -> dict[str, Any]:
    """The keyword-only parameters of a function with their defaults: its settings."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


@dataclass(frozen=True)
class SignalSpec:
    """What the engine knows of a signal. `stored`: worth a table of its own; else computed again where needed."""

    name: str
    type: pa.DataType
    version: int
    stored: bool
    reads: tuple[str, ...]
    settings: dict[str, Any]
    models: tuple[str, ...]


def signal(type: pa.DataType, *, version: int = 1, stored: bool = True) -> Callable[[Callable], Callable]:
    """Mark a function as a signal of Arrow type `type`. Raise `version` whenever results change.

    `stored=False` is for values cheaper to compute again than to read back (a word count): they get no table.
    """

    def mark(function: Callable) -> Callable:
        parameters = inspect.signature(function).parameters.values()
        function.spec = SignalSpec(
            name=function.__name__,
            type=type,
            version=version,
            stored=stored,
            reads=tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY),
            settings=setting_defaults(function),
            models=tuple(p.name for p in parameters if "clip" in get_args(p.annotation)),
        )
        return function

    return mark
