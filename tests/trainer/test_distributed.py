"""Two processes over gloo against one: the same loss step by step, and no waiting where they differ."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainer.ranks import RUNS, settings

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-5  # relative, over six steps: sums over ranks round otherwise, and AdamW carries it on


@pytest.fixture(scope="module")
def two(release, small, tmp_path_factory) -> Path:
    """The runs of tests/trainer/ranks.py by two processes: one start of torch for all."""
    out = tmp_path_factory.mktemp("two")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "-m", "tests.trainer.ranks", release, small, str(out)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return out


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_train_as_one_does(release, small, two, tmp_path, log, name):
    from curation.trainer.train import train

    train(release, out=str(tmp_path / name), set=settings(name, small), holdout=0, samples_seen=96, workers=0)
    found, wanted = log(two / name), log(tmp_path / name)
    assert len(found) == len(wanted) == 6
    for step, alone in zip(found, wanted):
        assert step.keys() == alone.keys()
        for value in ("loss", "grad_norm", "logit_scale"):
            assert step[value] == pytest.approx(alone[value], rel=TOLERANCE), (step["step"], value)
    assert json.loads((two / name / "result.json").read_text())["ranks"] == 2


def test_ranks_that_differ_say_so_instead_of_waiting(two):
    for rank in (0, 1):
        told = json.loads((two / f"differ-{rank}.json").read_text())
        assert told.startswith("ranks differ, rank by rank: {'settings': [") and "all can see" in told
    assert not (two / "differ").exists()
