"""A release written, verified, partly forgotten and verified again, beside webdataset writing its tars anew.

    python benchmarks/forget.py [--samples N] [--shards N] [--rounds N]

A release of N samples is written by the package's own shard writer, with JPEGs of about 25 kB. Every hundredth sample
of a third of the shards is on a list: `ours` is `curate forget` with its check of what it rewrites, its scan of every
tar, its manifest and its diff. `peer` is what one would do without: webdataset reads the tars and its TarWriter writes
what is not listed; no manifest, no check. `copy` only copies the files, `verify` checks the new release. Seconds of CPU
time, all threads together, the median over the rounds. First: both releases verify, and every member that is left is
the same byte for byte on both sides. The last line on stdout is one JSON object.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import webdataset
from paired import in_turn, machine, say
from verify import write_release

from curation.shards.forget import forget
from curation.shards.manifest import Release
from curation.shards.tar import read_members
from curation.shards.verify import verify

PART = 3  # one shard in so many is touched
SHARE = 100  # one sample in so many of it is listed


def listed(out: Path) -> list[str]:
    """The uids on the list."""
    release = Release.open(str(out))
    touched = range(0, len(release.tars), PART)
    return [uid for n in touched for uid in release.shard_samples(n, ["uid"])["uid"].to_pylist()[::SHARE]]


def members(out: Path) -> dict[str, int]:
    """A hash of every member of every tar of a release."""
    release, found = Release.open(str(out)), {}
    for number in range(len(release.tars)):
        data = release.open_tar(number)
        found |= {m.name: hash(data[m.offset : m.offset + m.bytes]) for m in read_members(data)}
    return found


def differences(out: Path, new: Path, gone: list[str]) -> list[str]:
    """What is otherwise than it should be after a takedown."""
    wrong = [*verify(str(out)), *verify(str(new))]
    lost = set(gone)
    wanted = {name: value for name, value in members(out).items() if name.partition(".")[0] not in lost}
    return wrong + ([] if members(new) == wanted else ["the members that are left"])


def rewrite(out: Path, peer: Path, gone: set[str]) -> None:
    """The tars without what is listed, by webdataset."""
    peer.mkdir(exist_ok=True)
    for tar in sorted(out.glob("shards/*.tar")):
        with webdataset.TarWriter(str(peer / tar.name), encoder=False) as sink:
            for sample in webdataset.WebDataset(str(tar), shardshuffle=False):
                if sample["__key__"] not in gone:
                    sink.write({k: v for k, v in sample.items() if k in ("__key__", "jpg", "txt", "json")})


def differently(new: Path, peer: Path) -> list[str]:
    """Members that the two sides do not both have."""
    wanted = members(new)
    found = {}
    for tar in sorted(peer.glob("*.tar")):
        data = tar.read_bytes()
        found |= {m.name: hash(data[m.offset : m.offset + m.bytes]) for m in read_members(data)}
    return [] if found == wanted else ["what webdataset wrote"]


def seconds_of(work: Callable) -> float:
    """Seconds of CPU time of one call, all threads together."""
    start = time.process_time()
    work()
    return time.process_time() - start


def benchmark(folder: Path, samples: int, shards: int, rounds: int) -> dict:
    """The whole measurement: write, take down, compare, time in turn."""
    names = ("release", "new", "peer", "copy", "uids.txt")
    out, new, peer, copy, uids = (folder / name for name in names)
    say(f"writing {samples} samples in {shards} shards")
    write_release(out, samples, shards)
    gone = listed(out)
    uids.write_text("".join(f"{uid}\n" for uid in gone))

    def take_down() -> None:
        shutil.rmtree(new, ignore_errors=True)
        forget(str(out), out=str(new), uids=str(uids), exclude=False)

    def copied() -> None:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(out, copy)

    say(f"forgetting {len(gone)} samples, and comparing")
    take_down()
    rewrite(out, peer, set(gone))
    unequal = differences(out, new, gone) + differently(new, peer)
    say(f"{rounds} rounds")
    sides = {"ours": take_down, "peer": lambda: rewrite(out, peer, set(gone)), "copy": copied}
    sides["verify"] = lambda: verify(str(new))
    seconds = {name: statistics.median(values) for name, values in in_turn(sides, rounds, seconds_of).items()}
    total = sum(tar["bytes"] for tar in Release.open(str(out)).tars)
    return {
        "name": "forget",
        "ratio": round(seconds["peer"] / seconds["ours"], 2),
        "ours": round(seconds["ours"], 2),
        "peer": round(seconds["peer"], 2),
        "unit": "seconds of CPU time",
        "input": f"{samples} samples in {shards} shards, {total / 1e6:.0f} MB, {len(gone)} listed",
        "rounds": rounds,
        "equal": unequal or True,
        "machine": machine("webdataset", "pyarrow"),
        "copy": round(seconds["copy"], 2),
        "verify": round(seconds["verify"], 2),
    }


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--shards", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(benchmark(Path(folder), args.samples, args.shards, args.rounds)))


if __name__ == "__main__":
    main()
