"""Training for real, a few steps at a time: learns, repeats itself, resumes, stops on NaN, loads in open_clip."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from curation.errors import (
    BrokenTableError,
    CurationError,
    LockedOutputError,
    MissingModelError,
    RecipeError,
    StaleOutputError,
)
from curation.files import locked
from curation.shards.manifest import Release
from curation.trainer import train as module
from curation.trainer.data import Collate
from curation.trainer.evaluate import evaluate
from curation.trainer.logs import Log
from curation.trainer.model import build_model, normalised
from curation.trainer.phases import Phase, learning_rate
from curation.trainer.scales import SCALES
from curation.trainer.train import train
from tests.trainer.conftest import SMALL


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
    assert lines[0].keys() == {"step", "samples", "phase", "epoch", "loss", "lr", "grad_norm", "logit_scale"}
    result = json.loads((run / "result.json").read_text())
    assert 0 <= result["data_wait_share"] < 1 and result["samples_per_s"] > 0
    assert result["steps"] == 6 and result["held_out"]["pairs"] > 2 and result["settings"]["model"] == "sample-clip"
    assert (run / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_run_again_does_nothing_and_another_is_refused(release, run):
    before = (run / "model.safetensors").stat().st_mtime_ns
    result = train(release, out=str(run), holdout=0.2, samples_seen=96, workers=1)
    assert result == json.loads((run / "result.json").read_text())
    assert (run / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(StaleOutputError, match=r"seed.*0 \(wanted 1\)"):
        train(release, out=str(run), holdout=0.2, samples_seen=96, seed=1)


def test_a_run_is_a_function_of_release_and_settings(quick, log):
    one, same, other = quick("a"), quick("b", workers=2), quick("c", seed=1)
    assert log(same) == log(one)
    assert (same / "model.safetensors").read_bytes() == (one / "model.safetensors").read_bytes()
    assert log(other)[0]["loss"] != log(one)[0]["loss"]


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


def test_it_learns(run, log):
    lines = log(run)
    assert lines[0]["loss"] == pytest.approx(math.log(16), abs=0.5)
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.5


def test_it_learns_by_the_sigmoid_loss(release, log, tmp_path):
    train(release, out=str(tmp_path / "a"), set=["loss=siglip"], holdout=0, samples_seen=96, workers=0)
    lines = log(tmp_path / "a")
    assert lines[0]["logit_scale"] == pytest.approx(10, rel=0.01)
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.5
    assert json.loads((tmp_path / "a/result.json").read_text())["held_out"] is None


# What changes how it is computed, not what: rounding alone may differ.
@pytest.mark.parametrize(
    "changes",
    [["accumulate=4"], ["accumulate=4", "loss=siglip"], ["checkpointing=true"], ["keep_patches=0.5", "accumulate=2"]],
)
def test_pieces_and_checkpointing_give_the_same_run(quick, log, changes):
    wanted = log(quick("whole", *[c for c in changes if not c.startswith(("accumulate", "checkpointing"))]))
    found = log(quick("other", *changes))
    for name in ("loss", "grad_norm", "logit_scale"):
        assert [line[name] for line in found] == pytest.approx([line[name] for line in wanted], rel=1e-4)


def test_half_precision_is_near(quick, log):
    wanted, found = log(quick("a")), log(quick("b", "precision=bfloat16"))
    assert found[0]["loss"] == pytest.approx(wanted[0]["loss"], rel=0.02) and found[0]["loss"] != wanted[0]["loss"]


def test_a_run_starts_from_another(quick, log):
    first = quick("a", "lr=1e-2")
    reached = log(first)[-1]["logit_scale"]
    assert reached != pytest.approx(1 / 0.07, rel=5e-3)
    assert log(quick("b", start=str(first), samples_seen=16))[0]["logit_scale"] == pytest.approx(reached, rel=1e-3)
    with pytest.raises(RecipeError, match="weights of another architecture"):
        quick("d", "model=sample-clip", start=str(first))


class Killed(BaseException):
    """Stands for a kill: nothing in the trainer may catch it."""


def dying_at(step: int):
    """`update` until that step, then the end."""
    update = module.update

    def dying(run, lr, batch):
        if run.step == step:
            raise Killed
        return update(run, lr, batch)

    return dying


def test_a_killed_run_goes_on_as_if_it_had_not_been(release, quick, small, log, monkeypatch):
    changes = ("accumulate=2", "keep_patches=0.5", "captions=any", "checkpoints=2")  # after steps 3 and 6
    whole = quick("whole", *changes, samples_seen=112)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module, "update", dying_at(5))
        quick("killed", *changes, samples_seen=112)
    out = whole.parent / "killed"
    with open(out / "log.jsonl", "a") as file:
        file.write('{"step": 5, "sam')  # a line cut short
    assert [line["step"] for line in log_lines(out)] == [1, 2, 3, 4]
    assert {p.name for p in out.iterdir()} == {"log.jsonl", "checkpoint.json", "checkpoint-3"}
    with pytest.raises(StaleOutputError, match=r"samples_seen.*112 .wanted 128"):
        quick("killed", *changes, samples_seen=128)
    quick("killed", *changes, samples_seen=112, workers=2)
    assert log(out) == log(whole)
    assert (out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert not list(out.glob("checkpoint*"))


def test_a_checkpoint_is_a_model_of_open_clip(quick, small, monkeypatch, tmp_path):
    import open_clip

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module, "update", dying_at(4))
        quick("a", "loss=siglip")
    model = open_clip.create_model(f"local-dir:{tmp_path}/a/checkpoint-4")
    assert model.logit_bias.item() == pytest.approx(-10, abs=0.1)
    assert model.logit_scale.exp().item() == pytest.approx(10, rel=0.1)
    assert model.visual.image_size == (32, 32) and model.context_length == 16


def test_a_run_of_other_ranks_is_not_gone_on_with(quick, monkeypatch, tmp_path):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module, "update", dying_at(3))
        quick("a")
    mark = json.loads((tmp_path / "a/checkpoint.json").read_text())
    (tmp_path / "a/checkpoint.json").write_text(json.dumps(mark | {"ranks": 2}))
    with pytest.raises(StaleOutputError, match="a run of 2 ranks at step 3, this is one of 1: start 2 to go on"):
        quick("a")


def test_a_folder_that_is_no_runs_is_refused_and_stays(release, quick, tmp_path):
    """Other trainers call their checkpoints checkpoint-STEP too."""
    other = tmp_path / "a/checkpoint-500"
    other.mkdir(parents=True)
    (other / "optimizer.pt").write_bytes(b"theirs")
    (tmp_path / "a/model.safetensors").write_bytes(b"theirs")
    with pytest.raises(StaleOutputError, match=r"a holds what is no run: \['checkpoint-500', 'model.safetensors'\]"):
        quick("a")
    with pytest.raises(StaleOutputError, match="a holds what is no run"):
        quick("a", "experts=true")
    assert {p.read_bytes() for p in tmp_path.rglob("a/**/*") if p.is_file()} == {b"theirs"}
    (tmp_path / "b").mkdir()
    (tmp_path / "b/result.json").write_text("[1]")
    with pytest.raises(StaleOutputError, match="b holds another run"):
        quick("b")


def test_only_the_runs_own_checkpoints_go(quick, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module, "update", dying_at(3))
        quick("a", "checkpoints=5")
    for name in ("checkpoint-500", "checkpoint-best"):
        (tmp_path / "a" / name).mkdir()
        (tmp_path / "a" / name / "optimizer.pt").write_bytes(b"theirs")
    quick("a", "checkpoints=5")
    assert {p.name for p in (tmp_path / "a").glob("checkpoint*")} == {"checkpoint-500", "checkpoint-best"}


def test_a_run_that_another_process_trains_is_refused(quick, tmp_path):
    (tmp_path / "a").mkdir()
    with locked(str(tmp_path / "a"), wait=False), pytest.raises(LockedOutputError, match="is being written by process"):
        quick("a")
    assert not (tmp_path / "a/log.jsonl").exists()
    seen = []
    update = module.update

    def second(run, lr, batch):
        if not seen:
            seen.append(True)
            with pytest.raises(LockedOutputError):
                quick("a")
        return update(run, lr, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "update", second)
        quick("a")
    assert seen and not (tmp_path / "a/lock").exists()


def test_a_run_that_another_process_took_meanwhile_is_refused(quick, tmp_path, monkeypatch):
    """Between the checks, which take seconds, and the lock."""
    done = quick("a")
    found = module.checked

    def slow(*given):
        answer = found(*given)
        shutil.copytree(done, tmp_path / "b")
        return answer

    monkeypatch.setattr(module, "checked", slow)
    with pytest.raises(LockedOutputError, match="another process has written it"):
        quick("b")
    assert (tmp_path / "b/result.json").read_bytes() == (done / "result.json").read_bytes()


@pytest.mark.parametrize("flag", ["out", "start"])
def test_a_run_is_a_local_folder(release, small, tmp_path, monkeypatch, flag):
    monkeypatch.chdir(tmp_path)
    places = {"out": "a"} | {flag: "s3://bucket/run"}
    with pytest.raises(RecipeError, match=f"--{flag} s3://bucket/run: wanted a local folder"):
        train(release, set=[f"model={small}"], **places)
    with pytest.raises(RecipeError, match=f"--{flag} s3://bucket/run: wanted a local folder"):
        train(release, set=[f"model={small}", "experts=true"], **places)
    assert not list(tmp_path.iterdir())


def test_a_run_may_be_named_by_its_uri(quick, small, release, tmp_path):
    train(release, out=f"file://{tmp_path}/a", set=[f"model={small}"], holdout=0, samples_seen=16, workers=0)
    assert (tmp_path / "a/result.json").is_file()
    quick("b", start=f"file://{tmp_path}/a", samples_seen=16)


def log_lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines() if line.endswith("}")]


def test_nan_stops_the_run_with_its_step_and_batch(quick, tmp_path):
    with pytest.raises(
        CurationError, match=r"loss is nan at step 2, lr 4e\+29, 16 of 16 samples of rank 0: [0-9a-f]{32}, "
    ):
        quick("a", "lr=1e30", "clip_norm=null")
    told = json.loads((tmp_path / "a/stopped-0.json").read_text())
    assert told["step"] == 2 and len(told["uids"]) == 16
    assert [line["step"] for line in log_lines(tmp_path / "a")] == [1]
    assert not (tmp_path / "a/model.safetensors").exists()


def test_a_sample_without_numbers_is_named(quick, monkeypatch, tmp_path):
    crop, bad = Collate.crop, []

    def pixels(self, encoded, uid):
        bad.append(uid) if len(bad) == 0 else None
        return crop(self, encoded, uid)

    def normalised(batch, config):
        values = module_normalised(batch, config)
        values[0] = math.nan  # the first of the batch is the first that was cropped
        return values

    module_normalised = module.normalised
    monkeypatch.setattr(Collate, "crop", pixels)
    monkeypatch.setattr(module, "normalised", normalised)
    with pytest.raises(CurationError, match=r"loss is nan at step 1, lr 0\.0001, 1 of 16 samples"):
        quick("a")
    assert json.loads((tmp_path / "a/stopped-0.json").read_text())["not_finite"] == bad


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": "huge"}, r"no scale \['huge'\]; known: .*'tiny'"),
        ({"holdout": 1.0}, "holdout 1.0"),
        ({"samples_seen": 3}, "one batch of samples seen"),
        ({"samples_seen": 0}, "samples_seen=0: Input should be greater than or equal to 1"),
        ({"scale": "sample"}, r"\d\d samples to train on, fewer than a batch of 256"),
        ({"set": ["rate=1"]}, r"--set: no setting of a scale \['rate'\]; known: .*'lr'"),
        ({"set": ["loss=hinge"]}, "--set loss=hinge: Input should be 'clip' or 'siglip'"),
        ({"set": ["lanes=3"]}, "batch 16: wanted .* a multiple of 3 "),
        ({"set": ["accumulate=5"]}, "accumulate=5"),
        ({"set": ["model=ViT-B-64"]}, "no model 'ViT-B-64'"),
        ({"set": ["keep_patches=0.5", "patches=grid"]}, "keeps one of"),
        ({"set": ["model=coca_ViT-B-32"]}, "model 'coca_ViT-B-32': wanted .* found one that writes captions too"),
        ({"set": ["reduced_image=45"]}, "reduced_image=45: wanted .* a multiple of its patch"),
        ({"set": ["reduced_text=77"]}, "reduced_text=77"),
        ({"set": ["experts=true"]}, "a recipe without cluster_pairs"),
        ({"device": "cuda:7"}, r"--device cuda:7: not here; known: \['cpu'"),
    ],
)
def test_wrong_settings_are_told_before_work(release, tmp_path, settings, message):
    with pytest.raises((RecipeError, MissingModelError), match=message):
        train(release, out=str(tmp_path / "a"), **settings)
    assert not (tmp_path / "a").exists()


def test_patches_that_one_phase_cannot_keep_are_told_before_work(release, quick, tmp_path):
    """Of 4 x 4 patches a quarter is one of each cell, of the 3 x 3 of the first phase it is not."""
    changes = ["keep_patches=0.25", "patches=grid"]
    with pytest.raises(RecipeError, match=r"patches=grid: a grid of 3 x 3 patches \(pictures of 24 px\) keeps one of"):
        quick("a", *changes, "reduced_image=24")
    assert not (tmp_path / "a").exists()
    quick("a", *changes, "reduced_image=16")


def test_a_tower_without_patches_trains(quick, tmp_path, log):
    """ResNets of open_clip say their side as a number."""
    vision = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16, "patch_size": None}
    config = {**SMALL, "model_cfg": SMALL["model_cfg"] | {"vision_cfg": vision}}
    (tmp_path / "resnet").mkdir()
    (tmp_path / "resnet/open_clip_config.json").write_text(json.dumps(config))
    assert len(log(quick("a", f"model=local-dir:{tmp_path}/resnet", samples_seen=32))) == 2
    for change in ("reduced_image=16", "keep_patches=0.5"):
        with pytest.raises(RecipeError, match="wanted a vision transformer"):
            quick("b", f"model=local-dir:{tmp_path}/resnet", change)


def test_a_model_named_with_dollars_is_drawn_as_it_is(quick, small, tmp_path):
    """Two of them would be a formula."""
    shutil.copytree(small.removeprefix("local-dir:"), tmp_path / "m$a_{$b")
    out = quick("a", f"model=local-dir:{tmp_path}/m$a_{{$b", samples_seen=16)
    assert (out / "result.json").is_file() and (out / "loss.png").is_file()


def test_a_shard_that_is_gone_is_told_before_work(release, tmp_path):
    shutil.copytree(release, tmp_path / "cut")
    (tmp_path / "cut/shards/00000001.tar").unlink()
    with pytest.raises(BrokenTableError, match=r"00000001\.tar"):
        train(str(tmp_path / "cut"), out=str(tmp_path / "a"))
    assert not (tmp_path / "a").exists()


def kill(*_):
    raise Killed


def test_a_kill_while_the_log_is_cut_to_the_checkpoint_loses_none_of_it(tmp_path, monkeypatch):
    lines = [json.dumps({"step": step}) + "\n" for step in (1, 2, 3)]
    (tmp_path / "log.jsonl").write_text("".join(lines))
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(os, "replace", kill)
        Log(tmp_path, 2, 3)
    assert (tmp_path / "log.jsonl").read_text() == "".join(lines)
    Log(tmp_path, 2, 3).close()
    assert (tmp_path / "log.jsonl").read_text() == "".join(lines[:2])


def test_an_unknown_model_is_told():
    with pytest.raises(MissingModelError, match="no model 'ViT-Q'"):
        build_model("ViT-Q", 0)


@pytest.mark.parametrize("name", ["uids.txt", "uids.npy"])
def test_only_the_uids_asked_for(release, quick, tmp_path, monkeypatch, name):
    some = Release.open(release).samples(["uid"])["uid"].to_pylist()[::3]
    listed = [*some, "f" * 32]
    if name.endswith(".npy"):  # as curate export writes them
        np.save(tmp_path / name, np.array([(int(uid[:16], 16), int(uid[16:], 16)) for uid in listed], "u8,u8"))
    else:
        (tmp_path / name).write_text("\n".join(listed))
    seen = []
    update = module.update
    monkeypatch.setattr(module, "update", lambda r, lr, b: (seen.extend(b["uid"]), update(r, lr, b))[1])
    quick("a", uids=str(tmp_path / name), samples_seen=32)
    assert len(seen) == 32 and set(seen) <= set(some)


def test_learning_rate_warms_up_and_ends_near_zero():
    phase = Phase("all", 1500, 5e-4, 500, 10_000)
    rates = [learning_rate(step, phase) for step in range(phase.steps)]
    assert rates[0] == phase.lr / 500 and max(rates) == rates[500] == rates[499] == phase.lr
    assert rates[1000] == pytest.approx(phase.lr / 2) and 0 < rates[-1] < phase.lr / 1e5


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
        while process.poll() is None and not (out / "checkpoint.json").exists():
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL and not (out / "result.json").exists()
    subprocess.run(arguments, check=True, capture_output=True, cwd=tmp_path, env=environment())
    assert log(out) == log(run)


def test_tensorboard_has_the_log(quick, log):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    out = quick("a", tensorboard=True, samples_seen=32)
    found = events.EventAccumulator(str(out / "tensorboard")).Reload()
    assert [e.value for e in found.Scalars("loss")] == pytest.approx([line["loss"] for line in log(out)])


def test_tensorboard_is_asked_for_where_it_is_not_installed(quick, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(RecipeError, match=r"pip install .curation\[tensorboard\]"):
        quick("a", tensorboard=True)
    assert not (tmp_path / "a").exists()


@pytest.mark.slow
def test_compiled_gives_the_same_run(quick, log):
    wanted, found = log(quick("a")), log(quick("b", "compile=true"))
    assert [line["loss"] for line in found] == pytest.approx([line["loss"] for line in wanted], rel=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("changes", [[], ["loss=siglip", "accumulate=2", "checkpointing=true"], ["compile=true"]])
def test_on_a_gpu_in_half_precision(quick, log, changes):
    wanted = log(quick("cpu", *[each for each in changes if each != "compile=true"]))
    found = log(quick("gpu", *changes, device="cuda", workers=1))
    assert [line["loss"] for line in found] == pytest.approx([line["loss"] for line in wanted], rel=0.05)
