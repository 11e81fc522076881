"""Small sets of drawn shapes, laid out as evaluation sets are."""

import io
import sys
import tarfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "sample"))

import shapes
from PIL import Image

NAMES = ("black", "blue", "green", "red")  # the classes: the packaged model knows colours, shapes it hardly does
SHAPES = ("circle", "heart", "square", "star", "cross", "diamond")
SIDE = 128


def drawn(number: int) -> tuple[bytes, int, str]:
    """A PNG of a shape on white or yellow, its class and its caption."""
    label, name = number % len(NAMES), SHAPES[number // len(NAMES) % len(SHAPES)]
    ground = ("white", "yellow")[number // 24 % 2]
    image = Image.new("RGB", (SIDE, SIDE), shapes.COLOURS[ground])
    thing = shapes.shape(name, shapes.COLOURS[NAMES[label]], 80 + number % 3)
    image.paste(thing, (20 + number % 5, 24), thing)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue(), label, f"a {NAMES[label]} {name} on a {ground} background"


def write_tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def samples(count: int, captions: bool) -> list[tuple[str, bytes]]:
    """Members of `count` samples, with two captions each or with the class."""
    found = []
    for number in range(count):
        data, label, caption = drawn(number)
        text = f"{caption}\na picture of {caption}\n" if captions else str(label)
        found += [(f"s{number:04d}.png", data), (f"s{number:04d}.{'txt' if captions else 'cls'}", text.encode())]
    return found


def benchmark_set(folder: Path, captions: bool = False) -> Path:
    """CLIP_benchmark's layout: one tar in test/, names and templates, or the type of a retrieval set."""
    write_tar(folder / "test" / "0.tar", samples(24, captions))
    (folder / "test" / "nshards.txt").write_text("1\n")
    if captions:
        (folder / "dataset_type.txt").write_text("retrieval\n")
        return folder
    (folder / "classnames.txt").write_text("".join(f"{name}\n" for name in NAMES))
    (folder / "zeroshot_classification_templates.txt").write_text("a {c} circle\na {c} square\n")
    return folder


def class_folders(folder: Path) -> Path:
    """train/ and test/ with a folder per class, of 48 and 24 pictures; the last of the test is cut short."""
    for split, numbers in (("train", range(48)), ("test", range(24))):
        for number in numbers:
            data, label, _ = drawn(number)
            target = folder / split / NAMES[label] / f"{number:03d}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data[:200] if (split, number) == ("test", 23) else data)
    return folder


def pairs_tar(path: Path, labels: bool = False) -> Path:
    """A tar of 24 samples with their captions, or with the number of their class."""
    return write_tar(path, samples(24, not labels))
