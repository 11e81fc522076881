"""The declaration of a signal: a value of one pair alone.

A signal is a plain function: Arrow arrays (or decoded pixels, or other signals) in, one Arrow array out; no Spark, no
I/O, no randomness. Its name is the column it makes; its positional parameter names are the columns it reads, so
signals form a graph; keyword-only parameters are its settings. `@signal` only attaches a `SignalSpec` read off the
signature; the function stays callable with Arrow arrays.

Inputs that the engine supplies besides pool columns and signals (see curation.images):
    encoded         binary array: the bytes of the image file
    pixels          list of (H, W, 3) uint8 RGB arrays or None, full resolution, EXIF-rotated
    pixels_bounded  the same, but JPEG of more than 4 megapixels scaled down to at most that
    pixels_small    the same from a scaled decode by a fixed rule
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

import pyarrow as pa

PIXELS = ("pixels", "pixels_bounded", "pixels_small")
IMAGE_INPUTS = ("encoded", *PIXELS)

# The type of a signal that makes pictures for other signals: a list as `pixels` is one, in memory for the pass alone.
# No table holds it, so it is no column of a recipe. Spelled as Arrow would have it: rows of columns of three bytes.
PICTURES = pa.list_(pa.list_(pa.list_(pa.uint8(), 3)))

# A setting annotated so names a model or a file: its digest becomes part of the signal's key, and it is refused with
# instructions, when absent, before any work starts (see curation.models.named).
ClipModel = Annotated[str, "clip"]
LanguageModel = Annotated[str, "language"]
OcrModel = Annotated[str, "ocr"]
Function = Annotated[str, "function"]
File = Annotated[str, "file"]  # a file, or a folder of files
Scorer = Annotated[str, "scorer"]
FaceModel = Annotated[str, "faces"]
EvaluationFile = Annotated[str, "evaluation"]
MODELS = ("clip", "language", "ocr", "function", "scorer", "faces", "evaluation", "file")


def setting_defaults(function: Callable) -> dict[str, Any]:
    """The keyword-only parameters of a function with their defaults: its settings."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


@dataclass(frozen=True)
class SignalSpec:
    """What the engine knows of a signal. `stored`: worth a table of its own; else computed again where needed.

    `annotations`: setting -> its type; `models`: setting -> kind of model or file that it names; `choices`: setting ->
    the values it may have; `added`: settings that came later, with the value at which nothing changed: at that value
    they leave the key as it was. `instead`: settings -> {input as the parameter names it: what is read in its place, or
    None for nothing}; `each`: (setting of an input, own setting that lists its values): a variadic input is read once
    under each of these; `why_null`: the reason given for a null where no input has one.
    """

    name: str
    type: pa.DataType
    version: int
    stored: bool
    reads: tuple[str, ...]
    settings: dict[str, Any]
    annotations: dict[str, Any]
    models: dict[str, str]
    choices: dict[str, tuple[Any, ...]]
    added: dict[str, Any]
    instead: Callable[[dict[str, Any]], dict[str, str | None]] | None
    each: tuple[str, str] | None
    why_null: str | None


def signal(
    type: pa.DataType,
    *,
    version: int = 1,
    stored: bool = True,
    added: dict[str, Any] | None = None,
    instead: Callable[[dict[str, Any]], dict[str, str | None]] | None = None,
    each: tuple[str, str] | None = None,
    why_null: str | None = None,
) -> Callable[[Callable], Callable]:
    """Mark a function as a signal of Arrow type `type`. Raise `version` whenever results change.

    `stored=False` is for values cheaper to compute again than to read back (a word count): they get no table. `added`,
    `instead`, `each` and `why_null`: see SignalSpec.
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
            annotations={p.name: p.annotation for p in parameters if p.kind is p.KEYWORD_ONLY},
            models={p.name: kind for p in parameters if (kind := _model_kind(p.annotation))},
            choices={p.name: get_args(p.annotation) for p in parameters if get_origin(p.annotation) is Literal},
            added=added or {},
            instead=instead,
            each=each,
            why_null=why_null,
        )
        return function

    return mark


def _model_kind(annotation: Any) -> str | None:
    marks = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    return next((mark for mark in marks if mark in MODELS), None)
