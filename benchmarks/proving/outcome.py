"""Scores of the arms from what each run's evaluation left, and how sure the differences are."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from planting.measuring import slug

from proving.arms import FULL, POOL, RANDOM, Arm
from proving.pool import Kept

CUTOFF = 5  # the recall that counts for the score: among a thousand scenes a small model finds few at once
SHOWN = {"zeroshot_classification": ("acc1",), "zeroshot_retrieval": ("mean_recall@1", f"mean_recall@{CUTOFF}")}
RESAMPLES, SEED = 2000, 0

Hits = dict[str, np.ndarray]  # by set the share found of each test picture, float (seeds, pictures)


def score(found: Hits, seeds: np.ndarray, places: dict[str, np.ndarray]) -> float:
    """The mean over the sets of the mean share found: of these seeds, and of the pictures of these places."""
    return float(np.mean([found[name][np.ix_(seeds, places[name])].mean() for name in found]))


def run_folder(work: Path, name: str, seed: int) -> Path:
    """Where the model of an arm and a seed is."""
    return work / "runs" / f"{slug(name)}-{seed}"


def hits(work: Path, name: str, seeds: int) -> Hits | None:
    """What the runs of an arm found, None where there is none; of fewer seeds while a benchmark is going on."""
    found = [run_folder(work, name, seed) / "evaluation" / "hits.npz" for seed in range(seeds)]
    by_seed = [_by_set(np.load(path)) for path in found if path.is_file()]
    return {each: np.stack([one[each] for one in by_seed]) for each in by_seed[0]} if by_seed else None


def _by_set(arrays: Any) -> dict[str, np.ndarray]:
    """By set the share found of each picture: its class, or, both ways, what is among the first CUTOFF."""
    found = {}
    for key in arrays:
        each, task, kind = key.rsplit("/", 2)
        if task == "zeroshot_classification":
            found[each] = arrays[key].astype(float)
        elif kind == "by_image":
            owners = arrays[f"{each}/{task}/owners"]
            asked = np.bincount(owners, weights=arrays[f"{each}/{task}/by_text"] < CUTOFF) / np.bincount(owners)
            found[each] = ((arrays[key] < CUTOFF) + asked) / 2
    return found


def interval(first: Hits, second: Hits | None = None) -> tuple[float, float]:
    """The middle 95 % of the score, or of its ratio to another arm's, over resamples of seeds and of test pictures.

    Both arms meet the same pictures, and each its own seeds.
    """
    draw, found = np.random.default_rng(SEED), []
    for _ in range(RESAMPLES):
        places = {name: draw.integers(0, each.shape[1], each.shape[1]) for name, each in first.items()}
        value, other = (
            None if each is None else score(each, draw.integers(0, _seeds(each), _seeds(each)), places)
            for each in (first, second)
        )
        found.append(value if other is None else value / other if other else np.inf)
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def _seeds(found: Hits) -> int:
    return len(next(iter(found.values())))


def _all(found: Hits) -> dict[str, np.ndarray]:
    return {name: np.arange(each.shape[1]) for name, each in found.items()}


def collected(arms: Sequence[Arm], kept: dict[str, Kept], seeds: int, work: Path) -> dict[str, Any]:
    """The arms that have run: what they train on, their metrics by seed, score and intervals."""
    pool, shown = hits(work, POOL, seeds), {}
    for arm in arms:
        found = hits(work, arm.name, seeds)
        if found is None or pool is None:
            continue
        own = kept[arm.name]
        about = {"note": arm.note, "changes": list(arm.changes), "pairs": own.pairs, "faults": own.faults}
        about["metrics"] = _metrics(work, arm.name, seeds)
        about["scores"] = [score(found, np.array([seed]), _all(found)) for seed in range(_seeds(found))]
        about |= {"score": float(np.mean(about["scores"])), "interval": interval(found)}
        over = about["score"] / max(score(pool, np.arange(_seeds(pool)), _all(pool)), 1e-9)
        shown[arm.name] = about | {"over_pool": over, "over_pool_interval": interval(found, pool)}
    return {"arms": shown}


def _metrics(work: Path, name: str, seeds: int) -> dict[str, list[float]]:
    """What is shown of each set, a number a seed."""
    found: dict[str, list[float]] = {}
    paths = [run_folder(work, name, seed) / "evaluation" / "evaluation.json" for seed in range(seeds)]
    for path in (each for each in paths if each.is_file()):
        for one in json.loads(path.read_text())["sets"]:
            for metric in SHOWN.get(one["task"], ()):
                found.setdefault(f"{one['name']} {metric}", []).append(one["metrics"][metric])
    return found


def headline(result: dict[str, Any]) -> dict[str, Any]:
    """`ratio`: the lower end of the interval of `full` over the pool; and whether it is beyond the spread of seeds."""
    arms = result["arms"]
    if FULL not in arms:
        return {"ratio": None, "ours": None, "peer": None, "equal": True}
    beyond = {name: min(arms[FULL]["scores"]) > max(arms[name]["scores"]) for name in (POOL, RANDOM) if name in arms}
    full, pool = arms[FULL], arms[POOL]
    found = {"ratio": round(full["over_pool_interval"][0], 3), "ours": round(full["score"], 4)}
    return found | {"peer": round(pool["score"], 4), "equal": True, "full_beyond_spread_of": beyond}
