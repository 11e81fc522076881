"""Captions per second of `curation.methods.Matcher` beside pyahocorasick, used the way MetaCLIP uses it.

    python benchmarks/match.py [--captions FILE.parquet] [--entries N] [--rounds N] [--spark-captions N]

500,000 entries (WordNet's, and seeded ones of one to three of its words) against the real captions of a LAION-style
table, or generated ones where there is none. Both sides run in this process, in turn, on one thread; first their ids
are compared, caption by caption. A rate is the median over the rounds of captions per second of thread CPU time. Each
side gets and gives what is its own: ours Arrow arrays, the peer strings and lists of ids; `from_lists` is ours with
strings and lists too.

`spark` is the same inside Spark, end to end, in a session on two cores for each side and round: a million captions (the
same ones again and again) from Parquet to lists of ids and counts of entries as Parquet, by the stage `match_entries`
and by an automaton in a mapInArrow. Its `ratio` is that of CPU seconds of all processes for the first job of a warm
session, building in each worker included; `ratio_built` that of the jobs after it. The last line on stdout is one JSON
object.
"""

import argparse
import json
import pickle
import random
import statistics
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from matching.peer import PEER, built_automaton
from matching.rounds import inside_spark
from paired import in_turn, machine, peer_packages, say, thread_seconds

from curation.entries import load_entries
from curation.methods import Matcher

HERE = Path(__file__).resolve().parent
CAPTIONS = HERE.parents[1] / "shared" / "data" / "tables" / "laion-style-10k.parquet"
CAPTION_COLUMN = "TEXT"  # LAION's name of it
ENTRIES = 500_000  # MetaCLIP's number of entries (arXiv:2309.16671, section 3.1)
SIZES = (57, 33, 9)  # assumption: weights of one, two and three words (unigrams; bigrams; titles)
SEED = 7  # any number: it only has to stay the same
GENERATED = 10_000  # captions, where there is no table
DECILES = (1, 3, 5, 6, 7, 8, 9, 10, 12, 16, 39)  # words a caption in that table, at 0, 10, .. 90 and 99 percent
MARK_RATE = 0.07  # share of the words in that table that hold a mark
SPARK_CAPTIONS, SPARK_ROUNDS = 1_000_000, 3
TARGETS = {"ratio": 8, "spark": 4, "build_seconds": 3, "memory_mb": 200}


def made_entries(wanted: int) -> list[str]:
    """`wanted` distinct entries: WordNet's, then ones of one to three of their words, half of those in title case."""
    entries = load_entries()[:wanted]
    words = [word for entry in entries for word in entry.split(" ") if word]  # frequent words are drawn more often
    draw = random.Random(SEED)
    seen = dict.fromkeys(entries)  # a dict keeps the order
    while len(seen) < wanted:
        size = draw.choices((1, 2, 3), SIZES)[0]
        entry = " ".join(draw.choices(words, k=size))
        seen[entry.title() if draw.random() < 0.5 else entry] = None
    return list(seen)


def read_captions(path: Path, entries: list[str]) -> tuple[list[str], str]:
    """(captions, where they come from): those of the table that are not null or, where there is none, made ones."""
    if path.is_file():
        return pq.read_table(path)[CAPTION_COLUMN].drop_null().to_pylist(), f"real captions ({path.name})"
    draw = random.Random(SEED)
    words = [word for entry in entries for word in entry.split(" ")]
    captions = []
    for _ in range(GENERATED):
        low = draw.randrange(len(DECILES) - 1)
        # squared, as lengths crowd at the low end of a decile (the last one runs from 16 to 39)
        size = DECILES[low] + round((DECILES[low + 1] - DECILES[low]) * draw.random() ** 2)
        marked = [word + "," * (draw.random() < MARK_RATE) for word in draw.choices(words, k=size)]
        captions.append(" ".join(marked))
    return captions, "generated captions"


def differences(ours: list[list[int]], peers: list[list[int]], captions: list[str], entries: list[str]) -> list[dict]:
    """One row per caption that the two give other entries: the caption and the entries that only one has."""
    pairs = [(set(a), set(b), caption) for a, b, caption in zip(ours, peers, captions, strict=True)]
    return [
        {"caption": caption, "ours_only": [entries[k] for k in a - b], "peer_only": [entries[k] for k in b - a]}
        for a, b, caption in pairs
        if a != b
    ]


def benchmark(path: Path, count: int, rounds: int, spark_captions: int, spark_rounds: int) -> dict:
    """The whole measurement: build both, compare their ids, time them in turn."""
    entries = made_entries(count)
    captions, source = read_captions(path, entries)
    array, listed = pa.array(captions, pa.string()), pa.array(entries, pa.string())
    Matcher(["a b"]).match(array[:1])  # compile, or load what is compiled: not part of a build
    peer_packages("match", PEER)  # install, likewise
    say(f"building from {len(entries)} entries")
    builds = in_turn({"ours": lambda: Matcher(listed), "peer": lambda: built_automaton(entries)}, 3, thread_seconds)
    matcher, search = Matcher(listed), built_automaton(entries)
    say(f"comparing on {len(captions)} captions")
    found = matcher.match(array).to_pylist()
    unequal = differences(found, search(captions), captions, entries)
    sides = {
        "ours": lambda: matcher.match(array),
        "peer": lambda: search(captions),
        "from_lists": lambda: matcher.match(pa.array(captions, pa.string())).to_pylist(),
    }
    say(f"{rounds} rounds")
    seconds = in_turn(sides, rounds, thread_seconds)
    rates = {name: len(captions) / statistics.median(values) for name, values in seconds.items()}
    ratios = [peer / ours for ours, peer in zip(seconds["ours"], seconds["peer"], strict=True)]
    matches = sum(map(len, found)) / len(captions)
    spark, other = inside_spark(captions, entries, spark_captions, spark_rounds) if spark_captions else (None, [])
    return {
        "name": "match",
        "ratio": round(rates["ours"] / rates["peer"], 2),
        "ours": round(rates["ours"]),
        "peer": round(rates["peer"]),
        "unit": "captions per second of thread CPU time",
        "input": f"{len(captions)} {source}, {matches:.1f} matches each; {len(entries)} entries, WordNet's and made",
        "rounds": rounds,
        "equal": unequal + other or True,
        "machine": f"{machine('numba', 'pyarrow', 'pyspark')}, {PEER}",
        "ratio_range": [round(min(ratios), 2), round(max(ratios), 2)],
        "from_lists": round(rates["from_lists"]),
        "build_seconds": {name: round(statistics.median(values), 3) for name, values in builds.items()},
        "memory_mb": round(len(pickle.dumps(matcher, protocol=5)) / 1e6, 1),  # the tables, as a worker gets them
        "spark": spark,
        "targets": TARGETS,
    }


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=Path, default=CAPTIONS, help=f"parquet with column {CAPTION_COLUMN}")
    parser.add_argument("--entries", type=int, default=ENTRIES)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--spark-captions", type=int, default=SPARK_CAPTIONS, help="0: nothing inside Spark")
    parser.add_argument("--spark-rounds", type=int, default=SPARK_ROUNDS)
    args = parser.parse_args()
    found = benchmark(args.captions, args.entries, args.rounds, args.spark_captions, args.spark_rounds)
    print(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    main()
