"""Pictures per second of `curate download`, all guards on, beside plain img2dataset on the same local server.

    python benchmarks/download.py [--pictures N] [--rounds N] [--latency SECONDS]

A server process answers each request after 10 ms with one of 60 drawn photographs (0.8 megapixels, 135 kB on average, a
fifth progressive) under 20 hosts of loopback. Both sides make the same: 256 px on the shorter side, JPEG of quality 95,
tars that webdataset reads, a table with status, size and SHA-256, in as many processes as there are cores. They take
turns as whole commands, start-up included, on all pictures and on a tenth of them.

`ratio` is that of pictures per second of CPU time of all processes, start-up taken out by the two sizes: other jobs on
the machine move it least. Beside it: the same with start-up, and wall time with and without it; ours holds a JVM. The
peer runs without EXIF extraction, which we do not do either; `peer_default_...` is one run with it. The two outputs are
compared: the same pictures, of the same size, and how far apart. The last line on stdout is one JSON object.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg
from corpora import photographs
from paired import machine, say
from paired.commands import adopt_orphans, peer_environment, run

from curation.parts import write_part
from curation.pool import Pool
from curation.schema import PAIRS, hex_id
from curation.tables import write_done

HERE = Path(__file__).resolve().parent
PEER = "img2dataset==1.47.0"  # one version, so that figures of different days compare
HOSTS = 20
CORES = os.cpu_count() or 1
ENVIRONMENT = {"NO_ALBUMENTATIONS_UPDATE": "1", "PYTHONPATH": str(HERE.parent)}
THREADS = 32  # of the peer, per process: as in its authors' benchmark; its default of 256 is slower on few cores


def write_inputs(work: Path, urls: list[str]) -> None:
    """The URLs as a list for the peer and as a pool for us."""
    pq.write_table(pa.table({"url": urls}), work / "urls.parquet")
    rows = [
        {"uid": hex_id(u, "a photograph"), "image_id": hex_id(u), "url": u, "caption": "a photograph", "repeats": 1}
        | {"caption_kind": "alt", "source": "made", "kind": "table", "source_uri": "made", "document": str(number)}
        for number, u in enumerate(urls)
    ]
    batch = pa.RecordBatch.from_pylist(sorted(rows, key=lambda row: row["uid"]), PAIRS.arrow)
    folder = str(work / "pool" / "pairs" / "made")
    write_done(folder, {"table": "pairs", "parts": [write_part(folder, "all", [batch], PAIRS.arrow).record()]})
    part = {"key": "made", "kinds": ["table"], "files": 1, "rows": len(urls), "content": hex_id(*urls)}
    Pool(str(work / "pool")).with_part(part)


def ours(work: Path) -> list[str]:
    """Our command, into `work`/ours."""
    form = ["--resize", "keep_ratio", "--max-side", "256", "--format", "jpg", "--encode-quality", "95"]
    hosts = [flag for number in range(HOSTS) for flag in ("--allow-host", f"127.0.0.{number + 2}")]
    out = ["--out", str(work / "ours"), "--contact", "benchmark@localhost"]
    return [sys.executable, "-m", "curation.cli", "download", str(work / "pool"), *out, *form, *hosts]


def peers(work: Path, pictures: int, exif: bool = False) -> list[str]:
    """The peer's command, into `work`/peer."""
    shard = -(-pictures // (4 * CORES))
    flags = {"url_list": work / "urls.parquet", "output_folder": work / "peer", "input_format": "parquet"}
    flags |= {"url_col": "url", "output_format": "webdataset", "image_size": 256, "resize_mode": "keep_ratio"}
    flags |= {"encode_quality": 95, "processes_count": CORES, "thread_count": THREADS, "extract_exif": exif}
    flags |= {"number_sample_per_shard": shard, "enable_wandb": False}
    program = peer_environment("download", PEER) / "img2dataset"
    return [str(program), *(f"--{name}={value}" for name, value in flags.items())]


def images(folder: Path) -> dict[str, bytes]:
    """The pictures in the tars below a folder, by the URL that the record beside each one names."""
    found = {}
    for path in sorted(folder.rglob("*.tar")):
        with tarfile.open(path) as tar:
            members = {member.name: tar.extractfile(member).read() for member in tar}
        for name in members:
            if name.endswith(".json"):
                found[json.loads(members[name])["url"]] = members[name.removesuffix("json") + "jpg"]
    return found


def differences(work: Path) -> list[str] | bool:
    """True where both have the same pictures, of one size and at least 35 dB apart; else what differs."""
    mine, theirs = images(work / "ours"), images(work / "peer")
    told = [f"{len(mine.keys() - theirs.keys())} only ours, {len(theirs.keys() - mine.keys())} only the peer's"]
    noise = []
    for url in sorted(mine.keys() & theirs.keys())[:300]:
        a, b = simplejpeg.decode_jpeg(mine[url]).astype(float), simplejpeg.decode_jpeg(theirs[url]).astype(float)
        if a.shape != b.shape:
            return [*told, f"{url}: {a.shape} and {b.shape} pixels"]
        noise.append(10 * np.log10(255**2 / max(1e-9, np.mean((a - b) ** 2))))
    say(
        f"{len(mine)} pictures; PSNR between the two: lowest {min(noise):.1f}, median {statistics.median(noise):.1f} dB"
    )
    return True if mine.keys() == theirs.keys() and min(noise) >= 35 else [*told, f"PSNR {min(noise):.1f} dB"]


def measured(work: Path, port: int, pictures: int, rounds: int) -> tuple[dict[str, list[tuple[float, float]]], Any]:
    """(wall, CPU) per side and round, and the comparison of the last outputs."""
    write_inputs(work, [f"http://127.0.0.{2 + n % HOSTS}:{port}/{n}.jpg" for n in range(pictures)])
    sides = {"ours": ours(work), "peer": peers(work, pictures)}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in list(sides)[:: -1 if number % 2 else 1]:
            shutil.rmtree(work / name, ignore_errors=True)
            seconds[name].append(run(sides[name], ENVIRONMENT))
            say(f"{pictures} pictures, {name}: {seconds[name][-1][0]:.1f} s, CPU {seconds[name][-1][1]:.1f} s")
    return seconds, differences(work)


def benchmark(pictures: int, rounds: int, latency: float) -> dict[str, Any]:
    """The whole measurement."""
    adopt_orphans()
    peer_environment("download", PEER)
    server = subprocess.Popen([sys.executable, photographs.__file__, str(latency)], stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline())
        with tempfile.TemporaryDirectory() as folder:
            few, _ = measured(Path(folder), port, pictures // 10, rounds)
            many, equal = measured(Path(folder), port, pictures, rounds)
            shutil.rmtree(Path(folder) / "peer")
            default = pictures / run(peers(Path(folder), pictures, exif=True), ENVIRONMENT)[0]
    finally:
        server.kill()
        server.wait()
    large, small = ({n: [statistics.median(each) for each in zip(*side[n])] for n in side} for side in (many, few))
    rest = {n: [a - b for a, b in zip(large[n], small[n])] for n in large}  # of the pictures that only `many` has
    ratios = sorted((peer[1] - small["peer"][1]) / (mine[1] - small["ours"][1]) for mine, peer in zip(*many.values()))
    headline = rates(pictures - pictures // 10, {n: cpu for n, (_, cpu) in rest.items()})
    return {
        "name": "download",
        **{key: headline[key] for key in ("ratio", "ours", "peer")},
        "unit": "pictures per second of CPU time, start-up apart",
        "input": f"{pictures} requests, {photographs.PHOTOS} photographs, {HOSTS} hosts, {latency * 1e3:g} ms latency",
        "rounds": rounds,
        "equal": equal,
        "machine": machine(),
        "ratio_range": [round(ratios[0], 2), round(ratios[-1], 2)],
        "cpu_with_startup": rates(pictures, {n: cpu for n, (_, cpu) in large.items()}),
        "wall": rates(pictures - pictures // 10, {n: wall for n, (wall, _) in rest.items()}),
        "wall_with_startup": rates(pictures, {n: wall for n, (wall, _) in large.items()}),
        "seconds_for_a_tenth": {n: round(wall, 1) for n, (wall, _) in small.items()},
        "peer_default_wall_with_startup": round(default, 1),
    }


def rates(pictures: int, seconds: dict[str, float]) -> dict[str, float]:
    """Pictures per second of both sides, and their ratio."""
    found = {name: round(pictures / each, 1) for name, each in seconds.items()}
    return found | {"ratio": round(seconds["peer"] / seconds["ours"], 2)}


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.01)
    args = parser.parse_args()
    print(json.dumps(benchmark(args.pictures, args.rounds, args.latency)))


if __name__ == "__main__":
    main()
