"""Zero-shot retrieval on the pairs of a release that training held out."""

from typing import Any

import numpy as np

from curation.decode import decode_small
from curation.errors import RecipeError
from curation.models.clip import load
from curation.shards.dataset import ManifestDataset
from curation.shards.manifest import Release

CUTOFFS = (1, 5, 10)  # Radford et al. 2021 (arXiv:2103.00020) table 13 reports recall at these
ROWS = 1024  # of the score matrix at a time: 40 MB at 10,000 pairs


def retrieval(image_features: np.ndarray, text_features: np.ndarray) -> dict[str, Any]:
    """Recall at 1, 5 and 10, shares in [0, 1], of the caption for each image and the image for each caption.

    Row i of one belongs to row i of the other, float (n, dim), unit length. Ties count against the model, so that equal
    vectors for everything find nothing. `chance` is the recall of guessing. ValueError where the shapes differ or
    there is no row.
    """
    if image_features.shape != text_features.shape or len(image_features) == 0:
        raise ValueError(
            f"features of shapes {image_features.shape} and {text_features.shape}: wanted equal, not empty"
        )
    count = len(image_features)
    return {
        "pairs": count,
        "image_to_text": _recall(image_features, text_features),
        "text_to_image": _recall(text_features, image_features),
        "chance": {f"r{k}": min(k / count, 1.0) for k in CUTOFFS},
    }


def _recall(queries: np.ndarray, answers: np.ndarray) -> dict[str, float]:
    ahead = []  # other answers that score at least as high as the right one
    for start in range(0, len(queries), ROWS):
        scores = queries[start : start + ROWS].astype(np.float32) @ answers.astype(np.float32).T
        right = scores[np.arange(len(scores)), start + np.arange(len(scores))]
        ahead.append((scores >= right[:, None]).sum(axis=1) - 1)
    places = np.concatenate(ahead)
    return {f"r{k}": float((places < k).mean()) for k in CUTOFFS}


def evaluate(
    run: str, *, release: str, holdout: float = 0.05, samples: int = 1000, device: str | None = None
) -> dict[str, Any]:
    """Retrieval among held-out pairs of a release, for the model in RUN or any model name.

    The pairs are those that `train` with the same --holdout left out; at most --samples of them, those of the smallest
    uids, as recall depends on their number. Embedded as for the signals. RecipeError where none is held out.
    """
    from curation.trainer.data import split

    held = split(Release.open(release), holdout)[1]
    if not held:
        raise RecipeError(f"{release}: no image held out at --holdout {holdout}")
    found = list(ManifestDataset(release, uids=sorted(held)[:samples]))
    model = load(run if _is_name(run) else f"local-dir:{run}", device)
    images = model.embed_images([decode_small(sample["image"]) for sample in found])
    return retrieval(images, model.embed_texts([sample["text"] for sample in found]))


def _is_name(run: str) -> bool:
    return run == "sample-clip" or ":" in run or "@" in run
