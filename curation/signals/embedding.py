"""CLIP vectors of pictures and captions."""

from typing import Any, Literal

import numpy as np
import pyarrow as pa

from curation.decode import SMALL_SIDE
from curation.errors import RecipeError
from curation.models.clip_source import input_side
from curation.schema import VECTOR
from curation.signal import ClipModel, signal
from curation.vectors import from_matrix

Decode = Literal["full", "scaled", "exact"]
Precision = Literal["fp32", "fp16", "bf16", "int8"]
ADDED = {"decode": "full", "precision": "fp32"}


def decoded(settings: dict[str, Any]) -> dict[str, str]:
    """Which pixels are read; RecipeError for a model whose input a scaled decode does not fill."""
    side = input_side(settings["clip"]) if settings["decode"] == "scaled" else 0
    if side > SMALL_SIDE:
        raise RecipeError(
            f"model {settings['clip']!r} reads {side} px, decode = 'scaled' gives {SMALL_SIDE}; known: full, exact"
        )
    return {"pixels_bounded": {"exact": "pixels", "scaled": "pixels_small"}.get(settings["decode"], "pixels_bounded")}


@signal(VECTOR, version=2, added=ADDED, instead=decoded)
def image_embedding(
    pixels_bounded: list[np.ndarray | None],
    *,
    clip: ClipModel = "sample-clip",
    decode: Decode = "full",
    precision: Precision = "fp32",
) -> pa.Array:
    """CLIP vector of the picture, FixedSizeList<float16>[d], shape (n,), unit length; null where the picture is.

    Tables hold it as binary (curation.vectors.to_binary). `decode` "full" reads pixels at full resolution (JPEG above
    4 Mpx scaled to at most that) and resizes them with vector instructions; "scaled" decodes a JPEG to a shorter side
    of at least 448 px, the fast mode; "exact" is the model's own preprocessing to the bit. What each costs and moves is
    in docs/embedding.md. `precision`: "int8" on a CPU, "fp16" or "bf16" on CUDA; RecipeError where the device has it
    not. Raises MissingModelError where `clip` cannot be found. CLIP: arXiv:2103.00020.
    """
    from curation.models.clip import here

    return from_matrix(here(clip, precision).embed_images(pixels_bounded, fast=decode != "exact"))


@signal(VECTOR, added=ADDED, instead=decoded)
def flipped_image_embedding(
    pixels_bounded: list[np.ndarray | None],
    *,
    clip: ClipModel = "sample-clip",
    decode: Decode = "full",
    precision: Precision = "fp32",
) -> pa.Array:
    """CLIP vector of the picture mirrored left to right, otherwise as image_embedding."""
    from curation.models.clip import here

    mirrored = [None if pixels is None else np.ascontiguousarray(pixels[:, ::-1]) for pixels in pixels_bounded]
    return from_matrix(here(clip, precision).embed_images(mirrored, fast=decode != "exact"))


@signal(VECTOR, added={"windows": "off", "precision": "fp32"})
def caption_embedding(
    caption: pa.Array,
    *,
    clip: ClipModel = "sample-clip",
    windows: Literal["off", "content", "clipmd"] = "off",
    precision: Precision = "fp32",
) -> pa.Array:
    """CLIP vector of the caption, FixedSizeList<float16>[d], shape (n,), unit length; null where the caption is.

    What lies beyond the model's context (77 tokens for most) is cut off; an empty caption has a vector too. With
    `windows` a longer caption gets the mean vector of windows over all of its tokens instead: "content", 75 content
    tokens each between start and end token, 7 shared; "clipmd", as ClipMD cuts them (curation.methods.caption_windows).
    A caption within the context has the same vector in all three. RecipeError for windows over a tokenizer other than
    CLIP's. Otherwise as image_embedding.
    """
    from curation.models.clip import here

    return from_matrix(here(clip, precision).embed_texts(caption.to_pylist(), windows))
