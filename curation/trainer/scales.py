"""The trainer's one dial: a scale fixes model, samples and optimisation together."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """What is trained and for how long. `model` is a packaged configuration or an architecture of open_clip."""

    model: str
    samples_seen: int  # over all epochs; rounded down to whole batches
    batch: int  # over all ranks
    lr: float  # peak, after the warm-up
    warmup_steps: int
    beta2: float
    weight_decay: float = 0.2  # Radford et al. 2021 (arXiv:2103.00020) table 18; matrices only
    clip_norm: float | None = None  # of the gradient of all parameters
    weights: str = "float32"  # in which the model is saved

    @property
    def steps(self) -> int:
        return self.samples_seen // self.batch


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
