"""The model to evaluate: one of open_clip by name, path or run, or the experts of a run, weighed for each task.

A run of experts (curation.trainer.experts; MoDE, arXiv:2404.16030, section 3.3) is a folder with experts.json:
{"experts": [folder of each, ending in -G for the group G it learnt], "groups": [group of each fine centre],
"caption_model": the model that embedded the captions}; beside it are centres.npy, the fine centres, and the folders.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from curation.errors import MissingModelError
from curation.images import batches
from curation.methods.routing import route_experts
from curation.models.clip import Clip, load

ROUTING, CENTRES = "experts.json", "centres.npy"
CONFIG = "open_clip_config.json"


class Ensemble(NamedTuple):
    """Models whose scores are added up; `routing` is None for one alone, whose scores are cosines."""

    name: str
    models: tuple[Clip, ...]
    routing: dict[str, Any] | None = None

    def weights(self, texts: Sequence[str], device: str | None) -> np.ndarray:
        """Factor of each model's cosines for a task of these texts: class names, or captions. Float64 (models,)."""
        if self.routing is None:
            return np.ones(1)
        router = load(self.routing["caption_model"], device)
        shares = route_experts(
            router.embed_texts(list(texts)), self.routing["centres"], np.array(self.routing["groups"])
        )
        groups = [int(name.rpartition("-")[2]) for name in self.routing["experts"]]
        return shares[groups] * [float(model.model.logit_scale.detach().exp()) for model in self.models]

    def texts(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Unit vectors of texts by each model."""
        return [model.embed_texts(list(texts)) for model in self.models]

    def pictures(self, pointers: Sequence[dict[str, Any]]) -> tuple[list[np.ndarray], np.ndarray]:
        """Unit vectors of the pictures by each model, and which of them could be read, bool (n,)."""
        found: list[list[np.ndarray]] = [[] for _ in self.models]
        read: list[np.ndarray] = []
        for _, batch in batches(pointers, decoded=["pixels_bounded"]):
            pixels = batch.pixels_bounded
            read.append(np.array([each is not None for each in pixels]))
            for rows, model in zip(found, self.models):
                rows.append(model.embed_images(pixels))
        return [np.concatenate(rows) for rows in found], np.concatenate(read)


def weighed(vectors: Iterable[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """The vectors of several models beside each other, float32 (n, dim of all): of pictures and of texts alike, so that
    the product of both is the sum of the models' cosines times their weights.
    """
    return np.concatenate([rows * np.sqrt(weight) for rows, weight in zip(vectors, weights)], axis=1, dtype=np.float32)


def open_model(run: str, device: str | None) -> Ensemble:
    """A run's folder, a run of experts, or a model's name; MissingModelError where it is neither."""
    folder = Path(run)
    if (folder / ROUTING).is_file():
        routing = json.loads((folder / ROUTING).read_text("utf-8"))
        routing["centres"] = np.load(folder / CENTRES, allow_pickle=False)
        models = tuple(load(f"local-dir:{folder / name}", device) for name in routing["experts"])
        return Ensemble(folder.absolute().name, models, routing)
    if folder.is_dir() and not (folder / CONFIG).is_file():
        found = sorted(each.name for each in folder.iterdir())[:10]
        raise MissingModelError(f"{run}: wanted a run with {CONFIG} or {ROUTING}, found {found}")
    name = f"local-dir:{run}" if (folder / CONFIG).is_file() else run
    return Ensemble(name, (load(name, device),))
