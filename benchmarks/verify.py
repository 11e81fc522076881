"""Megabytes per second that `curation.shards.verify` reads, beside plain SHA-256 and plain reading of the same files.

    python benchmarks/verify.py [--samples N] [--shards N] [--rounds N]

A release of N samples in all is written to a temporary folder by the package's own shard writer, with JPEGs of about
25 kB. The sides run in this process, in turn: `ours` verifies the release (on all cores it may use), `peer` takes the
SHA-256 of each file and compares it, which no check of bytes can do without, and `read` only reads, as `cp` does. A
rate is the median over the rounds of bytes per second of CPU time, that of all threads together; `wall` is by the
clock. First a byte is changed, which both must find. The last line on stdout is one JSON object.
"""

import argparse
import gc
import hashlib
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from paired import in_turn, machine, ratio_range, say
from PIL import Image

from curation import tables
from curation.records import write_record
from curation.schema import PAIRS, SAMPLES, SHARDS, SUBSET, hex_id
from curation.shards.mark import MARK, PARTS
from curation.shards.verify import verify
from curation.shards.writer import shard_record, write_release_shard

SEED = 7  # any number: it only has to stay the same
PICTURES = 200  # different pictures; samples take them in turn
SIDES = (320, 240)  # pixels; with the noise below a JPEG has about 25 kB, the mean of img2dataset's 256-pixel sets
NOISE = 22  # grey levels either way
READ_BYTES = 1 << 20


def draw_pictures(path: Path) -> list[tuple[int, int]]:
    """Write the pictures end to end into one file; offset and length of each."""
    generator = np.random.default_rng(SEED)
    places = []
    with open(path, "wb") as file:
        for _ in range(PICTURES):
            coarse = Image.fromarray(generator.integers(0, 256, (24, 32, 3), np.uint8))
            pixels = np.asarray(coarse.resize(SIDES, Image.Resampling.BICUBIC), np.int16)
            pixels = pixels + generator.integers(-NOISE, NOISE, pixels.shape)
            encoded = io.BytesIO()
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(encoded, "JPEG", quality=80)
            places.append((file.tell(), encoded.tell()))
            file.write(encoded.getvalue())
    return places


def write_release(out: Path, samples: int, shards: int) -> None:
    """A release as `curate run` leaves it, all pairs kept."""
    pictures = out / "pictures"
    out.mkdir()
    places = draw_pictures(pictures)
    schema = pa.schema([PAIRS.arrow.field(n) for n in PAIRS.names if n in (*SAMPLES.names, "image")])
    records, uids = [], []
    for shard in range(shards):
        rows = []
        for number in range(shard * samples // shards, (shard + 1) * samples // shards):
            offset, length = places[number % PICTURES]
            url, caption = f"https://example.com/pictures/{number}.jpg", f"a photograph of place {number}, seen by day"
            row = dict.fromkeys(schema.names) | {"uid": hex_id(url, caption), "image_id": hex_id(url), "url": url}
            row |= {"image": {"uri": str(pictures), "offset": offset, "length": length}, "caption": caption}
            rows.append(row | {"source": "made", "kind": "table", "document": str(number)})
        uids += [row["uid"] for row in rows]
        write_release_shard(str(out), shard, pa.Table.from_pylist(rows, schema), [])
        records.append(json.loads(Path(shard_record(str(out), shard)).read_text()))
    tars = [record["tar"] for record in records]
    sizes = [{"shard": n, "samples": t["rows"], "bytes": t["bytes"], "sha256": t["sha256"]} for n, t in enumerate(tars)]
    mark = {"schema_version": 1, "counts": {"pool": samples, "kept": samples, "shards": shards}, "tars": tars}
    mark["samples"] = [record["samples"] for record in records]
    mark["shards"] = written(out, PARTS["shards"], sizes, SHARDS.arrow)
    mark["subset"] = written(out, PARTS["subset"], [{"uid": uid, "keep": True} for uid in sorted(uids)], SUBSET.arrow)
    write_record(str(out / MARK), mark)


def written(out: Path, folder: str, rows: list[dict], schema: pa.Schema) -> list[dict]:
    """A table of one part; its record as release.json lists it."""
    batch = pa.RecordBatch.from_pylist(rows, schema)
    part = tables.write_part(str(out / folder), "00000000", [batch], schema).record()
    return [part | {"name": f"{folder}/{part['name']}"}]


def listed(out: Path) -> list[dict]:
    """The records of all files of the release."""
    mark = json.loads((out / MARK).read_text())
    return [part for kind in PARTS for part in mark[kind]]


def pieces(path: Path, take: Callable[[memoryview], None]) -> None:
    """Read a file piece by piece into one buffer."""
    buffer = memoryview(bytearray(READ_BYTES))
    with open(path, "rb", buffering=0) as file:
        while size := file.readinto(buffer):
            take(buffer[:size])


def altered(out: Path, parts: list[dict]) -> list[str]:
    """Names of the files whose SHA-256 is not the one listed."""
    found = []
    for part in parts:
        digest = hashlib.sha256()
        pieces(out / part["name"], digest.update)
        found += [part["name"]] if digest.hexdigest() != part["sha256"] else []
    return found


def read(out: Path, parts: list[dict]) -> None:
    """Read every file and do nothing with it."""
    for part in parts:
        pieces(out / part["name"], len)


def differences(out: Path, parts: list[dict]) -> list[str]:
    """What the two sides do not agree on: a sound release, and one with a byte changed in its last shard."""
    wrong = [] if verify(str(out)) == altered(out, parts) == [] else ["the release as written"]
    tar = out / json.loads((out / MARK).read_text())["tars"][-1]["name"]
    whole = tar.read_bytes()
    tar.write_bytes(whole[:-20_000] + bytes([whole[-20_000] ^ 1]) + whole[-19_999:])
    names = {fault.partition(":")[0] for fault in verify(str(out))}
    wrong += [] if names == set(altered(out, parts)) == {str(tar.relative_to(out))} else ["a changed byte"]
    tar.write_bytes(whole)
    return wrong


def seconds_of(work: Callable) -> tuple[float, float]:
    """(CPU seconds of all threads, seconds) of one call."""
    gc.collect()
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.process_time() - cpu, time.perf_counter() - clock


def benchmark(out: Path, samples: int, shards: int, rounds: int) -> dict:
    """The whole measurement: write, compare, time in turn."""
    say(f"writing {samples} samples in {shards} shards")
    write_release(out, samples, shards)
    parts = listed(out)
    total = sum(part["bytes"] for part in parts)
    say("comparing what is found")
    unequal = differences(out, parts)
    say(f"{rounds} rounds over {total / 1e6:.0f} MB")
    sides = {"ours": lambda: verify(str(out)), "peer": lambda: altered(out, parts), "read": lambda: read(out, parts)}
    seconds = in_turn(sides, rounds, seconds_of)
    rates = {name: total / 1e6 / statistics.median(cpu for cpu, _ in values) for name, values in seconds.items()}
    walls = {name: total / 1e6 / statistics.median(wall for _, wall in values) for name, values in seconds.items()}
    return {
        "name": "verify",
        "ratio": round(rates["ours"] / rates["peer"], 2),
        "ours": round(rates["ours"]),
        "peer": round(rates["peer"]),
        "unit": "MB per second of CPU time, all threads together",
        "input": f"{samples} samples in {shards} shards, {total / 1e6:.0f} MB, {total / samples / 1e3:.1f} kB a sample",
        "rounds": rounds,
        "equal": unequal or True,
        "machine": machine("pyarrow"),
        "ratio_range": ratio_range(seconds["peer"], seconds["ours"]),
        "read": round(rates["read"]),
        "wall": {name: round(rate) for name, rate in walls.items()},
    }


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=16_000)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(benchmark(Path(folder) / "release", args.samples, args.shards, args.rounds)))


if __name__ == "__main__":
    main()
