"""CLIP models of open_clip: pictures and captions -> unit vectors, each row independent of its neighbours.

A model's output row depends in its last bits on the shape of the batch. So every batch is padded with zeros to one
recorded size, and a caption is cut to one of a few fixed lengths by its own tokens alone: then a row is a function of
its picture or caption, the weights, the device type and the library versions.
"""

import json
import pickle
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from importlib.resources import as_file
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from curation.errors import MissingModelError, RecipeError
from curation.images import FULL_BATCH, ahead, threaded, threads
from curation.models.clip_source import ModelSource, digest, ensure_torchvision, resolve, state
from curation.models.device import gpu_batch, task_device
from curation.models.int8 import quantise
from curation.models.pictures import fitting

__all__ = ["Clip", "ModelSource", "digest", "ensure_torchvision", "here", "load", "resolve"]

# Half precision on a CPU without its instructions (AVX2) has a ninth of the speed, 8 bits are made for CPUs here.
_PRECISIONS = {"cpu": ("fp32", "int8"), "cuda": ("fp32", "fp16", "bf16")}
# Tokens with specials. Most alt texts fit 16, most captions 32; the text tower's cost is linear in it.
_TEXT_LENGTHS = (16, 32)


def here(name: str, precision: str = "fp32") -> "Clip":
    """The model of that name on this task's device (curation.models.device); raises as `load`."""
    return load(name, task_device(), precision)


def load(name: str, device: str | None = None, precision: str | None = None) -> "Clip":
    """The model of that name, once per process, on `device` (default: CUDA where there is one, else CPU).

    `precision`: fp32 (default); fp16 or bf16 on CUDA, by autocast over float32 weights; int8 on a CPU
    (curation.models.int8). Raises MissingModelError as `resolve`, or where the weights do not fit the architecture;
    RecipeError on another precision.
    """
    return _loaded(name, device, precision, state(name))


# Models of a batch: a signal may read several checkpoints (mean_clip_score), and a model pushed out is loaded again.
@lru_cache(maxsize=16)
def _loaded(name: str, device: str | None, precision: str | None, _state: tuple) -> "Clip":
    source = resolve(name)
    ensure_torchvision()
    import torch

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    allowed = _PRECISIONS["cuda" if device.startswith("cuda") else "cpu"]
    if precision not in (None, *allowed):
        raise RecipeError(f"model {name!r}: no precision {precision!r} on {device}; known there: {list(allowed)}")
    torch.set_num_threads(threads())
    model, tokenizer = _build(source, device)
    return Clip(source, quantise(model) if precision == "int8" else model, tokenizer, device, precision or allowed[0])


def _build(source: ModelSource, device: str) -> tuple[Any, Callable]:
    """open_clip's model in float32, with its weights, and its tokenizer.

    open_clip loads from a folder that holds the configuration and the weights, so one is made of links: the same for
    a packaged model, whose files may lie in a zip.
    """
    import open_clip
    from safetensors import SafetensorError

    with TemporaryDirectory() as folder, as_file(source.weights) as weights:
        linked = "open_clip_model.safetensors" if weights.suffix == ".safetensors" else "open_clip_pytorch_model.bin"
        Path(folder, linked).symlink_to(weights.absolute())
        Path(folder, "open_clip_config.json").write_text(json.dumps(source.config), "utf-8")
        try:
            model = open_clip.create_model(f"local-dir:{folder}", device=device, weights_only=True)
        except (
            RuntimeError,
            ValueError,
            TypeError,
            KeyError,
            EOFError,
            pickle.UnpicklingError,
            SafetensorError,
        ) as error:
            raise MissingModelError(f"model {source.name!r}: {weights} does not load: {error}") from error
        return model.eval(), open_clip.get_tokenizer(source.tokenizer or f"local-dir:{folder}")


class Clip:
    """A loaded model. `dim`: numbers of a vector. `batch_size`: rows of every batch, padded with zeros."""

    def __init__(self, source: ModelSource, model: Any, tokenizer: Callable, device: str, precision: str) -> None:
        import open_clip
        from open_clip.transform import PreprocessCfg, image_transform_v2

        self.source, self.model, self.tokenizer, self.device, self.precision = (
            source,
            model,
            tokenizer,
            device,
            precision,
        )
        self.dim: int = source.config["model_cfg"]["embed_dim"]
        settings = PreprocessCfg(**model.visual.preprocess_cfg)
        # CPU: 16 reaches the speed of 32 already and wastes less padding. Memory that runs out on a GPU halves it.
        self.batch_size = gpu_batch(model, device) if device.startswith("cuda") else FULL_BATCH
        self.preprocess = image_transform_v2(settings, is_train=False)
        self.fit_exactly, self.fit_fast = fitting(self.preprocess, settings)
        self.context = tokenizer.context_length
        # Only of a causal tower that reads out the end token is the rest of the context without effect.
        causal = type(model) is open_clip.CLIP and model.text_pool_type == "argmax" and model.attn_mask is not None
        self.text_lengths = (*(n for n in _TEXT_LENGTHS if causal and n < self.context), self.context)

    def embed_images(self, images: Sequence[np.ndarray | None], fast: bool = False, unit: bool = True) -> np.ndarray:
        """Unit vectors, float32 (n, dim), of uint8 RGB pictures (height, width, 3); a row of NaN for None.

        Resized and cropped by open_clip's own transform, or `fast`, which moves a vector by less than 1e-5 of cosine
        (curation.models.pictures). With `unit` false they are as the model gives them, not normalised.
        """
        fit = self.fit_fast if fast else self.fit_exactly

        def collate(pictures: Sequence[np.ndarray]) -> Any:
            """uint8 (n, height, width, 3)."""
            import torch

            return torch.from_numpy(np.stack(threaded(fit, pictures)))

        present = [i for i, image in enumerate(images) if image is not None]
        found = np.full((len(images), self.dim), np.nan, np.float32)
        found[present] = self._rows([images[i] for i in present], collate, self.model.encode_image)
        return _unit(found) if unit else found

    def embed_texts(self, texts: Sequence[str | None], windows: str = "off", unit: bool = True) -> np.ndarray:
        """Unit vectors, float32 (n, dim), of captions; a row of NaN for None. Equal captions are embedded once.

        What is beyond the context length is cut off, or else (`windows` "content" or "clipmd") the vector is the mean
        of the vectors, before they get unit length, of windows over all tokens: curation.methods.caption_windows.
        RecipeError for windows over another tokenizer than CLIP's. `unit` as in embed_images.
        """
        unique = sorted({text for text in texts if text is not None})
        place = {text: i for i, text in enumerate(unique)}
        # The row after the last is for None.
        found = np.full((len(unique) + 1, self.dim), np.nan, np.float32)
        if unique and windows == "off":
            tokens = self.tokenizer(unique)
            found[:-1] = self._encode_tokens(tokens, tokens.argmax(dim=1).numpy() + 1)  # the end token's id is highest
        elif unique:
            from curation.models.clip_windows import window_means

            window_means(self.tokenizer, self._encode_tokens, unique, windows, found)
        return (_unit(found) if unit else found)[[place.get(text, len(unique)) for text in texts]]

    def describe(self) -> dict[str, Any]:
        """What a vector depends on, as JSON: model, weights digest, preprocessing, batch size, device, precision."""
        return {
            "name": self.source.name,
            "architecture": self.source.config["model_cfg"],
            "digest": digest(self.source.name),
            "dim": self.dim,
            "preprocessing": json.loads(json.dumps(self.model.visual.preprocess_cfg)),
            "normalisation": "l2",
            "text_lengths": list(self.text_lengths),
            "batch_size": self.batch_size,
            "device": self.device.split(":")[0],
            "precision": self.precision,
        }

    def _encode_tokens(self, tokens: Any, sizes: np.ndarray) -> np.ndarray:
        """Rows (n, dim) of tokens (n, context) of which the first `sizes` count, each cut to a fixed length it fits."""
        found = np.empty((len(tokens), self.dim), np.float32)
        wanted = np.searchsorted(self.text_lengths, sizes)
        for i, length in enumerate(self.text_lengths):
            which = np.flatnonzero(wanted == i)
            found[which] = self._rows(tokens[which, :length], _unchanged, self._encode_text)
        return found

    def _rows(self, items: Sequence[Any], collate: Callable, encode: Callable) -> np.ndarray:
        """Encoded rows (n, dim), float32. The next batch is made ready while the model works on the last one.

        On CUDA the model is asked and not waited for: what it gives is fetched once, at the end.
        """
        import torch

        size = self.batch_size
        chunks = (collate(items[at : at + size]) for at in range(0, len(items), size))
        rows = [each for chunk in ahead(chunks) for each in self._encoded(chunk, encode)]
        return torch.cat(rows).cpu().numpy() if rows else np.empty((0, self.dim), np.float32)

    def _encoded(self, chunk: Any, encode: Callable) -> Iterator[Any]:
        """The rows of a chunk. Where CUDA's memory does not hold a batch, batches are half as large from then on."""
        import torch

        at = 0
        while at < len(chunk):
            piece = chunk[at : at + self.batch_size]
            padded = torch.zeros(
                (self.batch_size, *piece.shape[1:]), dtype=piece.dtype, pin_memory=self.device.startswith("cuda")
            )
            padded[: len(piece)] = piece
            try:
                rows = self._forward(encode, padded)
            except torch.OutOfMemoryError:
                if self.batch_size == 1:
                    raise
                self.batch_size //= 2
                torch.cuda.empty_cache()
                continue
            at += len(piece)
            yield rows[: len(piece)]

    def _forward(self, encode: Callable, batch: Any) -> Any:
        import torch

        half = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(self.precision)
        with torch.inference_mode(), torch.autocast(self.device.split(":")[0], half, enabled=half is not None):
            batch = batch.to(self.device, non_blocking=True)
            if batch.dtype == torch.uint8:
                # Pictures cross to the device as bytes; the two last steps of the transform are done there.
                batch = self.preprocess.transforms[-1](batch.permute(0, 3, 1, 2).to(torch.float32).div(255))
            return encode(batch).float()

    def _encode_text(self, tokens: Any) -> Any:
        """open_clip's encode_text on fewer tokens than the context; the same arithmetic without what has no effect."""
        import torch

        model, length = self.model, tokens.shape[1]
        if length == self.context:
            return model.encode_text(tokens)
        x = model.token_embedding(tokens) + model.positional_embedding[:length]
        x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:length, :length]))
        x = x[torch.arange(len(x), device=x.device), tokens.argmax(dim=-1)]
        project = model.text_projection
        if project is None:
            return x
        return project(x) if isinstance(project, torch.nn.Linear) else x @ project


def _unit(rows: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return rows / np.sqrt((rows * rows).sum(axis=1, keepdims=True))


def _unchanged(tokens: Any) -> Any:
    return tokens
