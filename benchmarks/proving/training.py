"""Train one model of an arm and evaluate it: a process of its own, so that its memory is Spark's to use before.

    python -m proving.training RELEASE --out RUN --seed S --samples-seen N [--uids FILE] [--data FOLDER ...]

The model is as small as learns these scenes: one arm trains in minutes on two cores.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from curation.models.clip import ensure_torchvision
from curation.trainer.evaluate import evaluate
from curation.trainer.scales import SCALES, Scale
from curation.trainer.train import train

MODEL = "scenes-clip"
CONFIG = {
    "embed_dim": 96,
    "vision_cfg": {"image_size": 64, "patch_size": 16, "width": 128, "head_width": 32, "layers": 3},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 96, "heads": 2, "layers": 2},
}
BATCH = 128
WARMUP = 0.1  # share of the steps
# Assumptions that train stably on these scenes, not searched: the same for every arm.
LR, BETA2, WEIGHT_DECAY, CLIP_NORM = 1e-3, 0.98, 0.1, 1.0


def train_arm(
    release: str,
    *,
    out: str,
    seed: int,
    samples_seen: int,
    scale: str = MODEL,
    uids: str | None = None,
    data: list[str] | None = None,
) -> dict[str, Any]:
    """Train on a release, on all of it or on the uids of a file; nothing is held out, as the tests are other pairs.

    SCALE is one of the trainer's, or the small one made for scenes.
    """
    if scale == MODEL:
        register(samples_seen)
    result = train(
        release, scale=scale, out=out, seed=seed, holdout=0.0, samples_seen=samples_seen, uids=uids, workers=0
    )
    if data:
        evaluate(out, data=data, out=str(Path(out, "evaluation")), details=True)
    return {"out": out, "loss": result["loss"], "samples_per_s": result["samples_per_s"]}


def register(samples_seen: int) -> None:
    """Make the model known to open_clip and the scale to the trainer, in this process."""
    ensure_torchvision()
    import open_clip

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{MODEL}.json")
        path.write_text(json.dumps(CONFIG), "utf-8")
        open_clip.add_model_config(path)
    warmup = max(1, round(WARMUP * samples_seen / BATCH))
    SCALES[MODEL] = Scale(MODEL, samples_seen, BATCH, LR, warmup, BETA2, WEIGHT_DECAY, CLIP_NORM)


if __name__ == "__main__":
    from curation.job import main

    main(train_arm)
