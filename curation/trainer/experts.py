"""MoDE (arXiv:2404.16030): a seed model, and from it an expert for each group of caption clusters.

`curate train RELEASE --set experts=true --out RUN` trains RUN/seed on everything, then RUN/expert-G on the pairs of
each `cluster_group` G of the release, from the seed's weights. RUN/experts.json and RUN/centres.npy are what
`curate evaluate RUN` weighs the experts by.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curation.errors import RecipeError
from curation.files import committing, join, write_json
from curation.shards.manifest import Release
from curation.tables import read_arrow, read_done
from curation.trainer.checkpoints import check_folder
from curation.trainer.data import asked_for, split
from curation.trainer.distributed import together
from curation.trainer.scales import Scale

SEED_SHARE = 27 / 32  # of samples seen: the paper's seed is epoch 27 of 32 (section 4.1, from memory)
STAGE, GROUP = "cluster_pairs", "cluster_group"
SEED = "seed"  # the folder of the first of the runs


@dataclass(frozen=True)
class Groups:
    """Fine centres, float64 (m, dim), the group of each, and the model that embedded what they are centres of."""

    centres: np.ndarray
    groups: np.ndarray
    model: str


def read_groups(release: Release) -> Groups:
    """What the recipe's step `cluster_pairs` found; RecipeError where there was none, or its table is gone."""
    steps = [n for n, step in enumerate(release.mark.get("stages", [])) if step["run"] == STAGE]
    if not steps:
        raise RecipeError(f"experts: {release.out} is of a recipe without {STAGE}; wanted one as `mode`")
    folder = release.stage_folder(steps[-1])
    done = read_done(folder)
    if done is None:
        raise RecipeError(f"experts: no {folder}: the store that the release was made with holds the clusters' centres")
    table = read_arrow(join(folder, "centroids"), done["tables"]["centroids"]).sort_by("cluster")
    vectors = release.mark["stages"][steps[-1]]["settings"]["vectors"]
    names = [each["name"] for each in release.mark["signals"][vectors].get("models", {}).values()]
    return Groups(np.array(table["centre"].to_pylist()), np.array(table[GROUP].to_pylist()), names[0])


def members(release: Release, holdout: float, uids: str | None) -> dict[int, list[str]]:
    """The uids to train on of each group; RecipeError where the manifest does not say the groups."""
    if GROUP not in release.shard_samples(0).column_names:
        raise RecipeError(f"experts: no column {GROUP} in {release.out}; wanted it among write_shards.signals")
    held = frozenset(split(release, holdout)[1])
    asked = None if uids is None else asked_for(uids)
    found: dict[int, list[str]] = {}
    for row in release.samples(["uid", GROUP]).to_pylist():
        if row["uid"] not in held and (asked is None or row["uid"] in asked) and row[GROUP] is not None:
            found.setdefault(row[GROUP], []).append(row["uid"])
    return dict(sorted(found.items()))


def lengths(plan: Scale, groups: dict[int, list[str]]) -> tuple[int, dict[int, int]]:
    """Samples seen by the seed, and by each expert: what is left, by the sizes of the groups; together the plan's.

    RecipeError, before anything is trained, where one would not see a batch or does not have one.
    """
    seed = round(plan.samples_seen * SEED_SHARE)
    total = sum(map(len, groups.values()))
    seen = {group: (plan.samples_seen - seed) * len(uids) // max(total, 1) for group, uids in groups.items()}
    small = {
        group: (len(groups[group]), seen[group])
        for group in groups
        if min(len(groups[group]), seen[group]) < plan.batch
    }
    if small or not groups:
        raise RecipeError(
            f"experts: wanted a batch of {plan.batch} for each group to draw from and to see, "
            f"found (samples, samples seen) by group: {small or 'no group'}"
        )
    return seed, seen


def write_routing(out: Path, found: Groups, groups: Sequence[int]) -> None:
    """RUN/centres.npy and RUN/experts.json."""
    with committing(str(out / "centres.npy")) as file:
        np.save(file, found.centres, allow_pickle=False)
    folders = [f"expert-{group}" for group in groups]
    write_json(
        str(out / "experts.json"),
        {"seed": SEED, "experts": folders, "groups": found.groups.tolist(), "caption_model": found.model},
    )


def train_experts(release: str, plan: Scale, settings: dict[str, Any], uids: str | None) -> dict[str, Any] | None:
    """Train the seed and the experts; the results of all. `settings` are the other ones of `train`."""
    from curation.trainer.train import train

    with together():
        out = Path(settings["out"])
        check_folder(out, [SEED])
        opened = Release.open(release)
        found, groups = read_groups(opened), members(opened, settings["holdout"], uids)
        seed, seen = lengths(plan, groups)
    others = [change for change in settings["set"] or [] if not change.startswith("samples_seen=")]  # told below
    changes = [*others, "experts=false", "phases=false"]
    same = {n: settings[n] for n in ("scale", "seed", "holdout", "workers", "device", "tensorboard")}
    first = {"out": str(out / SEED), "uids": uids, "start": settings["start"], "samples_seen": seed}
    results = {SEED: train(release, set=changes, **same, **first)}
    for group, chosen in groups.items():
        listed = out / f"expert-{group}.uids"
        with committing(str(listed)) as file:
            file.write("\n".join(chosen).encode())
        own = {"out": str(out / f"expert-{group}"), "uids": str(listed), "start": first["out"]}
        results[f"expert-{group}"] = train(release, set=changes, **same, **own, samples_seen=seen[group])
    if results[SEED] is None:
        return None
    write_routing(out, found, list(groups))
    return {"out": str(out), "runs": results}
