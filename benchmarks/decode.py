"""Pictures per second from JPEG bytes to a model's input, beside Pillow and torchvision as open_clip uses them.

    python benchmarks/decode.py [--rounds N] [--pictures FOLDER]

Sides: `peer` decodes by Pillow and resizes and crops to 224 px by open_clip's own transform; `full` and `scaled` are
those modes of `image_embedding` (docs/embedding.md), `exact` our decoder with that transform. On drawn photographs of
0.8 and of 3 megapixels, and on the JPEGs of FOLDER, by default the figures of the shared papers where they are. In
turn, on one thread, thread CPU time, median over the rounds. What each mode moves: the PSNR of its 224 px picture to
the peer's, and the cosine of its vector (sample-clip, the packaged model: trained, of 80 px) to that of `exact`.
`ratio` is that of `full` on the photographs of 0.8 megapixels. The last line on stdout is one JSON object.
"""

import argparse
import io
import json
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
from corpora.photographs import photograph
from paired import in_turn, machine, say, thread_seconds
from PIL import Image

from curation.decode import decode, decode_bounded, decode_small
from curation.errors import BadItemError
from curation.models.clip import load
from curation.models.pictures import fitting

HERE = Path(__file__).resolve().parent
PICTURES = HERE.parents[1] / "shared" / "data" / "jats"
MOST = 40  # pictures of a folder
LEAST_BYTES = 20_000  # smaller ones are icons and formulae
COUNT, LARGE = 24, 8  # drawn photographs of the two sizes
TARGETS = {"full": 1.4, "full_psnr": 60, "scaled": 2.2, "cosine": 0.9995}


def enlarged(data: bytes) -> bytes:
    """A photograph of 3 megapixels: four of 0.8 side by side."""
    image = Image.open(io.BytesIO(data))
    wide = Image.new("RGB", (2 * image.width, 2 * image.height))
    for place in ((0, 0), (image.width, 0), (0, image.height), image.size):
        wide.paste(image, place)
    file = io.BytesIO()
    wide.save(file, "JPEG", quality=85)
    return file.getvalue()


def read_folder(folder: Path) -> list[bytes]:
    """JPEGs below a folder that can be decoded, at most MOST, in the order of their names."""
    found = []
    for path in sorted(folder.rglob("*.jp*g")) if folder.is_dir() else []:
        data = path.read_bytes()
        try:
            found += [data] if len(data) >= LEAST_BYTES and min(decode(data).shape[:2]) >= 224 else []
        except BadItemError:
            continue
    return found[:MOST]


def modes() -> dict[str, Callable[[bytes], np.ndarray]]:
    """From bytes to uint8 RGB of 224 px, by side."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    settings = PreprocessCfg(size=224)
    transform = image_transform_v2(settings, is_train=False)
    exact, fast = fitting(transform, settings)

    def peer(data: bytes) -> np.ndarray:
        image = Image.open(io.BytesIO(data))
        for step in transform.transforms[:-2]:
            image = step(image)
        return np.asarray(image)

    return {
        "peer": peer,
        "full": lambda data: fast(decode_bounded(data)),
        "scaled": lambda data: fast(decode_small(data)),
        "exact": lambda data: exact(decode(data)),
    }


def psnr(left: np.ndarray, right: np.ndarray) -> float:
    """Peak signal to noise ratio in dB; 100 for equal pictures."""
    error = float(((left.astype(np.float64) - right) ** 2).mean())
    return 100.0 if error == 0 else min(100.0, 10 * float(np.log10(255**2 / error)))


def moved(data: list[bytes], sides: dict[str, Callable]) -> dict[str, dict[str, float]]:
    """PSNR and cosine of each mode, least and median."""
    clip = load("sample-clip", "cpu")
    wanted = [sides["peer"](each) for each in data]
    vectors = clip.embed_images([decode(each) for each in data])
    decoders = {"full": decode_bounded, "scaled": decode_small}
    found = {}
    for name, side in sides.items():
        if name == "peer":
            continue
        noise = [psnr(side(each), other) for each, other in zip(data, wanted, strict=True)]
        told = {"psnr_min": min(noise), "psnr_median": statistics.median(noise)}
        if name in decoders:
            cosines = (clip.embed_images([decoders[name](each) for each in data], fast=True) * vectors).sum(axis=1)
            told |= {"cosine_min": float(cosines.min()), "cosine_median": float(np.median(cosines))}
            told |= {"cosine_above": float((cosines >= TARGETS["cosine"]).mean())}
        found[name] = {key: round(value, 6 if "cosine" in key else 1) for key, value in told.items()}
    return found


def timed(data: list[bytes], sides: dict[str, Callable], rounds: int) -> dict[str, float]:
    """Pictures per second of thread CPU time, by side, and ratios to the peer's."""
    calls = {name: (lambda side=side: [side(each) for each in data]) for name, side in sides.items()}
    seconds = {name: statistics.median(values) for name, values in in_turn(calls, rounds, thread_seconds).items()}
    rates = {name: round(len(data) / each, 1) for name, each in seconds.items()}
    return rates | {f"{name}_ratio": round(seconds["peer"] / seconds[name], 2) for name in sides if name != "peer"}


def benchmark(rounds: int, folder: Path) -> dict:
    """The whole measurement."""
    import torch

    torch.set_num_threads(1)
    load("sample-clip", "cpu")
    say("drawing photographs")
    photographs = [photograph(seed) for seed in range(COUNT)]
    inputs = {"photographs_0.8_mpx": photographs, "photographs_3_mpx": [enlarged(each) for each in photographs[:LARGE]]}
    files = read_folder(folder)
    inputs |= {"figures": files} if files else {}
    sides, each = modes(), {}
    for name, data in inputs.items():
        say(f"{name}: {len(data)} pictures")
        each[name] = {"pictures": len(data)} | timed(data, sides, rounds) | {"moved": moved(data, sides)}
    head = each["photographs_0.8_mpx"]
    least = head["moved"]["full"]["psnr_min"]
    return {
        "name": "decode",
        "ratio": head["full_ratio"],
        "ours": head["full"],
        "peer": head["peer"],
        "unit": "pictures per second of thread CPU time",
        "input": f"{COUNT} drawn photographs of 0.8 megapixels, 131 kB; to 224 px",
        "rounds": rounds,
        "equal": True if least >= TARGETS["full_psnr"] else [f"PSNR {least} dB"],
        "machine": machine("torch", "pillow", "simplejpeg", "open_clip_torch"),
        "inputs": each,
        "targets": TARGETS,
    }


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", type=Path, default=PICTURES, help="folder of JPEGs")
    args = parser.parse_args()
    print(json.dumps(benchmark(args.rounds, args.pictures)))


if __name__ == "__main__":
    main()
