"""Hashes per second of `curation.methods.hashes.HashIndex` beside faiss, on a list of a million hashes of 256 bits.

    python benchmarks/hashes.py [--rounds N] [--listed N]

Random hashes, half of the pictures 0 to 40 bits from a listed one, and a distance of 31. The peer is the faster of
faiss' exact ways: comparing all (IndexBinaryFlat) and multi-index hashing (IndexBinaryMultiHash, 16 tables of 16 bits,
1 flip), each on one thread and on fewer pictures, as they are slow. First the rows and distances that come out are
compared with the comparison of all. A rate is the median over the rounds of pictures per second of thread CPU time,
ours with `seconds_to_build` the list's index left out, the peer's too. The last line on stdout is one JSON object.
"""

import argparse
import json
import statistics
import time

import faiss
import numpy as np
from paired import in_turn, machine, say, thread_seconds

from curation.methods.hashes import HashIndex

LIMIT = 31
TABLES, BITS, FLIPS = 16, 16, 1
PICTURES, SOME = 100_000, 400  # ours at once, as many as a task of drop_listed takes; the peers', spread over them


def made(listed: int) -> tuple[np.ndarray, np.ndarray]:
    """The list, and the pictures' hashes."""
    draw = np.random.default_rng(0)
    known = draw.integers(0, 256, (listed, 32), np.uint8)
    hashes = draw.integers(0, 256, (PICTURES, 32), np.uint8)
    bits = np.unpackbits(known[draw.integers(0, listed, PICTURES // 2)], axis=1)
    for row, changed in zip(bits, draw.integers(0, 41, len(bits))):
        row[draw.permutation(256)[:changed]] ^= 1
    hashes[::2] = np.packbits(bits, axis=1)
    return known, hashes


def differences(index: HashIndex, flat: faiss.IndexBinaryFlat, hashes: np.ndarray) -> list[dict]:
    """Pictures whose nearest listed hash is another than that of comparing all."""
    rows, bits = index.search(hashes)
    wanted_bits, wanted = (each[:, 0] for each in flat.search(hashes, 1))
    inside = wanted_bits <= LIMIT
    unequal = np.flatnonzero((rows != np.where(inside, wanted, -1)) | (bits != np.where(inside, wanted_bits, -1)))
    return [{"picture": int(i), "ours": int(rows[i]), "all": int(wanted[i])} for i in unequal]


def benchmark(rounds: int, listed: int) -> dict:
    """The whole measurement."""
    faiss.omp_set_num_threads(1)
    known, hashes = made(listed)
    started = time.thread_time()
    index = HashIndex(known, LIMIT)
    built = time.thread_time() - started
    flat, multi = faiss.IndexBinaryFlat(256), faiss.IndexBinaryMultiHash(256, TABLES, BITS)
    multi.nflip = FLIPS
    for peer in (flat, multi):
        peer.add(known)
    some = hashes[:: PICTURES // SOME + 1]
    unequal = differences(index, flat, some)
    sides = {
        "ours": lambda: index.search(hashes),
        "flat": lambda: flat.search(some, 1),
        "multi": lambda: multi.range_search(some, LIMIT + 1),
    }
    seconds = in_turn(sides, rounds, thread_seconds)
    counts = {"ours": PICTURES, "flat": len(some), "multi": len(some)}
    rates = {name: round(counts[name] / statistics.median(values)) for name, values in seconds.items()}
    peer = max(("flat", "multi"), key=rates.__getitem__)
    return {
        "name": "hashes",
        "ratio": round(rates["ours"] / rates[peer], 1),
        "ours": rates["ours"],
        "peer": rates[peer],
        "unit": "pictures/s of thread CPU time",
        "input": f"{PICTURES:,} pictures against {listed:,} listed hashes, distance {LIMIT}",
        "equal": unequal or True,
        "per_second": rates,
        "fastest_peer": peer,
        "seconds_to_build": round(built, 2),
        "machine": machine("faiss-cpu", "numba"),
    }


def main() -> None:
    """Print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--listed", type=int, default=1_000_000)
    arguments = parser.parse_args()
    result = benchmark(arguments.rounds, arguments.listed)
    say(f"{result['ratio']} times {result['fastest_peer']}; equal: {result['equal']}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
