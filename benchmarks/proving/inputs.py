"""The pool's tars and the test sets, written once: whatever lies there already is of the same numbers, so it stays."""

import io
import json
import os
import tarfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from plan import MANNERS

from proving.faults import pair
from proving.scene import portrait, scene
from proving.things import Things, things

PER_TAR = 2000
PORTRAITS = 10  # pictures of each thing in the test of classes
TEST_SEED = 1_000_003  # added to the pool's seed for the scenes of the test
CLEAN_SEED = 2_000_003  # and for the scenes that a scorer is trained on

Members = Iterable[tuple[str, bytes]]


def write_pool(work: Path, sample: Path, count: int, pairs: int, seed: int) -> Path:
    """`pairs` pairs with their faults as tars of PER_TAR, each pair under a URL of its own, as on the web."""
    folder = work / "tars"
    write_tars(folder, pairs, partial(_pool_members, sample, count, seed))
    return folder


def write_clean(work: Path, sample: Path, count: int, pairs: int, seed: int) -> Path:
    """Scenes of another seed without faults."""
    folder = work / "clean-tars"
    write_tars(folder, pairs, partial(_clean_members, sample, count, seed + CLEAN_SEED))
    return folder


def write_tars(folder: Path, pairs: int, members: partial) -> None:
    """Tars of PER_TAR pairs, made side by side; `members` gives those of a range of numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    ranges = [range(at, min(at + PER_TAR, pairs)) for at in range(0, pairs, PER_TAR)]
    missing = [one for one in ranges if not _tar(folder, one).is_file()]
    with ProcessPoolExecutor(min(os.cpu_count() or 1, max(len(missing), 1))) as processes:
        list(processes.map(partial(_write, folder, members), missing))


def _tar(folder: Path, numbers: range) -> Path:
    return folder / f"{numbers.start:08d}-{numbers.stop:08d}.tar"


def _write(folder: Path, members: partial, numbers: range) -> None:
    write_tar(_tar(folder, numbers), members(numbers))


def write_tar(path: Path, members: Members) -> None:
    """The tar under a temporary name first; equal members give equal bytes."""
    fresh = path.with_suffix(".part")
    with tarfile.open(fresh, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    fresh.rename(path)


def _pool_members(sample: Path, count: int, seed: int, numbers: range) -> Iterator[tuple[str, bytes]]:
    known = things(sample, count)
    for number in numbers:
        made = pair(known, seed, number)
        said = {"url": f"https://scenes.example/{number}", "planted_fault": made.fault, "planted_number": number}
        yield f"{number:08d}.jpg", made.data
        yield f"{number:08d}.txt", made.caption.encode()
        yield f"{number:08d}.json", json.dumps(said).encode()


def _clean_members(sample: Path, count: int, seed: int, numbers: range) -> Iterator[tuple[str, bytes]]:
    known = things(sample, count)
    for number in numbers:
        whole = scene(known, seed, number)
        yield f"{number:08d}.jpg", whole.jpeg
        yield f"{number:08d}.txt", whole.caption.encode()


def write_tests(work: Path, known: Things, scenes: int, seed: int) -> list[Path]:
    """Two folders laid out as CLIP_benchmark's: things by their names, and scenes with their captions.

    Compositions are those that no pool shows. In the second every caption is another one.
    """
    classes, pairs = work / "test" / "things", work / "test" / "scenes"
    if not (pairs / "test" / "0.tar").is_file():
        for folder in (classes, pairs):
            (folder / "test").mkdir(parents=True, exist_ok=True)
            (folder / "test" / "nshards.txt").write_text("1\n")
        (classes / "classnames.txt").write_text("".join(f"{name}\n" for name in known.names))
        templates = ["{c}", *(manner + "{c}" for manner in MANNERS)]
        (classes / "zeroshot_classification_templates.txt").write_text("".join(f"{each}\n" for each in templates))
        write_tar(classes / "test" / "0.tar", _portraits(known, seed + TEST_SEED))
        (pairs / "dataset_type.txt").write_text("retrieval\n")
        write_tar(pairs / "test" / "0.tar", _scenes(known, seed + TEST_SEED, scenes))
    return [classes, pairs]


def _portraits(known: Things, seed: int) -> Iterator[tuple[str, bytes]]:
    for number in range(len(known.names) * PORTRAITS):
        label = number // PORTRAITS
        yield f"{number:08d}.jpg", portrait(known, seed, number, known.names[label])
        yield f"{number:08d}.cls", str(label).encode()


def _scenes(known: Things, seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    seen: set[str] = set()
    number = len(known.names) * PORTRAITS
    while len(seen) < count:
        whole = scene(known, seed, number, test=True)
        if whole.caption not in seen:
            yield f"{number:08d}.jpg", whole.jpeg
            yield f"{number:08d}.txt", whole.caption.encode()
        seen.add(whole.caption)
        number += 1
