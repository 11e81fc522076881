"""Pictures per second from tar to stored column, beside the same model's on tensors that are ready.

    python benchmarks/embed.py [--images N] [--rounds N] [--model ARCHITECTURE] [--precision P] [--tasks N]

N drawn photographs of at most 512 px lie in a tar. `ours` is what a task of the signal engine does with them: read,
decode, resize, crop, embed, write and commit the part of `image_embedding`. `peer` is the model alone on batches made
ready beforehand, of the same size and on the same threads. Both are warm; they take turns; a rate is the median over
the rounds, by the clock, and `ratio` that of ours over the peer's. `cpu_ratio` is the same by CPU seconds of all
threads, which other jobs on the machine move less. Weights are random, of open_clip's architecture: speed does not
depend on them. First the vectors are compared with those of open_clip's own preprocessing and forward pass.

On a CPU: ViT-B-32 by default, and `int8`, the same pipeline in 8 bits with what it moves. On a CUDA device: ViT-L-14
and ViT-B-32 in fp16 with two tasks at a time; `gpu_idle` is the share of the time in which the GPU had nothing to do,
by the peer's rate, and `per_core` pictures per second and CPU core. The last line on stdout is one JSON object.
"""

import argparse
import io
import json
import os
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from corpora.photographs import photograph
from paired import in_turn, machine, say
from PIL import Image

from curation import tables
from curation.compute import Job, bucket_writer
from curation.graph import Graph
from curation.images import threads
from curation.models.clip import Clip, here
from curation.models.clip_source import ensure_torchvision
from curation.shards.tar import read_members

SIDE = 512  # pixels of the longer side, as most data sets of this size are stored
DRAWN = 48  # different photographs; the others are the same, turned by whole degrees
SEED = 7  # any number: it only has to stay the same
CLOSE = 0.9995  # least cosine with the model's own preprocessing
TARGETS = {"cpu": 0.85, "cuda": 0.95}


def write_tar(path: Path, count: int) -> list[dict[str, Any]]:
    """A tar of JPEGs of at most 512 px; where each lies."""
    drawn = [Image.open(io.BytesIO(photograph(seed))) for seed in range(min(count, DRAWN))]
    for image in drawn:
        image.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
    with tarfile.open(path, "w") as tar:
        for number in range(count):
            image = drawn[number % DRAWN].rotate(number // DRAWN)
            file = io.BytesIO()
            image.save(file, "JPEG", quality=90)
            member = tarfile.TarInfo(f"{number:06d}.jpg")
            member.size = file.tell()
            file.seek(0)
            tar.addfile(member, file)
    with open(path, "rb") as file:
        return [{"uri": str(path), "offset": m.offset, "length": m.bytes} for m in read_members(file)]


def write_model(folder: Path, architecture: str) -> str:
    """open_clip's architecture with seeded weights, as a local model; its name."""
    ensure_torchvision()
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(SEED)
    model = open_clip.create_model(architecture, pretrained=None)
    folder.mkdir()
    save_file(
        {name: weight.half().contiguous() for name, weight in model.state_dict().items()}, folder / "model.safetensors"
    )
    config = {"model_cfg": open_clip.get_model_config(architecture), "preprocess_cfg": model.visual.preprocess_cfg}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return f"local-dir:{folder}"


def pipeline(pointers: list[dict], settings: dict[str, str], tasks: int, work: Path) -> Callable[[], np.ndarray]:
    """Embeds all pictures as TASKS tasks at a time do, each call into new folders; gives the vectors in order."""
    node = Graph(settings).node("image_embedding")
    names = [f"{n:08d}" for n in range(len(pointers))]

    def task(share: slice) -> list[dict]:
        rows = names[share]
        zeros = pa.array([0] * len(rows), pa.int64())
        columns = {"id": rows, "digest": zeros, "image": pointers[share], "want": pa.array([1] * len(rows), pa.int64())}
        bucket = pa.RecordBatch.from_pydict(columns | {"bucket": zeros.cast(pa.int32())})
        folder = tempfile.mkdtemp(dir=work)
        parts = [each["part"] for each in bucket_writer(Job("image", (node,), (folder,)))(iter([bucket]))]
        return tables.read_arrow(folder, parts)["value"].to_pylist()

    size = -(-len(pointers) // tasks)
    shares = [slice(start, start + size) for start in range(0, len(pointers), size)]

    def run() -> np.ndarray:
        with ThreadPoolExecutor(tasks) as pool:
            vectors = [each for found in pool.map(task, shares) for each in found]
        return np.stack([np.frombuffer(each, "<f2") for each in vectors]).astype(np.float32)

    return run


def ready(clip: Clip, pointers: list[dict]) -> list[Any]:
    """The batches by open_clip's own preprocessing, on the device."""
    import torch

    data = Path(pointers[0]["uri"]).read_bytes()
    files = [io.BytesIO(data[p["offset"] : p["offset"] + p["length"]]) for p in pointers]
    pictures = [clip.preprocess(Image.open(file)) for file in files]
    return [
        torch.stack(pictures[at : at + clip.batch_size]).to(clip.device)
        for at in range(0, len(pictures), clip.batch_size)
    ]


def forward(clip: Clip, batches: list[Any]) -> Callable[[], np.ndarray]:
    """The model alone."""
    import torch

    half = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(clip.precision)

    def run() -> np.ndarray:
        with torch.inference_mode(), torch.autocast(clip.device.split(":")[0], half, enabled=half is not None):
            return torch.cat([clip.model.encode_image(batch).float() for batch in batches]).cpu().numpy()

    return run


def seconds_of(work: Callable) -> tuple[float, float]:
    """(seconds, CPU seconds of all threads) of one call."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - cpu


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Of each pair of rows."""
    return (left * right).sum(axis=1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)


def measured(pointers: list[dict], architecture: str, precision: str, tasks: int, rounds: int, work: Path) -> dict:
    """One model: vectors compared, both sides timed in turn."""
    say(f"{architecture}, {precision}")
    name = write_model(work / f"{architecture}-{precision}", architecture)
    clip = here(name, precision)
    sides = {"ours": pipeline(pointers, {"clip": name, "precision": precision}, tasks, work)}
    sides["peer"] = forward(clip, ready(clip, pointers))
    found, wanted = sides["ours"](), sides["peer"]()
    close = cosines(found, wanted)
    seconds = in_turn(sides, rounds, seconds_of)
    wall = {side: statistics.median(each[0] for each in values) for side, values in seconds.items()}
    cpu = {side: statistics.median(each[1] for each in values) for side, values in seconds.items()}
    rates = {side: round(len(pointers) / each, 2) for side, each in wall.items()}
    told = {"ratio": round(wall["peer"] / wall["ours"], 3), **rates, "cpu_ratio": round(cpu["peer"] / cpu["ours"], 3)}
    ratios = [peer[0] / ours[0] for ours, peer in zip(seconds["ours"], seconds["peer"], strict=True)]
    told |= {"ratio_range": [round(min(ratios), 3), round(max(ratios), 3)], "cosine_min": round(float(close.min()), 6)}
    told |= {"batch_size": clip.batch_size, "precision": precision, "threads": threads(), "tasks": tasks}
    if clip.device.startswith("cuda"):
        told |= {"gpu_idle": round(1 - wall["peer"] / wall["ours"], 3)}
        told |= {"per_core": round(rates["ours"] / (os.cpu_count() or 1), 1)}
    return told


def benchmark(args: argparse.Namespace, work: Path) -> dict:
    """The whole measurement."""
    import torch

    cuda = torch.cuda.is_available()
    tasks = args.tasks or (2 if cuda else 1)
    os.environ.setdefault("CURATION_THREADS", str(max(1, (os.cpu_count() or 1) // tasks)))
    say(f"drawing {args.images} pictures")
    pointers = write_tar(work / "pictures.tar", args.images)
    models = [args.model] if args.model else ["ViT-L-14", "ViT-B-32"] if cuda else ["ViT-B-32"]
    precision = args.precision or ("fp16" if cuda else "fp32")
    each = {model: measured(pointers, model, precision, tasks, args.rounds, work) for model in models}
    head = each[models[0]]
    other = [f"cosine {head['cosine_min']} with the model's own preprocessing"] if head["cosine_min"] < CLOSE else []
    found = {
        "name": "embed",
        "ratio": head["ratio"],
        "ours": head["ours"],
        "peer": head["peer"],
        "unit": "pictures per second, by the clock",
        "input": f"{args.images} drawn photographs of at most {SIDE} px in a tar; {models[0]}, {precision}",
        "rounds": args.rounds,
        "equal": other or True,
        "machine": machine("torch", "open_clip_torch", "simplejpeg"),
        "device": torch.cuda.get_device_name(0) if cuda else "cpu",
        "models": each,
        "targets": TARGETS["cuda" if cuda else "cpu"],
    }
    if not cuda and precision == "fp32":
        found["int8"] = measured(pointers, models[0], "int8", tasks, args.rounds, work)
        found["int8"]["over_fp32"] = round(found["int8"]["ours"] / head["ours"], 2)
    return found


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", help="an architecture of open_clip")
    parser.add_argument("--precision", choices=("fp32", "fp16", "bf16", "int8"))
    parser.add_argument("--tasks", type=int, help="at a time on one device")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(benchmark(args, Path(folder))))


if __name__ == "__main__":
    main()
