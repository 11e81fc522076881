"""What each of two processes does in test_distributed.py: several small runs, and one in which the ranks differ.

torchrun --nproc-per-node 2 -m tests.trainer.ranks RELEASE MODEL OUT
"""

import json
import os
import sys
from pathlib import Path

from curation.errors import RecipeError
from curation.trainer.train import train

# Each with the loss of a one-process run of the same lanes.
RUNS = {
    "clip": ["keep_patches=0.5"],
    "siglip": ["loss=siglip"],
    "pieces": ["accumulate=2", "checkpointing=true"],
}


def settings(name: str, model: str) -> list[str]:
    """The settings of one of the runs; lanes, so that one process forms the batches of two."""
    return [f"model={model}", "lanes=2", "clip_norm=null", *RUNS[name]]


def main() -> None:
    """Train each run, then one with a seed of its own on each rank."""
    release, model, out = sys.argv[1:]
    rank = int(os.environ["RANK"])
    same = {"holdout": 0, "samples_seen": 96, "workers": rank, "device": "cpu"}  # workers make no difference
    for name in RUNS:
        train(release, out=f"{out}/{name}", set=settings(name, model), **same)
    try:
        train(release, out=f"{out}/differ", set=settings("clip", model), seed=rank, **same)
    except RecipeError as error:
        Path(out, f"differ-{rank}.json").write_text(json.dumps(str(error)))


if __name__ == "__main__":
    main()
