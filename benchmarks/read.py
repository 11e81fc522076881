"""Samples per second that `curation.shards.ManifestDataset` gives, beside webdataset's reading of the same tars.

    python benchmarks/read.py [--samples N] [--shards N] [--rounds N]

A release of N samples in all is written to a temporary folder by the package's own shard writer, with JPEGs of about
25 kB. The sides run in this process, in turn, on one core: `ours` gives uid, picture and caption of each sample in the
shuffled order of an epoch, by the offsets in the manifest; `peer` is webdataset's own pipeline over the tars in the
order in which they stand (its cheapest), samples grouped, nothing decoded; `walk` reads every header and member with
the package's tar reader, as one that has no manifest must. Rates are samples per second of CPU time, all threads
together: the median over the rounds. First all three must give the same pictures and captions. The last line on stdout
is one JSON object.
"""

import argparse
import contextlib
import gc
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import webdataset
from paired import in_turn, machine, ratio_range, say
from verify import write_release

from curation.shards.dataset import ManifestDataset
from curation.shards.manifest import Release
from curation.shards.tar import read_members


def ours(out: str) -> Iterator[tuple[str, bytes, str]]:
    """Key, picture and caption of each sample by the manifest, shuffled."""
    for sample in ManifestDataset(out):
        yield sample["uid"], sample["image"], sample["text"]


def peer(tars: list[str]) -> Iterator[tuple[str, bytes, str]]:
    """The same by webdataset, in the order of the tars."""
    for sample in webdataset.WebDataset(tars, shardshuffle=False):
        yield sample["__key__"], sample["jpg"], sample["txt"].decode()


def walk(out: str) -> Iterator[tuple[str, bytes, str]]:
    """The same by the headers in the tars alone."""
    release = Release.open(out)
    for number in range(len(release.tars)):
        data, image = release.open_tar(number), b""
        for member in read_members(data):
            key, _, extension = member.name.partition(".")
            content = data[member.offset : member.offset + member.bytes]
            if extension == "jpg":
                image = content
            elif extension == "txt":
                yield key, image, content.decode()


def seconds_of(work: Callable) -> tuple[float, float]:
    """(CPU seconds of all threads, seconds) of one call."""
    gc.collect()
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.process_time() - cpu, time.perf_counter() - clock


def count(samples: Iterator) -> int:
    """How many there are; each is looked at once."""
    return sum(1 for _ in samples)


def benchmark(out: Path, samples: int, shards: int, rounds: int) -> dict:
    """The whole measurement: write, compare, time in turn."""
    say(f"writing {samples} samples in {shards} shards")
    write_release(out, samples, shards)
    tars = [str(path) for path in sorted(out.glob("shards/*.tar"))]
    sides = {"ours": lambda: ours(str(out)), "peer": lambda: peer(tars), "walk": lambda: walk(str(out))}
    say("comparing the samples")
    wanted = {key: pair for key, *pair in sides["ours"]()}
    unequal = [name for name in ("peer", "walk") if {key: pair for key, *pair in sides[name]()} != wanted]
    say(f"{rounds} rounds")
    seconds = in_turn({name: lambda s=side: count(s()) for name, side in sides.items()}, rounds, seconds_of)
    rates = {name: samples / statistics.median(cpu for cpu, _ in values) for name, values in seconds.items()}
    total = sum(Path(tar).stat().st_size for tar in tars)
    return {
        "name": "read",
        "ratio": round(rates["ours"] / rates["peer"], 2),
        "ours": round(rates["ours"]),
        "peer": round(rates["peer"]),
        "unit": "samples per second of CPU time, all threads together",
        "input": f"{samples} samples in {shards} shards, {total / 1e6:.0f} MB, {total / samples / 1e3:.1f} kB a sample",
        "rounds": rounds,
        "equal": unequal or len(wanted) == samples,
        "machine": machine("webdataset", "torch", "pyarrow"),
        "ratio_range": ratio_range(seconds["peer"], seconds["ours"]),
        "walk": round(rates["walk"]),
        "walk_ratio": round(rates["walk"] / rates["peer"], 2),
        "mb_per_s": {name: round(rate * total / samples / 1e6) for name, rate in rates.items()},
    }


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=16_000)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(benchmark(Path(folder) / "release", args.samples, args.shards, args.rounds)))


if __name__ == "__main__":
    main()
