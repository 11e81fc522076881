"""Samples per second that `curate train` learns from, beside open_clip's own training script.

    python benchmarks/train.py [--batch N] [--steps N] [--rounds N] [--device cpu|cuda] [--model ARCHITECTURE]

Both train the same model, from the same weights, on the same tar shards, with the same batch, optimiser, precision
(float32 on a CPU, bfloat16 by autocast on CUDA) and number of workers, as whole commands that take turns. A rate is
batch over the mean seconds of a step, data loading in it, by each side's own log; the first steps, in which workers
start and buffers fill, are left out. `ratio` is that of the medians over the rounds of ours over the peer's.
`cpu_ratio` is the same by CPU seconds of all processes, less those of a run of the first steps alone: other jobs on
the machine move it less. `data_wait_share` is the share of our steps in which the model waited for its batch.

First, on one batch, the loss and all gradients of our step are compared with those of open_clip's loss by plain
autograd. On a CPU the model is a ViT with patches of 32 px and 224 px pictures like ViT-B/32, but narrower, so that a
round takes less than a minute. The last line on stdout is one JSON object.
"""

import argparse
import importlib.metadata
import json
import re
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from paired import in_turn, machine, say
from paired.commands import run as run_command
from verify import write_release

from curation.images import threads
from curation.shards.manifest import Release
from curation.trainer import train as trainer
from curation.trainer.checkpoints import save_model
from curation.trainer.data import Batches, Collate
from curation.trainer.distributed import Place
from curation.trainer.model import build_model
from curation.trainer.phases import Phase
from curation.trainer.run import Run, prepare
from curation.trainer.scales import SCALES, changed

ROOT = Path(__file__).resolve().parents[1]
# ViT-B/32 (arXiv:2103.00020 table 20) at half the width and depth of both towers, and half the words.
NARROW = {
    "model_cfg": {
        "embed_dim": 256,
        "vision_cfg": {"image_size": 224, "layers": 6, "width": 384, "patch_size": 32},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 256, "heads": 4, "layers": 6},
    }
}
LEFT_OUT = 2  # first steps
SHARDS, SPARE = 4, 2  # the peer drops what does not fill a worker's batch
LR, WARMUP, BETA2, DECAY = 5e-4, 100, 0.98, 0.2
CLOSE = 2e-4  # of gradients, relative to the largest of their tensor: float32 in another order
# open_clip's script as its own entry point, after what makes torchvision's CUDA wheel load beside a CPU torch.
PEER = "import sys; from curation.models.clip import ensure_torchvision as ready; ready(); "
PEER += "from open_clip_train.main import main; main(sys.argv[1:])"
LINE = re.compile(r"Batch \(t\): ([0-9.]+),")


def write_model(folder: Path, name: str | None) -> str:
    """Configuration and first weights of the model, which both sides load."""
    folder.mkdir()
    if name is None:
        (folder / "open_clip_config.json").write_text(json.dumps(NARROW))
        name = f"local-dir:{folder}"
    model, _, config = build_model(name, 0)
    save_model(folder, model, config, "float32")
    return f"local-dir:{folder}"


def settings(model: str, batch: int, steps: int) -> list[str]:
    """Our scale, for --set."""
    values = {"model": model, "batch": batch, "samples_seen": batch * steps, "lr": LR, "warmup_steps": WARMUP}
    return [
        f"{k}={v}"
        for k, v in (values | {"beta2": BETA2, "weight_decay": DECAY, "clip_norm": "null", "checkpoints": 0}).items()
    ]


def ours(work: Path, model: str, batch: int, steps: int, device: str) -> list[str]:
    """The command of one run of ours."""
    out = tempfile.mkdtemp(dir=work, prefix="ours-")
    flags = [flag for each in settings(model, batch, steps) for flag in ("--set", each)]
    start = model.removeprefix("local-dir:")
    command = [sys.executable, "-m", "curation.trainer.train", str(work / "release"), "--out", out, *flags]
    return [*command, "--start", start, "--holdout", "0", "--workers", "1", "--device", device]


def peers(work: Path, model: str, batch: int, steps: int, device: str) -> list[str]:
    """The command of one run of open_clip's."""
    out = tempfile.mkdtemp(dir=work, prefix="peer-")
    shards = f"{work}/release/shards/{{00000000..{SHARDS - 1:08d}}}.tar"
    precision = "amp_bf16" if device == "cuda" else "fp32"
    flags = {"train-data": shards, "train-num-samples": batch * steps, "dataset-type": "webdataset", "model": model}
    flags |= {"batch-size": batch, "epochs": 1, "workers": 1, "precision": precision, "lr": LR, "warmup": WARMUP}
    flags |= {"beta1": 0.9, "beta2": BETA2, "eps": 1e-6, "wd": DECAY, "log-every-n-steps": 1, "save-frequency": 0}
    flags |= {"logs": out, "name": "run", "seed": 0, "device": device}
    return [sys.executable, "-c", PEER, *(text for k, v in flags.items() for text in (f"--{k}", str(v)))]


def measured(side: str, command: list[str], batch: int) -> dict[str, Any]:
    """Seconds of each step by the side's own log, CPU seconds of the whole command, the share of waiting (ours)."""
    _, cpu = run_command(command, {"PYTHONPATH": str(ROOT)})
    if side == "peer":
        said = Path(command[command.index("--logs") + 1], "run/out.log").read_text()
        return {"steps": [float(found) for found in LINE.findall(said)], "cpu": cpu}
    said = Path(command[command.index("--out") + 1], "log.jsonl").read_text()
    lines = [json.loads(line) for line in said.splitlines()]
    steps = [batch / line["samples_per_s"] for line in lines]
    waits = [line["data_wait_share"] * seconds for line, seconds in zip(lines, steps)]
    return {"steps": steps, "cpu": cpu, "waited": sum(waits[LEFT_OUT:]) / max(sum(steps[LEFT_OUT:]), 1e-9)}


def differences(work: Path, model: str, batch: int) -> list[str]:
    """What our step and open_clip's loss by plain autograd do not agree on, for one batch and the first weights."""
    from open_clip.loss import ClipLoss

    plan = changed(SCALES["tiny"], settings(model, batch, 1))
    release = Release.open(str(work / "release"))
    run = Run(work, release, {}, plan, 0, Place(0, 1, torch.device("cpu")))
    _, _, run.config = build_model(model, 0)
    tokens = prepare(run, Phase("all", 1, 0.0, 0, batch), None)
    batches = Batches(release.out, Collate(224, tokens, 0, 0), uids=None, lanes=(0, 1, 1), batch=batch)
    one = next(iter(batches))
    pixels = trainer.normalised(one["pixels"], run.model.visual.preprocess_cfg)
    wanted = ClipLoss()(*run.model(pixels, one["tokens"]))
    names, parameters = zip(*run.model.named_parameters())
    gradients = torch.autograd.grad(wanted, parameters)
    found = trainer.update(run, 0.0, one)["loss"]
    wrong = [] if abs(found - wanted) < CLOSE else [f"loss {found.item()} for {wanted.item()}"]
    largest = [max(g.abs().max().item(), 1e-6) for g in gradients]
    return wrong + [
        f"gradient of {name}"
        for name, p, g, most in zip(names, parameters, gradients, largest)
        if (p.grad - g).abs().max().item() > CLOSE * most
    ]


def benchmark(work: Path, batch: int, steps: int, rounds: int, device: str, name: str | None) -> dict[str, Any]:
    """The whole measurement: write, compare, time in turn."""
    samples = batch * (steps + SPARE)
    say(f"writing {samples} samples in {SHARDS} shards")
    write_release(work / "release", samples, SHARDS)
    model = write_model(work / "model", name)
    say("comparing loss and gradients")
    unequal = differences(work, model, min(batch, 16))
    made = {"ours": ours, "peer": peers}

    def one(side: str, count: int) -> dict[str, Any]:
        found = measured(side, made[side](work, model, batch, count, device), batch)
        if len(found["steps"]) != count:
            raise SystemExit(f"{side}: {len(found['steps'])} steps in its log, wanted {count}")
        return found

    say("the first steps alone")
    starts = {side: one(side, LEFT_OUT)["cpu"] for side in made}
    say(f"{rounds} rounds of {steps} steps")
    found = in_turn({side: (lambda side=side: one(side, steps)) for side in made}, rounds, lambda work: work())
    told = {"input": f"{name or 'ViT/32 of width 384'}, batch {batch}, {steps} steps, JPEGs of 25 kB, 1 worker"}
    told |= {"machine": f"{machine('torch', 'open_clip_torch', 'webdataset')}, {device}, {threads()} threads"}
    targets = {"ratio": 0.97 if device == "cpu" else 1.1, "data_wait_share": 0.02}
    return summary(found, starts, batch) | told | {"equal": unequal or True, "targets": targets}


def summary(found: dict[str, list[dict]], starts: dict[str, float], batch: int) -> dict[str, Any]:
    """Rates and their ratio, from what each side's rounds measured."""
    seconds = {side: [statistics.mean(r["steps"][LEFT_OUT:]) for r in each] for side, each in found.items()}
    rates = {side: batch / statistics.median(each) for side, each in seconds.items()}
    cpus = {side: statistics.median(r["cpu"] for r in each) - starts[side] for side, each in found.items()}
    ratios = [peer / own for own, peer in zip(seconds["ours"], seconds["peer"], strict=True)]
    return {
        "name": "train",
        "ratio": round(rates["ours"] / rates["peer"], 3),
        "ours": round(rates["ours"], 1),
        "peer": round(rates["peer"], 1),
        "unit": "samples per second, by the clock",
        "rounds": len(ratios),
        "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
        "cpu_ratio": round(cpus["peer"] / cpus["ours"], 3),
        "data_wait_share": round(statistics.median(r["waited"] for r in found["ours"]), 4),
    }


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--model", help="an architecture of open_clip; default on a CPU: a narrow one")
    args = parser.parse_args()
    version = tuple(map(int, importlib.metadata.version("webdataset").split(".")[:3]))
    if version > (0, 2, 86):
        raise SystemExit("open_clip's training script needs webdataset 0.2.86: pip install webdataset==0.2.86")
    model = args.model or (None if args.device == "cpu" else "ViT-B-32")
    with tempfile.TemporaryDirectory() as folder:
        found = benchmark(Path(folder), args.batch, args.steps, args.rounds, args.device, model)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
