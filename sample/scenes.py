"""Render captioned scenes of clip art and plain shapes into plain tars of JPEG and caption.

    python sample/scenes.py --work DIR --count N [--seed S] [--name NAME]

DIR/scenes/NAME-00000.tar and so on hold 5,000 scenes each: members 000000000.jpg (128 x 128 px) and 000000000.txt. A
scene depends on the seed and its number alone, so a longer run begins with the same scenes, and two runs give equal
bytes. Things come from the packages openclipart-png, openclipart-svg and wordnet-base in DIR/packages (see fetch.py).
The last line on stdout is one JSON object.
"""

import argparse
import io
import json
import sys
import tarfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

import clipart
import numpy as np
import shapes
from PIL import Image
from plan import CORNERS, LAYOUTS, Draws, Item, Plan, plan

SIDE = 128
PER_TAR = 5000
QUALITY = 90

Box = tuple[float, float, float, float]  # left, top, right, bottom in px

# Side of a thing over the shorter side of its cell, for a thing alone and for one beside others: smaller cells hold
# larger shares, as nothing below 20 px can be told apart.
SCALES = {
    True: {"small": (0.32, 0.42), "": (0.55, 0.8), "big": (0.86, 0.96)},
    False: {"small": (0.45, 0.55), "": (0.7, 0.85), "big": (0.92, 1.0)},
}


@cache
def catalogue(work: Path) -> dict[str, list[Item]]:
    """Name -> the things of this name, clip art and shapes; loaded once per process."""
    items: dict[str, list[Item]] = {}
    for cutout in clipart.cutouts(work):
        with Image.open(cutout.file) as image:
            items.setdefault(cutout.name, []).append(
                Item(image.convert("RGBA"), cutout.name, cutout.plural, cutout.colour, mean_rgb(image))
            )
    for name in shapes.NAMES:
        plural = f"{name}es" if name == "cross" else f"{name}s"
        items[name] = [
            Item(shapes.shape(name, rgb, clipart.SIDE), name, plural, colour, rgb)
            for colour, rgb in shapes.COLOURS.items()
        ]
    return items


def mean_rgb(image: Image.Image) -> tuple[float, ...]:
    """Mean colour of the opaque pixels, levels of 0 to 255."""
    pixels = np.asarray(image.convert("RGBA"))
    return tuple(pixels[pixels[..., 3] > 128][:, :3].mean(axis=0).tolist())


def render(scene: Plan, draws: Draws) -> Image.Image:
    """The picture of a plan."""
    image = shapes.draw_backdrop(scene.backdrop, SIDE, int(draws.between(10, 28)), int(draws.between(-12, 13)))
    corner = CORNERS.get(scene.corner)
    for group, (left, top, right, bottom) in zip(scene.groups, LAYOUTS[scene.layout], strict=True):
        scales = SCALES[scene.layout == "one" and group.count == 1][group.size]
        for box in boxes(group.count, (left * SIDE, top * SIDE, right * SIDE, bottom * SIDE)):
            share = draws.between(*scales)
            across, down = corner or (draws.between(0.1, 0.9), draws.between(0.1, 0.9))
            place(image, group.item.image, box, share, (across, down))
    return image


def boxes(count: int, cell: Box) -> list[Box]:
    """A box for each of `count` things: along the longer side of their cell, two by two in a square one."""
    left, top, right, bottom = cell
    wide, high = right - left, bottom - top
    columns = min(count, 2) if wide == high else count if wide > high else 1
    rows = -(-count // columns)
    wide, high = wide / columns, high / rows
    corners = [(left + wide * (number % columns), top + high * (number // columns)) for number in range(count)]
    return [(x, y, x + wide, y + high) for x, y in corners]


def place(image: Image.Image, thing: Image.Image, box: Box, share: float, spot: tuple[float, float]) -> None:
    """Paste the thing at `share` of the box's shorter side, `spot` of the way across and down what room is left."""
    left, top, right, bottom = box
    scale = share * min(right - left, bottom - top) / max(thing.size)
    wide, high = (max(4, round(length * scale)) for length in thing.size)
    small = thing.resize((wide, high), Image.Resampling.BILINEAR)  # averages over all source pixels when it shrinks
    x, y = left + (right - left - wide) * spot[0], top + (bottom - top - high) * spot[1]
    image.paste(small, (round(x), round(y)), small)


def scene_files(work: Path, seed: int, number: int) -> tuple[bytes, bytes]:
    """(JPEG, caption) of the scene of this number."""
    items, draws = catalogue(work), Draws(seed, number)
    scene = plan([name for name in items if name not in shapes.NAMES], items, draws)
    jpeg = io.BytesIO()
    render(scene, draws).save(jpeg, "JPEG", quality=QUALITY)
    return jpeg.getvalue(), scene.caption.encode()


def write_tar(work: Path, seed: int, name: str, count: int, index: int) -> Path:
    """The tar of this index, under a temporary name first."""
    target = work / "scenes" / f"{name}-{index:05d}.tar"
    fresh = target.with_suffix(".part")
    with tarfile.open(fresh, "w", format=tarfile.USTAR_FORMAT) as tar:
        for number in range(index * PER_TAR, min(count, (index + 1) * PER_TAR)):
            for suffix, content in zip(("jpg", "txt"), scene_files(work, seed, number), strict=True):
                member = tarfile.TarInfo(f"{number:09d}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    fresh.rename(target)
    return target


def write_scenes(work: Path, count: int, seed: int, name: str) -> dict[str, int]:
    """Write all tars with two processes; how many scenes, tars, names and drawings there are."""
    items = catalogue(work)  # also makes the cut-outs, once, before the processes start
    (work / "scenes").mkdir(exist_ok=True)
    with ProcessPoolExecutor(2) as pool:
        tars = list(pool.map(partial(write_tar, work, seed, name, count), range(-(-count // PER_TAR))))
    return {"scenes": count, "tars": len(tars), "names": len(items), "drawings": sum(map(len, items.values()))}


def main() -> int:
    """Run the command line; exit 2 where a package is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, metavar="DIR")
    parser.add_argument("--count", type=int, required=True, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--name", default="scenes")
    flags = parser.parse_args()
    lacking = [name for name in clipart.PACKAGES if not (flags.work / "packages" / name / "_done.json").is_file()]
    if lacking:
        print(f"scenes: {flags.work}/packages lacks {lacking}; run: python sample/fetch.py --work {flags.work} "
              + " ".join(lacking), file=sys.stderr)  # fmt: skip
        return 2
    start = time.monotonic()
    result = write_scenes(flags.work, flags.count, flags.seed, flags.name)
    print(f"{flags.count / (time.monotonic() - start):.0f} scenes/s", file=sys.stderr)
    print(json.dumps(result, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
