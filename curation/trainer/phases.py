"""What a run consists of: one phase, those of the release's recipe (WFPP), or a reduced and a full one (CLIPA)."""

import math
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import RecipeError
from curation.shards.manifest import Release
from curation.shards.mark import shards_of
from curation.trainer.scales import Scale

# CLIPA's released settings tune at a tenth of the first phase's rate; from memory, an assumption.
TUNING_RATE = 0.1
LATER_WARMUP = 10  # a later phase warms up for at most that part of its steps; ours


@dataclass(frozen=True)
class Phase:
    """A stretch of a run with its own data, sizes and learning rate. `uids` None: every sample of the release."""

    name: str
    steps: int
    lr: float
    warmup_steps: int
    samples: int  # to draw from
    uids: list[str] | None = field(default=None, repr=False)
    side: int | None = None  # of pictures, px; None: the model's
    context: int | None = None  # tokens of a caption; None: the model's

    def per_epoch(self, batch: int, lanes: int) -> int:
        """Whole batches in an epoch; what is left over comes into one in another epoch's order."""
        return self.samples // lanes // (batch // lanes)


def phases(plan: Scale, release: Release, uids: list[str] | None, lanes: int) -> list[Phase]:
    """The phases of a run, in order; together as many steps as the plan has.

    RecipeError where one cannot have a step, or has fewer samples than a batch.
    """
    everything = sum(part["rows"] for part in release.mark["samples"]) if uids is None else len(uids)
    one = Phase("all", plan.steps, plan.lr, plan.warmup_steps, everything, uids)
    recipe = release.mark.get("phases", []) if plan.phases else []
    if recipe and (plan.reduced_image or plan.reduced_text):
        raise RecipeError("reduced_image, reduced_text: the release has phases of its own; wanted --set phases=false")
    if recipe:
        found = _of_recipe(plan, release, recipe, one, lanes)
    elif plan.reduced_image or plan.reduced_text:
        found = _reduced_then_full(plan, one)
    else:
        found = [one]
    for phase in found:
        where = f"{release.out}, phase {phase.name!r}"
        if phase.samples < plan.batch or phase.per_epoch(plan.batch, lanes) < 1:
            raise RecipeError(f"{where}: {phase.samples} samples to train on, fewer than a batch of {plan.batch}")
        if phase.steps < 1:
            raise RecipeError(
                f"{where}: no step is left of --samples-seen {plan.samples_seen}; wanted a batch at least"
            )
    return found


def _reduced_then_full(plan: Scale, one: Phase) -> list[Phase]:
    """CLIPA (arXiv:2305.07017): nearly all samples with few tokens, the rest with all of them."""
    tuned = max(1, round(plan.steps * plan.tuning_share))
    reduced = {"side": plan.reduced_image, "context": plan.reduced_text}
    return [
        Phase("reduced", plan.steps - tuned, plan.lr, plan.warmup_steps, one.samples, one.uids, **reduced),
        _later(plan, "tuning", tuned, plan.lr * TUNING_RATE, one.uids, one.samples),
    ]


def _of_recipe(plan: Scale, release: Release, recipe: list[dict], one: Phase, lanes: int) -> list[Phase]:
    """The recipe's [[phase]] tables: the last one for exactly its epochs, the ones before share what is left of the
    samples seen as their epochs and samples ask; one alone takes all. The scale's rate is that of the first; the others
    keep their ratio.
    """
    chosen = [_samples_of(release, table, one) for table in recipe]
    counts = [one.samples if uids is None else len(uids) for uids in chosen]
    last = Phase("", 0, 0, 0, counts[-1])
    asked = round(recipe[-1].get("epochs", 1) * last.per_epoch(plan.batch, lanes))
    steps_last = asked if len(recipe) > 1 else plan.steps
    left = plan.steps - steps_last
    if left < len(recipe) - 1:
        wanted = (steps_last + len(recipe) - 1) * plan.batch
        raise RecipeError(
            f"--samples-seen {plan.samples_seen}: phase {recipe[-1]['name']!r} alone takes {steps_last * plan.batch}; "
            f"wanted at least {wanted}, or --set phases=false"
        )
    weights = [table.get("epochs", 1) * count for table, count in zip(recipe[:-1], counts)]
    ends = [round(left * sum(weights[: n + 1]) / max(sum(weights), 1)) for n in range(len(weights))]
    steps = [end - start for start, end in zip([0, *ends], ends)] + [steps_last]
    rates = [plan.lr * table.get("lr", 1) / recipe[0].get("lr", 1) for table in recipe]
    first = Phase(recipe[0]["name"], steps[0], plan.lr, plan.warmup_steps, counts[0], chosen[0])
    rest = zip(recipe[1:], steps[1:], rates[1:], chosen[1:], counts[1:])
    return [first, *(_later(plan, table["name"], *values) for table, *values in rest)]


def _later(plan: Scale, name: str, steps: int, lr: float, uids: list[str] | None, samples: int) -> Phase:
    return Phase(name, steps, lr, min(plan.warmup_steps, steps // LATER_WARMUP), samples, uids)


def _samples_of(release: Release, table: dict, one: Phase) -> list[str] | None:
    """The uids to train on in the shards of a phase; None where that is the whole release."""
    shards = shards_of(table["shards"])
    if len(shards) == len(release.tars):
        return one.uids
    rows = release.samples(["uid", "shard"])
    found = rows.filter(pc.is_in(rows["shard"], pa.array(shards, pa.int32())))["uid"]
    if one.uids is not None:
        found = found.filter(pc.is_in(found, pa.array(one.uids, pa.string())))
    return found.to_pylist()


def learning_rate(step: int, phase: Phase) -> float:
    """Linear warm-up to the peak, then a half cosine to 0; `step` counts from the phase's first."""
    if step < phase.warmup_steps:
        return phase.lr * (step + 1) / phase.warmup_steps
    return phase.lr * (1 + math.cos(math.pi * (step - phase.warmup_steps) / (phase.steps - phase.warmup_steps))) / 2
