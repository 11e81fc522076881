"""The arithmetic of the comparison with open_clip's script, and how its log is read."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
pytest.importorskip("torch")

import train as bench


def test_rates_leave_out_the_first_steps_and_their_cpu_time():
    ours = [{"steps": [9.0, 9.0, 2.0, 2.0], "cpu": 30.0, "waited": 0.01}] * 3
    peer = [{"steps": [1.0, 1.0, 2.0, 3.0], "cpu": 46.0}] * 3
    found = bench.summary({"ours": ours, "peer": peer}, {"ours": 10.0, "peer": 6.0}, 64)
    assert (found["ours"], found["peer"], found["ratio"], found["cpu_ratio"]) == (32.0, 25.6, 1.25, 2.0)
    assert found["ratio_range"] == [1.25, 1.25] and found["data_wait_share"] == 0.01 and found["rounds"] == 3


def test_a_line_of_open_clips_log_is_read():
    line = "INFO | Train Epoch: 0 [ 64/256 (25%)] Data (t): 0.105 Batch (t): 1.204, 53.1/s, 53.1/s/gpu LR: 0.000005"
    assert bench.LINE.findall(line) == ["1.204"]


def test_both_sides_are_asked_for_the_same(tmp_path):
    made = [each(tmp_path, f"local-dir:{tmp_path}/m", 32, 4, "cpu") for each in (bench.ours, bench.peers)]
    ours = dict(each.split("=", 1) for each in made[0] if "=" in each)
    peer = {made[1][n][2:]: made[1][n + 1] for n in range(3, len(made[1]), 2)}
    assert int(ours["samples_seen"]) == int(peer["train-num-samples"]) == 128
    names = {"batch": "batch-size", "lr": "lr", "warmup_steps": "warmup", "beta2": "beta2", "weight_decay": "wd"}
    assert {ours[a]: peer[b] for a, b in names.items()} == {peer[b]: peer[b] for b in names.values()}
    assert ours["model"] == peer["model"] and peer["precision"] == "fp32"


@pytest.mark.slow
def test_a_round_runs(tmp_path):
    found = bench.benchmark(tmp_path, 8, 3, 1, "cpu", None)
    assert found["equal"] is True and found["ratio"] > 0
