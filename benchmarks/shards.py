"""Megabytes per second of the package's tar writer, beside webdataset's ShardWriter and a plain copy of the same bytes.

    python benchmarks/shards.py [--samples N] [--rounds N] [--folder DIR]

Both writers get the same samples from memory: a JPEG of about 25 kB, and the bytes of its caption and its JSON. The
two tars are first walked with Python's tarfile, which must find the same members and bytes, and two of ours must be
equal. The sides, in turn: `peer` is webdataset's ShardWriter at its defaults, `plain` is `write_shard` without a
checksum, `ours` is what a release does: SHA-256, fsync, rename, fsync of the folder. `copy` copies the finished tar
within the kernel, as `cp` does, and `write` writes it from memory with large calls: what no writer can beat. `release`
is the whole task of a shard: pictures read from their source, their headers and SHA-256, the tar, the manifest.
`by_bytes` is the share of each in bytes per second of the CPU, so per core: medians over the rounds. Before each a file
of that size is written and deleted, so that all sides write into memory that the kernel has at hand. The last line on
stdout is one JSON object.
"""

import argparse
import functools
import gc
import io
import json
import os
import shutil
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from paired import VENVS, in_turn, machine, peer_packages, ratio_range, say
from PIL import Image

from curation.files import committing
from curation.schema import PAIRS, SAMPLES, hex_id
from curation.shards.tar import Sample, json_member, write_shard
from curation.shards.writer import write_release_shard

SEED = 7  # any number: it only has to stay the same
PICTURES = 200  # different pictures; samples take them in turn
SIDES = (320, 240)  # pixels; with the noise below a JPEG has about 25 kB, the mean of img2dataset's 256-pixel sets
NOISE = 22  # grey levels either way
WRITE_BYTES = 1 << 20
PEER = "webdataset==1.0.2"


def pictures() -> list[bytes]:
    """Coarse colour fields with grain, as JPEG."""
    generator = np.random.default_rng(SEED)
    found = []
    for _ in range(PICTURES):
        coarse = Image.fromarray(generator.integers(0, 256, (24, 32, 3), np.uint8))
        pixels = np.asarray(coarse.resize(SIDES, Image.Resampling.BICUBIC), np.int16)
        pixels = pixels + generator.integers(-NOISE, NOISE, pixels.shape)
        encoded = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(encoded, "JPEG", quality=80)
        found.append(encoded.getvalue())
    return found


def drawn_rows(count: int, source: Path) -> pa.Table:
    """The rows of a shard, whose pictures lie end to end in the file `source`."""
    schema = pa.schema([PAIRS.arrow.field(n) for n in PAIRS.names if n in (*SAMPLES.names, "image")])
    encoded = pictures()
    rows = []
    with open(source, "wb") as file:
        for number in range(count):
            data = encoded[number % PICTURES]
            url, caption = f"https://example.com/pictures/{number}.jpg", f"a photograph of place {number}, seen by day"
            row = dict.fromkeys(schema.names) | {"uid": hex_id(url, caption), "image_id": hex_id(url), "url": url}
            row |= {"image": {"uri": str(source), "offset": file.tell(), "length": len(data)}, "caption": caption}
            rows.append(row | {"source": "made", "kind": "table", "document": str(number)})
            file.write(data)
    return pa.Table.from_pylist(rows, schema)


def samples_of(rows: pa.Table) -> list[Sample]:
    """The same as samples, everything encoded."""
    found = []
    with open(rows["image"][0].as_py()["uri"], "rb") as file:
        for row in rows.to_pylist():
            pointer = row.pop("image")
            file.seek(pointer["offset"])
            data = file.read(pointer["length"])
            found.append(Sample(row["uid"], "jpg", data, row["caption"], json_member(row)))
    return found


def plain(samples: list[Sample], path: Path) -> None:
    """Our writer without checksums."""
    with open(path, "wb", buffering=0) as file:
        write_shard(file, samples, checksum=False)


def ours(samples: list[Sample], path: Path) -> None:
    """Our writer as a release uses it."""
    with committing(str(path)) as file:
        record = write_shard(file.file, samples)
        file.wrote(record.bytes, record.sha256)


def peer(samples: list[Sample], path: Path) -> None:
    """webdataset's writer; the shard's number goes into the name."""
    import webdataset

    pattern = str(path.with_name(path.stem + "-%d.tar"))
    with webdataset.ShardWriter(pattern, maxcount=len(samples) + 1, maxsize=1 << 40, verbose=0) as sink:
        for key, extension, image, caption, record in samples:
            sink.write({"__key__": key, extension: image, "txt": caption, "json": record})


def written(source: bytes, path: Path) -> None:
    """The bytes of the finished tar, from memory."""
    with open(path, "wb", buffering=0) as file:
        for start in range(0, len(source), WRITE_BYTES):
            file.write(source[start : start + WRITE_BYTES])


def released(rows: pa.Table, folder: Path) -> None:
    """A whole shard of a release."""
    shutil.rmtree(folder, ignore_errors=True)
    write_release_shard(str(folder), 0, rows, [])


def members(path: Path) -> list[tuple[str, bytes]]:
    """Names and contents by Python's tarfile; webdataset puts members in the order of their names."""
    with tarfile.open(path) as archive:
        return sorted((info.name, archive.extractfile(info).read()) for info in archive)


def differences(samples: list[Sample], folder: Path) -> list[str]:
    """What the sides do not agree on."""
    for name, write in (("plain", plain), ("ours", ours), ("peer", peer)):
        write(samples, folder / f"{name}.tar")
    found = members(folder / "plain.tar")
    wrong = [] if found == members(folder / "peer-0.tar") else ["members of ours and of webdataset's"]
    wrong += [] if len(found) == 3 * len(samples) else ["number of members"]
    same = (folder / "plain.tar").read_bytes() == (folder / "ours.tar").read_bytes()
    return wrong + ([] if same else ["bytes of our two tars"])


def seconds_of(space: bytes, folder: Path, write: Callable) -> tuple[float, float]:
    """(CPU seconds, seconds) of writing a file, into memory that was used before."""
    scratch = folder / "scratch"
    scratch.write_bytes(space)
    for path in folder.glob("*.tar"):
        path.unlink()
    scratch.unlink()
    gc.collect()
    clock, cpu = time.perf_counter(), time.process_time()
    write()
    return time.process_time() - cpu, time.perf_counter() - clock


def benchmark(folder: Path, count: int, rounds: int) -> dict:
    """The whole measurement: draw, compare, time in turn."""
    say(f"drawing {count} samples")
    rows = drawn_rows(count, folder / "pictures")
    samples = samples_of(rows)
    unequal = differences(samples, folder)
    space = (folder / "plain.tar").read_bytes()
    finished = folder / "finished"
    finished.write_bytes(space)
    os.sync()
    say(f"{rounds} rounds over {len(space) / 1e6:.0f} MB")
    target = folder / "out.tar"
    sides = {
        "peer": lambda: peer(samples, target),
        "plain": lambda: plain(samples, target),
        "ours": lambda: ours(samples, target),
        "copy": lambda: shutil.copyfile(finished, target),
        "write": lambda: written(space, target),
        "release": lambda: released(rows, folder / "release"),
    }
    seconds = in_turn(sides, rounds, functools.partial(seconds_of, space, folder))
    rates = {name: len(space) / 1e6 / statistics.median(cpu for cpu, _ in each) for name, each in seconds.items()}
    walls = {name: len(space) / 1e6 / statistics.median(wall for _, wall in each) for name, each in seconds.items()}
    return {
        "name": "shards",
        "ratio": round(rates["ours"] / rates["peer"], 2),
        "ours": round(rates["ours"]),
        "peer": round(rates["peer"]),
        "unit": "MB per second of CPU time; ours with SHA-256 and fsync",
        "input": f"{count} samples, {len(space) / 1e6:.0f} MB, {len(space) / count / 1e3:.1f} kB a sample",
        "rounds": rounds,
        "equal": unequal or True,
        "machine": f"{machine('numpy')}, {PEER}",
        "ratio_range": ratio_range(seconds["peer"], seconds["ours"]),
        "without_checksum": round(rates["plain"] / rates["peer"], 2),
        "without_checksum_range": ratio_range(seconds["peer"], seconds["plain"]),
        "share_of_copy": {name: round(rates[name] / rates["copy"], 2) for name in ("plain", "ours")},
        "share_of_write": {name: round(rates[name] / rates["write"], 2) for name in ("plain", "ours")},
        "rates": {name: round(rate) for name, rate in rates.items()},
        "wall": {name: round(rate) for name, rate in walls.items()},
    }


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where to write; default the folder of temporary files")
    args = parser.parse_args()
    peer_packages("webdataset", PEER, dependencies=False)
    sys.path.insert(0, str(VENVS / "webdataset"))  # before the one that the tests need
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        print(json.dumps(benchmark(Path(folder), args.samples, args.rounds)))


if __name__ == "__main__":
    main()
