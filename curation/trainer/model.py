"""The model of a run: an architecture of open_clip with fresh weights, its optimiser, and how weights move between
phases of other picture sizes and caption lengths.
"""

import functools
import json
import logging
import tempfile
from copy import deepcopy
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import interpolate

from curation.errors import MissingModelError, RecipeError
from curation.models.clip import ensure_torchvision
from curation.trainer.losses import STARTS
from curation.trainer.scales import Scale

LOCAL, CONFIG = "local-dir:", "open_clip_config.json"
PICTURE, TEXT = "visual.positional_embedding", "positional_embedding"


def configuration(name: str, loss: str = "clip") -> dict[str, Any]:
    """The open_clip_config.json of a packaged model, of an architecture of open_clip, or of the folder in
    `local-dir:FOLDER` (the architecture alone), with the loss's learned numbers.

    MissingModelError where there is none, RecipeError where it is no CLIP or has what the loss cannot use.
    """
    ensure_torchvision()
    import open_clip

    local = name.startswith(LOCAL)
    path = Path(name[len(LOCAL) :], CONFIG) if local else files("curation") / f"models/{name}.json"
    config = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    config.setdefault("model_cfg", None if local else open_clip.get_model_config(name))
    if config["model_cfg"] is None:
        wanted = f"no {CONFIG} there" if local else "neither packaged nor an architecture of open_clip"
        raise MissingModelError(f"no model {name!r}: {wanted}")
    if "multimodal_cfg" in config["model_cfg"]:
        raise RecipeError(f"model {name!r}: wanted a picture and a text tower, found one that writes captions too")
    for key, value in STARTS[loss]._asdict().items():
        if key != "largest" and loss != "clip":
            config["model_cfg"][key] = value
    if loss == "clip" and config["model_cfg"].get("init_logit_bias") is not None:
        raise RecipeError(f"model {name!r} has a bias: wanted --set loss=siglip")
    return config


def build_model(
    name: str, seed: int, loss: str = "clip", side: int | None = None, context: int | None = None
) -> tuple[Any, Any, dict[str, Any]]:
    """(open_clip model with fresh weights, its tokenizer, its open_clip_config.json).

    With `side` for pictures of that many pixels, with `context` for captions of that many tokens. Patches are dropped
    from outside (trainer/patches.py). MissingModelError as `configuration`, or where its tokenizer is not here.
    """
    config = configuration(name, loss)
    import open_clip

    config["model_cfg"]["vision_cfg"] |= {"image_size": side} if side else {}
    config["model_cfg"]["text_cfg"] |= {"context_length": context} if context else {}
    whole = deepcopy(config)
    whole["model_cfg"]["vision_cfg"]["patch_dropout"] = 0.0
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, CONFIG).write_text(json.dumps(whole), "utf-8")
        logging.disable(logging.WARNING)  # open_clip warns that the weights are random
        try:
            model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
            tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
        except (ImportError, OSError) as error:
            raise MissingModelError(f"model {name!r} cannot be made here: {error}") from error
        finally:
            logging.disable(logging.NOTSET)
    return model, tokenizer, config


def carry(weights: dict[str, torch.Tensor], model: Any) -> None:
    """Load weights that another picture size or caption length may have left.

    Positions of patches are interpolated (bicubic), as CLIPA and open_clip do; of tokens the first ones stay what they
    are, and those that a shorter caption never had begin as the model's own. RecipeError where anything else differs.
    """
    own, found = model.state_dict(), dict(weights)
    if _resizable(PICTURE, own, found):
        found[PICTURE] = _resized(found[PICTURE], len(own[PICTURE]))
    if _resizable(TEXT, own, found):
        both = min(len(found[TEXT]), len(own[TEXT]))
        found[TEXT] = torch.cat([found[TEXT][:both], own[TEXT][both:].to(found[TEXT])])
    other = sorted(k for k in own.keys() | found.keys() if k not in own or k not in found)
    other += sorted(k for k in own if k not in other and own[k].shape != found[k].shape)
    if other:
        raise RecipeError(f"weights of another architecture: {other[:3]} differ ({len(other)} in all)")
    model.load_state_dict(found)


def _resizable(name: str, own: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> bool:
    """Whether both have positions of that name, in another number."""
    both = name in own and name in found
    return both and len(own[name]) != len(found[name]) and own[name].shape[1:] == found[name].shape[1:]


def _resized(positions: torch.Tensor, count: int) -> torch.Tensor:
    """Positions (1 + grid * grid, width) for another grid; the first, of the class token, is kept."""
    old, new = (round((n - 1) ** 0.5) for n in (len(positions), count))
    grid = positions[1:].T.reshape(1, -1, old, old)
    grid = interpolate(grid, size=(new, new), mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([positions[:1], grid.reshape(-1, new * new).T])


def side_of(model: Any) -> int:
    """Of the model's pictures, px: transformers of open_clip say it as (height, width), ResNets as one number."""
    size = model.visual.image_size
    return size if isinstance(size, int) else size[0]


def check_sizes(model: Any, plan: Scale) -> None:
    """RecipeError where the plan has a phase of other sizes than the model has and these cannot be changed."""
    names = model.state_dict().keys()
    patch = model.visual.grid_size[0] if PICTURE in names else None
    if plan.reduced_image and (patch is None or plan.reduced_image % (side_of(model) // patch)):
        raise RecipeError(
            f"reduced_image={plan.reduced_image}: wanted a vision transformer of open_clip and a multiple of its patch"
        )
    if plan.reduced_text and (TEXT not in names or plan.reduced_text > len(model.positional_embedding)):
        raise RecipeError(f"reduced_text={plan.reduced_text}: wanted a text tower of open_clip and no more than it has")


def adamw(model: torch.nn.Module, plan: Scale) -> torch.optim.Optimizer:
    """AdamW as CLIP was trained (arXiv:2103.00020 section 2.5): vectors, gains and the temperature do not decay."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": plan.weight_decay}, {"params": others, "weight_decay": 0.0}]
    # eps: table 18 of the same paper, for vision transformers
    return torch.optim.AdamW(groups, lr=plan.lr, betas=(0.9, plan.beta2), eps=1e-6, fused=True)


def normalised(pixels: torch.Tensor, config: dict[str, Any]) -> torch.Tensor:
    """float32 of uint8 (n, 3, side, side), less the model's mean, over its standard deviation."""
    mean, std = (_numbers(tuple(config[k]), pixels.device) for k in ("mean", "std"))
    return (pixels - mean) / std


@functools.cache  # a copy of numbers to a GPU makes the host wait for all that is under way there: once is enough
def _numbers(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """float32 (3, 1, 1) of values in [0, 1], as of uint8."""
    return torch.tensor(values, device=device).view(3, 1, 1) * 255
