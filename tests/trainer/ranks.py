"""What each of two processes does in test_distributed.py: several small runs, and some that cannot start.

torchrun --nproc-per-node 2 -m tests.trainer.ranks RELEASE MODEL OUT
torchrun --nproc-per-node 2 -m tests.trainer.ranks RELEASE MODEL OUT STEP    the run `killed`; rank 1 dies before STEP
"""

import json
import os
import signal
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from curation.errors import CurationError
from curation.files import locked
from curation.trainer import train as module
from curation.trainer.train import train

# Each with the loss of a one-process run of the same lanes.
RUNS = {
    "clip": ["keep_patches=0.5"],
    "siglip": ["loss=siglip"],
    "pieces": ["accumulate=2", "checkpointing=true"],
}
SAME = {"holdout": 0, "samples_seen": 96, "device": "cpu"}
# Where each rank does not see the same thing: what rank 1 is given, and rank 0 is not. CUT and FOREIGN lie in OUT.
ONE_RANK = {
    "device": {"device": "gpu"},
    "shard": {"release": "CUT"},
    "model": {"model": "local-dir:not-here"},
    "uids": {"uids": "not-here.txt"},
    "result": {"out": "FOREIGN"},
    "seed": {"seed": 1},
}


def settings(name: str, model: str) -> list[str]:
    """The settings of one of the runs; lanes, so that one process forms the batches of two."""
    return [f"model={model}", "lanes=2", "clip_norm=null", *RUNS[name]]


def refused(name: str, release: str, model: str, out: str, /, **own: object) -> None:
    """Try a run that cannot start, and leave what this rank says of it in OUT/NAME-RANK.json."""
    asked = SAME | {"release": release, "out": f"{out}/{name}", "model": model} | own
    data, architecture = asked.pop("release"), asked.pop("model")
    try:
        train(data, set=settings("clip", architecture), **asked)
    except CurationError as error:
        told = [type(error).__name__, str(error)]
        Path(out, f"{name}-{os.environ['RANK']}.json").write_text(json.dumps(told))


def dying(step: int) -> None:
    """Let the last rank kill itself before that step."""
    update = module.update

    def killed(run, lr, batch):
        if run.step + 1 == step and run.place.rank == run.place.world - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return update(run, lr, batch)

    module.update = killed


def main() -> None:
    """The runs that cannot start, then each that can; or the one that is killed."""
    release, model, out = sys.argv[1:4]
    rank = int(os.environ["RANK"])
    if len(sys.argv) > 4:
        dying(int(sys.argv[4]))
        train(release, out=f"{out}/killed", set=[*settings("clip", model), "checkpoints=3"], **SAME)
        return
    for name, own in ONE_RANK.items():
        here = {k: f"{out}/{v}" if v in ("CUT", "FOREIGN") else v for k, v in own.items()} if rank == 1 else {}
        refused(name, release, model, out, **here)
    with locked(f"{out}/locked", wait=False) if rank == 0 else nullcontext():  # as if another process trained there
        refused("locked", release, model, out)
    refused("shared", release, model, out, device="cuda:0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: rank == 1)  # a GPU on one machine, none on the other
        patch.setattr(torch.cuda, "device_count", lambda: 2 * rank)
        refused("kind", release, model, out, device=None)
    with pytest.MonkeyPatch.context() as patch:
        if rank == 0:
            patch.setitem(sys.modules, "torch.utils.tensorboard", None)  # as where it is not installed
        refused("tensorboard", release, model, out, tensorboard=True)
    for name in RUNS:
        train(release, out=f"{out}/{name}", set=settings(name, model), workers=rank, **SAME)  # workers change nothing


if __name__ == "__main__":
    main()
