"""Two processes over gloo against one: the same loss step by step, and no waiting where one of them cannot start."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainer.ranks import RUNS, settings

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-5  # relative, over six steps: sums over ranks round otherwise, and AdamW carries it on
START_S = 300  # torch and open_clip, two times on two cores that others use too; torch itself waits for half an hour


def ranks(*arguments: object) -> subprocess.CompletedProcess:
    """tests/trainer/ranks.py by two processes."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "-m", "tests.trainer.ranks", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=START_S
    )


@pytest.fixture(scope="module")
def two(release, small, tmp_path_factory) -> Path:
    """All that two processes do without being killed: one start of torch."""
    out = tmp_path_factory.mktemp("two")
    shutil.copytree(release, out / "CUT")
    (out / "CUT/shards/00000001.tar").unlink()
    (out / "FOREIGN").mkdir()
    (out / "FOREIGN/result.json").write_text(json.dumps({"settings": {"seed": 7}}))
    done = ranks(release, small, out)
    assert done.returncode == 0, done.stderr[-3000:]
    return out


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_train_as_one_does(release, small, two, tmp_path, log, name):
    from curation.trainer.train import train

    train(release, out=str(tmp_path / name), set=settings(name, small), holdout=0, samples_seen=96, workers=0)
    compared(log(two / name), log(tmp_path / name))
    assert json.loads((two / name / "result.json").read_text())["ranks"] == 2


def compared(found: list[dict], wanted: list[dict]) -> None:
    assert len(found) == len(wanted) == 6
    for step, other in zip(found, wanted):
        assert step.keys() == other.keys()
        for value in ("loss", "grad_norm", "logit_scale"):
            assert step[value] == pytest.approx(other[value], rel=TOLERANCE), (step["step"], value)


def test_two_processes_that_were_killed_go_on(release, small, two, log):
    """Rank 1 dies before step 6, the third of an epoch; the last checkpoint is that of step 4, its first."""
    killed = ranks(release, small, two, 6)
    assert killed.returncode != 0 and "Signal 9 (SIGKILL)" in killed.stderr
    mark = json.loads((two / "killed/checkpoint.json").read_text())
    assert (mark["step"], mark["ranks"]) == (4, 2)
    again = ranks(release, small, two, 0)
    assert again.returncode == 0, again.stderr[-3000:]
    shown = [json.loads(line)["step"] for line in again.stderr.splitlines() if line.startswith('{"step"')]
    assert shown == [5, 6]
    compared(log(two / "killed"), log(two / "clip"))


@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        ("device", "RecipeError", r"rank 1 of 2: --device gpu: not here; known: \['cpu'"),
        ("shard", "BrokenTableError", r"rank 1 of 2: .*00000001\.tar"),
        ("model", "MissingModelError", r"rank 1 of 2: no model 'local-dir:not-here': no open_clip_config\.json there"),
        ("uids", "RecipeError", r"rank 1 of 2: no file .*not-here\.txt; wanted a list"),
        ("result", "StaleOutputError", r"rank 1 of 2: .*FOREIGN holds another run, with {.*'seed': '7 \(wanted 0\)'"),
        ("locked", "LockedOutputError", r"rank 0 of 2: .*locked is being written by process \d+ on "),
        ("tensorboard", "RecipeError", r"rank 0 of 2: --tensorboard: its package is not here"),
        ("kind", "RecipeError", r"--device: ranks are on, rank by rank, \['cpu', 'cuda'\]; wanted "),
        ("seed", "RecipeError", r"ranks differ, rank by rank: {'settings': \[.* that all can see"),
        ("shared", "RecipeError", r"--device cuda:0: .* wanted --device cuda"),
    ],
)
def test_what_one_rank_cannot_do_all_ranks_tell_instead_of_waiting(two, name, kind, sentence):
    first, second = (json.loads((two / f"{name}-{rank}.json").read_text()) for rank in (0, 1))
    assert first == second and first[0] == kind
    assert re.match(sentence, first[1]), first[1]
    assert not list((two / name).glob("*"))
