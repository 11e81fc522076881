"""Drawn pictures with captions, in tars: photo-like in size and bytes, seeded, any number of them.

A picture is a gradient with a few shapes, soft and fine noise; it shows nothing of what its caption says.
"""

import io
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from curation.shards.tar import Sample, write_shard
from scaling.captions import SEED, Words, made_captions, vocabulary

PER_TAR = 5000
SIDES = (256, 401)  # px, of each side
QUALITY, OTHER_QUALITY = 78, 60  # about 20 kB a picture; the second for copies
COPIES = 0.05  # pictures that are the one before in other bytes: what the search for near-duplicates is to find
FOREIGN = 0.05  # captions in another language: those go before the pictures are looked at
SHAPES = ("ellipse", "rectangle", "polygon")


def write_tars(folder: Path, count: int) -> list[Path]:
    """Tars of PER_TAR samples (jpg, txt, json with the URL), `count` in all; those that are there already stay."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = [min(PER_TAR, count - start) for start in range(0, count, PER_TAR)]
    paths = [folder / f"{number:05d}-{size}.tar" for number, size in enumerate(sizes)]
    todo = [(number, size, path) for number, (size, path) in enumerate(zip(sizes, paths)) if not path.exists()]
    if todo:
        with ProcessPoolExecutor() as workers:
            list(workers.map(partial(_write, vocabulary()), *zip(*todo)))
    return paths


def _write(words: Words, number: int, size: int, path: Path) -> None:
    captions = made_captions(words, np.random.default_rng([SEED, number]), PER_TAR, FOREIGN).to_pylist()
    temporary = path.with_suffix(".tmp")
    with open(temporary, "wb") as file:
        write_shard(file, (_sample(number * PER_TAR + at, captions[at]) for at in range(size)))
    temporary.replace(path)


def _sample(number: int, caption: str) -> Sample:
    copied = number > 0 and np.random.default_rng([SEED, number, 1]).random() < COPIES
    file = io.BytesIO()
    drawn(number - copied).save(file, "JPEG", quality=OTHER_QUALITY if copied else QUALITY)
    url = f"https://pictures.example/{number // 1000}/{number}.jpg"  # nobody's host (RFC 2606)
    # Of made captions a few are blank, which no tar of ours holds.
    return Sample(f"{number:09d}", "jpg", file.getvalue(), caption.strip() or "picture", {"url": url})


def drawn(number: int) -> Image.Image:
    """Picture `number`, RGB."""
    draw = np.random.default_rng([SEED, number])
    width, height = (int(side) for side in draw.integers(*SIDES, 2))
    corners = draw.integers(0, 256, (2, 2, 3)).astype(np.uint8)
    ground = Image.fromarray(corners).resize((width, height), Image.BICUBIC)
    pen = ImageDraw.Draw(ground)
    for _ in range(draw.integers(2, 9)):
        _shape(pen, draw, width, height)
    coarse = draw.integers(0, 256, (height // 16, width // 16), dtype=np.uint8)
    soft = np.asarray(Image.fromarray(coarse).resize((width, height), Image.BICUBIC), np.int16) - 128
    fine = draw.integers(-9, 10, (height, width), dtype=np.int16)
    pixels = np.asarray(ground, np.int16) + (soft // 4 + fine)[..., None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _shape(pen: ImageDraw.ImageDraw, draw: np.random.Generator, width: int, height: int) -> None:
    colour = tuple(int(level) for level in draw.integers(0, 256, 3))
    across, down = draw.integers(0, width), draw.integers(0, height)
    half, tall = draw.integers(10, width // 2), draw.integers(10, height // 2)
    box = (int(across - half), int(down - tall), int(across + half), int(down + tall))
    kind = SHAPES[draw.integers(len(SHAPES))]
    if kind == "ellipse":
        pen.ellipse(box, fill=colour)
    elif kind == "rectangle":
        pen.rectangle(box, fill=colour)
    else:
        pen.polygon([tuple(point) for point in (draw.random((4, 2)) * [width, height]).tolist()], fill=colour)
