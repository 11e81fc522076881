"""Scores of the arms from what each run's evaluation left, and how sure the differences are."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from planting.measuring import slug

from proving.arms import FULL, POOL, RANDOM, Arm
from proving.pool import Kept

METRICS = {  # what the tables show: the set, the metric
    "zero_shot": ("things", "acc1"),
    "recall_1": ("scenes", "mean_recall@1"),
    "recall_5": ("scenes", "mean_recall@5"),
}
CUTOFF = 5  # the recall that counts for the score: among a thousand scenes a small model finds few at once
RESAMPLES, SEED = 2000, 0


class Hits(NamedTuple):
    """Share found of each test picture, by seeds: of the classes float (seeds, n), of the scenes (seeds, m)."""

    things: np.ndarray
    scenes: np.ndarray

    def score(self, seeds: np.ndarray, things: np.ndarray, scenes: np.ndarray) -> float:
        """Mean of zero-shot accuracy and recall at CUTOFF, of the seeds and the pictures of these places."""
        return float((self.things[np.ix_(seeds, things)].mean() + self.scenes[np.ix_(seeds, scenes)].mean()) / 2)


def run_folder(work: Path, name: str, seed: int) -> Path:
    """Where the model of an arm and a seed is."""
    return work / "runs" / f"{slug(name)}-{seed}"


def hits(work: Path, name: str, seeds: int) -> Hits | None:
    """What the runs of an arm found, None where there is none; of fewer seeds while a benchmark is going on."""
    found = [run_folder(work, name, seed) / "evaluation" / "hits.npz" for seed in range(seeds)]
    arrays = [np.load(path) for path in found if path.is_file()]
    if not arrays:
        return None
    things = np.stack([each["things/zeroshot_classification/acc1"] for each in arrays]).astype(float)
    ways = [each[f"scenes/zeroshot_retrieval/{way}"] < CUTOFF for each in arrays for way in ("by_image", "by_text")]
    return Hits(things, np.stack(ways).reshape(len(arrays), 2, -1).mean(axis=1))


def interval(first: Hits, second: Hits | None = None) -> tuple[float, float]:
    """The middle 95 % of the score, or of its ratio to another arm's, over resamples of seeds and of test pictures.

    Both arms meet the same pictures, and each its own seeds.
    """
    draw, found = np.random.default_rng(SEED), []
    for _ in range(RESAMPLES):
        things, scenes = (draw.integers(0, n, n) for n in (first.things.shape[1], first.scenes.shape[1]))
        value, other = (
            None if each is None else each.score(draw.integers(0, len(each.things), len(each.things)), things, scenes)
            for each in (first, second)
        )
        found.append(value if other is None else value / other if other else np.inf)
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def collected(arms: Sequence[Arm], kept: dict[str, Kept], seeds: int, work: Path) -> dict[str, Any]:
    """The arms that have run: what they train on, their metrics by seed, score and intervals."""
    pool, shown = hits(work, POOL, seeds), {}
    for arm in arms:
        found = hits(work, arm.name, seeds)
        if found is None or pool is None:
            continue
        runs = [run_folder(work, arm.name, seed) / "evaluation" / "evaluation.json" for seed in range(seeds)]
        sets = [
            {one["name"]: one["metrics"] for one in json.loads(path.read_text())["sets"]}
            for path in runs
            if path.is_file()
        ]
        about = {"note": arm.note, "changes": list(arm.changes), **_trained(kept[arm.name])}
        about |= {name: [each[of][metric] for each in sets] for name, (of, metric) in METRICS.items()}
        places = [np.arange(n) for n in (found.things.shape[1], found.scenes.shape[1])]
        about["scores"] = [found.score(np.array([seed]), *places) for seed in range(len(found.things))]
        about |= {"score": float(np.mean(about["scores"])), "interval": interval(found)}
        about |= {"over_pool": about["score"] / max(_score(pool), 1e-9), "over_pool_interval": interval(found, pool)}
        shown[arm.name] = about
    return {"arms": shown}


def _score(found: Hits) -> float:
    return float((found.things.mean() + found.scenes.mean()) / 2)


def _trained(kept: Kept) -> dict[str, Any]:
    return {"pairs": kept.pairs, "faults": kept.faults}


def headline(result: dict[str, Any]) -> dict[str, Any]:
    """`ratio`: the lower end of the interval of `full` over the pool; and whether it is beyond the spread of seeds."""
    arms = result["arms"]
    if FULL not in arms:
        return {"ratio": None, "ours": None, "peer": None, "equal": True}
    beyond = {name: min(arms[FULL]["scores"]) > max(arms[name]["scores"]) for name in (POOL, RANDOM) if name in arms}
    full, pool = arms[FULL], arms[POOL]
    found = {"ratio": round(full["over_pool_interval"][0], 3), "ours": round(full["score"], 4)}
    return found | {"peer": round(pool["score"], 4), "equal": True, "full_beyond_spread_of": beyond}
