"""A small CLIP of the real kind, with seeded weights, saved as open_clip saves models."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from curation.models.clip import ensure_torchvision

ensure_torchvision()
import open_clip  # noqa: E402 - needs the line above

CONFIG = {
    "model_cfg": {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
    },
    "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3]},
}


def write_model(folder: Path, config: dict = CONFIG, name: str = "open_clip_model.safetensors") -> str:
    """Save the model, in float16, and return its name."""
    torch.manual_seed(0)
    weights = {k: v.half() for k, v in open_clip.CLIP(**config["model_cfg"]).state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / name)
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return f"local-dir:{folder}"
