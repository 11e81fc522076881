"""The trainer's one dial: a scale fixes model, samples and optimisation together; `changed` replaces settings of it."""

import json
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from curation.errors import RecipeError, unknown

Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Weights = Annotated[dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]], Field(min_length=1)]


@dataclass(frozen=True)
class Scale:
    """What is trained, how and for how long. `model` is a packaged configuration or an architecture of open_clip."""

    model: str
    samples_seen: Count  # over all epochs; rounded down to whole batches
    batch: Count  # over all ranks
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)]  # peak, after the warm-up
    warmup_steps: Annotated[int, Field(ge=0)]
    beta2: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: float = 0.2  # Radford et al. 2021 (arXiv:2103.00020) table 18; matrices only
    clip_norm: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None  # of the gradient of all parameters
    weights: Literal["float32", "float16", "bfloat16"] = "float32"  # in which the model is saved
    # What follows is as published unless --set says otherwise: one name a method.
    loss: Literal["clip", "siglip"] = "clip"  # arXiv:2103.00020; arXiv:2303.15343
    augment: Literal["crop", "strong"] = "crop"  # strong: Scaling (Down) CLIP (arXiv:2404.08197), trainer/augment.py
    captions: Literal["first", "any"] | Weights = "first"  # any: one of all each visit, LaCLIP (arXiv:2305.20088)
    keep_patches: Share | None = None  # FLIP, CLIPA (arXiv:2212.00794, 2305.07017); null: what the model's file says
    patches: Literal["random", "grid", "block"] = "random"  # which are kept
    tokens: Literal["truncate", "random", "block"] = "truncate"  # which of a caption that is too long are kept
    reduced_image: Count | None = None  # px: CLIPA's first phase, at a smaller side
    reduced_text: Annotated[int, Field(ge=3)] | None = None  # and with fewer tokens, specials included
    tuning_share: Annotated[float, Field(gt=0, lt=1)] = 0.36 / 6.36  # of samples seen: its second phase, in full
    phases: bool = True  # follow the [[phase]] tables of the release's recipe: WFPP (arXiv:2410.10879), Scaling Down
    experts: bool = False  # MoDE (arXiv:2404.16030): one model per cluster_group of the release, trainer/experts.py
    checkpoints: Annotated[int, Field(ge=0)] = 10  # over the run; one more at the end of each phase
    # How it is computed; the result is the same up to rounding.
    lanes: Count | None = None  # streams of samples that a batch is dealt from; null: the ranks
    accumulate: Count = 1  # pieces of a rank's batch that go through the model one after the other
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 on CUDA, float32 on a CPU
    checkpointing: bool = False  # keep fewer activations, compute them again
    compile: bool = False  # torch.compile: minutes at the start and no faster on a CPU; not measured on a GPU

    @property
    def steps(self) -> int:
        return self.samples_seen // self.batch

    @property
    def drawn(self) -> bool | dict[str, float]:
        """Which captions a visit draws from, as ManifestDataset takes it: none, all, or weights by kind."""
        return self.captions == "any" if isinstance(self.captions, str) else self.captions


def changed(scale: Scale, changes: list[str], where: str = "--set") -> Scale:
    """The scale with settings replaced: NAME=VALUE, the value as JSON or plain text; RecipeError for a wrong one.

    >>> changed(SCALES["tiny"], ["loss=siglip", "lr=1e-4", "clip_norm=null"]).lr
    0.0001
    """
    values = asdict(scale)
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or name not in values:
            raise unknown("setting of a scale", [name], values, where)
        try:
            values[name] = json.loads(text)
        except json.JSONDecodeError:
            values[name] = text
    try:
        return TypeAdapter(Scale).validate_python(values)
    except ValidationError as error:
        # Of a setting that may be of two kinds, what got further in is what was meant.
        deepest = max(error.errors(), key=lambda each: len(each["loc"]))
        name, depth = deepest["loc"][0], len(deepest["loc"])
        told = [e["msg"] for e in error.errors() if e["loc"][0] == name and len(e["loc"]) == depth]
        raise RecipeError(f"{where} {name}={deepest['input']}: {', or: '.join(told)}") from None


def _datacomp(model: str, samples_seen: int, batch: int, lr: float, warmup_steps: int, beta2: float) -> Scale:
    return Scale(model, samples_seen, batch, lr, warmup_steps, beta2)


# DataComp (arXiv:2304.14108) table 8 and scale_configs.py: as many samples seen as its pool of that scale holds.
SCALES: dict[str, Scale] = {
    "small": _datacomp("ViT-B-32", 12_800_000, 4096, 5e-4, 500, 0.98),
    "medium": _datacomp("ViT-B-32", 128_000_000, 4096, 5e-4, 500, 0.98),
    "large": _datacomp("ViT-B-16", 1_280_000_000, 8192, 5e-4, 500, 0.98),
    "xlarge": _datacomp("ViT-L-14", 12_800_000_000, 90_112, 1e-3, 10_000, 0.95),
    # Ours, for CPUs; assumptions that train stably on composed scenes, not searched.
    "tiny": Scale("sample-clip", 1_600, 16, 5e-4, 5, 0.98, 0.1, 1.0, "float16"),
    "sample": Scale("sample-clip", 192_000, 256, 1e-3, 100, 0.98, 0.1, 1.0, "float16"),
}


def plan_of(scale: str, samples_seen: int | None, changes: list[str]) -> Scale:
    """The scale of that name, with other samples seen and settings where given; RecipeError for a wrong one."""
    if scale not in SCALES:
        raise unknown("scale", [scale], SCALES, "--scale")
    return changed(SCALES[scale], [*([] if samples_seen is None else [f"samples_seen={samples_seen}"]), *changes])
