"""Training for real, a few steps at a time: learns, repeats itself, resumes, stops on NaN, loads in open_clip."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from curation.errors import CurationError, MissingModelError, RecipeError, StaleOutputError
from curation.trainer import train as module
from curation.trainer.evaluate import evaluate
from curation.trainer.scales import SCALES
from curation.trainer.train import build_model, learning_rate, normalised, train


@pytest.fixture(scope="module")
def run(release, tmp_path_factory) -> Path:
    """A finished tiny run."""
    out = tmp_path_factory.mktemp("run") / "a"
    train(release, out=str(out), holdout=0.2, samples_seen=96, workers=0)
    return out


def test_a_run_leaves_model_log_plot_and_result(run, log, capsys):
    assert {p.name for p in run.iterdir()} == {
        "model.safetensors", "open_clip_config.json", "log.jsonl", "loss.png", "result.json",
    }  # fmt: skip
    lines = log(run)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert [line["samples"] for line in lines] == [16, 32, 48, 64, 80, 96]
    assert lines[0].keys() == {"step", "samples", "epoch", "loss", "lr", "grad_norm", "logit_scale"}
    result = json.loads((run / "result.json").read_text())
    assert result["steps"] == 6 and result["held_out"]["pairs"] > 2 and result["settings"]["model"] == "sample-clip"
    assert (run / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_run_again_does_nothing_and_another_is_refused(release, run):
    before = (run / "model.safetensors").stat().st_mtime_ns
    result = train(release, out=str(run), holdout=0.2, samples_seen=96, workers=1)
    assert result == json.loads((run / "result.json").read_text())
    assert (run / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(StaleOutputError, match=r"seed.*0 \(wanted 1\)"):
        train(release, out=str(run), holdout=0.2, samples_seen=96, seed=1)


def test_a_run_is_a_function_of_release_and_settings(release, run, log, tmp_path):
    train(release, out=str(tmp_path / "b"), holdout=0.2, samples_seen=96, workers=1)
    assert log(tmp_path / "b") == log(run)
    assert (tmp_path / "b/model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()
    train(release, out=str(tmp_path / "c"), holdout=0.2, samples_seen=96, workers=0, seed=1)
    assert log(tmp_path / "c")[0]["loss"] != log(run)[0]["loss"]


def test_the_model_loads_in_open_clip(run):
    import open_clip

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{run}")
    tokens = open_clip.get_tokenizer(f"local-dir:{run}")(["a red picture", "a blue picture"])
    model.eval()
    with torch.no_grad():
        text = model.encode_text(tokens, normalize=True)
        image = model.encode_image(torch.zeros(1, 3, *model.visual.image_size), normalize=True)
    assert text.shape == (2, 128) and image.shape == (1, 128) and tokens.shape == (2, 32)
    assert preprocess.transforms[0].size == model.visual.image_size[0] == 80
    stored = open_clip.factory.load_state_dict(str(run / "model.safetensors"))
    assert {t.dtype for t in stored.values()} == {torch.float16}
    assert all(torch.equal(t.float(), stored[k].float()) for k, t in model.state_dict().items())


def test_the_packaged_architecture_stays_small(run):
    assert (run / "model.safetensors").stat().st_size <= 25_000_000


def test_evaluate_again_gives_what_training_said(release, run):
    wanted = json.loads((run / "result.json").read_text())["held_out"]
    assert evaluate(str(run), release=release, holdout=0.2) == wanted
    assert evaluate(str(run), release=release, holdout=0.2, samples=3)["pairs"] == 3


def test_it_learns(release, tmp_path, log, monkeypatch):
    monkeypatch.setitem(SCALES, "learning", replace(SCALES["tiny"], warmup_steps=5))
    train(release, scale="learning", out=str(tmp_path / "a"), holdout=0, samples_seen=640, workers=0)
    lines = log(tmp_path / "a")
    assert lines[0]["loss"] == pytest.approx(math.log(16), abs=0.5)
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.5
    assert json.loads((tmp_path / "a/result.json").read_text())["held_out"] is None


class Killed(BaseException):
    """Stands for a kill: nothing in the trainer may catch it."""


def test_a_killed_run_goes_on_as_if_it_had_not_been(release, run, log, tmp_path, monkeypatch):
    out = tmp_path / "killed"
    update = module.update

    def dying(state, model, batch):
        if state.step == 4:
            raise Killed
        return update(state, model, batch)

    monkeypatch.setattr(module, "CHECKPOINTS", 2)  # after steps 3 and 6
    monkeypatch.setattr(module, "update", dying)
    with pytest.raises(Killed):
        train(release, out=str(out), holdout=0.2, samples_seen=96, workers=0)
    with open(out / "log.jsonl", "a") as file:
        file.write('{"step": 5, "sam')  # a line cut short
    assert [line["step"] for line in log_lines(out)] == [1, 2, 3, 4]
    with pytest.raises(StaleOutputError, match=r"samples_seen.*96 .wanted 112"):
        train(release, out=str(out), holdout=0.2, samples_seen=112, workers=0)
    monkeypatch.setattr(module, "update", update)
    train(release, out=str(out), holdout=0.2, samples_seen=96, workers=0)
    assert log(out) == log(run)
    assert (out / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


def log_lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines() if line.endswith("}")]


def test_nan_stops_the_run_with_its_step(release, tmp_path, monkeypatch):
    monkeypatch.setitem(SCALES, "broken", replace(SCALES["tiny"], lr=float("inf"), clip_norm=None))
    with pytest.raises(CurationError, match=r"loss is nan at step \d, lr inf"):
        train(release, scale="broken", out=str(tmp_path / "a"), workers=0)
    assert not (tmp_path / "a/model.safetensors").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": "huge"}, r"no scale \['huge'\]; known: .*'tiny'"),
        ({"holdout": 1.0}, "holdout 1.0"),
        ({"samples_seen": 3}, "one batch of samples seen"),
        ({"scale": "sample"}, "fewer than a batch of 256"),
    ],
)
def test_wrong_settings_are_told_before_work(release, tmp_path, settings, message):
    with pytest.raises(RecipeError, match=message):
        train(release, out=str(tmp_path / "a"), **settings)
    assert not (tmp_path / "a").exists()


def test_an_unknown_model_is_told():
    with pytest.raises(MissingModelError, match="no model 'ViT-Q'"):
        build_model("ViT-Q", 0)


def test_only_the_uids_asked_for(release, tmp_path, monkeypatch):
    from curation.shards.manifest import Release

    some = Release.open(release).samples(["uid"])["uid"].to_pylist()[::3]
    (tmp_path / "uids.txt").write_text("\n".join([*some, "f" * 32]))
    seen = []
    update = module.update
    monkeypatch.setattr(module, "update", lambda r, m, b: (seen.extend(b["uid"]), update(r, m, b))[1])
    train(release, out=str(tmp_path / "a"), uids=str(tmp_path / "uids.txt"), holdout=0, samples_seen=32, workers=0)
    assert len(seen) == 32 and set(seen) <= set(some)


def test_learning_rate_warms_up_and_ends_near_zero():
    plan = replace(SCALES["small"], samples_seen=4096 * 1500)
    rates = [learning_rate(step, plan) for step in range(plan.steps)]
    assert rates[0] == plan.lr / 500 and max(rates) == rates[500] == rates[499] == plan.lr
    assert rates[1000] == pytest.approx(plan.lr / 2) and 0 < rates[-1] < plan.lr / 1e5


def test_scales_are_datacomps():
    """arXiv:2304.14108, as many samples as the pool of each scale."""
    found = {n: (s.model, s.samples_seen, s.batch, s.lr, s.warmup_steps, s.beta2) for n, s in SCALES.items()}
    assert found["small"] == ("ViT-B-32", 12_800_000, 4096, 5e-4, 500, 0.98)
    assert found["medium"] == ("ViT-B-32", 128_000_000, 4096, 5e-4, 500, 0.98)
    assert found["large"] == ("ViT-B-16", 1_280_000_000, 8192, 5e-4, 500, 0.98)
    assert found["xlarge"] == ("ViT-L-14", 12_800_000_000, 90_112, 1e-3, 10_000, 0.95)


def test_normalised_is_what_open_clip_does():
    from torchvision.transforms.functional import normalize

    pixels = torch.randint(0, 255, (2, 3, 5, 5), dtype=torch.uint8)
    config = {"mean": (0.48, 0.45, 0.40), "std": (0.26, 0.25, 0.27)}
    assert torch.allclose(normalised(pixels, config), normalize(pixels / 255, config["mean"], config["std"]), atol=1e-5)


def command(release: str, out: Path, *more: str) -> list[str]:
    settings = ["--scale", "tiny", "--out", str(out), "--holdout", "0.2", "--samples-seen", "96", "--workers", "0"]
    return [*more, "-m", "curation.trainer.train", release, *settings]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}


def test_command_line_prints_one_json_line(release, run, tmp_path):
    done = subprocess.run(
        command(release, tmp_path / "cli", sys.executable),
        check=True, capture_output=True, text=True, cwd=tmp_path, env=environment(),
    )  # fmt: skip
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["steps"] == 6
    assert [json.loads(text)["step"] for text in done.stderr.splitlines()] == [1, 2, 3, 4, 5, 6]


def test_a_sigkilled_process_goes_on(release, run, log, tmp_path):
    out = tmp_path / "killed"
    arguments = command(release, out, sys.executable)
    with subprocess.Popen(arguments, stderr=subprocess.DEVNULL, cwd=tmp_path, env=environment()) as process:
        while process.poll() is None and not (out / "checkpoint.pt").exists():
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL and not (out / "result.json").exists()
    subprocess.run(arguments, check=True, capture_output=True, cwd=tmp_path, env=environment())
    assert log(out) == log(run)


def test_two_ranks_train_on_the_same_loss_as_one(release, run, log, tmp_path):
    """Other samples share a batch, and the dropout differs, so only the first loss, before any update, is close."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = command(release, tmp_path / "two", *torchrun)
    subprocess.run(arguments, check=True, capture_output=True, cwd=tmp_path, env=environment(), timeout=300)
    two, one = log(tmp_path / "two"), log(run)
    assert [line["step"] for line in two] == [line["step"] for line in one]
    assert two[0]["loss"] == pytest.approx(one[0]["loss"], abs=0.3)
    assert json.loads((tmp_path / "two/result.json").read_text())["held_out"]["pairs"] > 2
