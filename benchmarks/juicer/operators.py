"""The two steps that py-data-juicer has no operator for, as functions for its `python_file_mapper`.

They run in its environment, in its worker processes; settings come as environment variables, since such a function
takes nothing but a batch of samples. Both do what MetaCLIP's own code does: one automaton, draws until the first
success. The draws are those of the stage `balance_entries`, so that the two sides can be compared pair by pair.

`match` and `balance` leave out the samples that are dropped, which is the cheapest way there is. `matched` and `drawn`
leave them in, with a number in `kept` for its own `specified_numeric_field_filter`, which takes samples one by one.
"""

import os
from functools import cache

import numpy as np
import pyarrow.parquet as pq
import xxhash
from matching.peer import built_automaton

ENTRIES = "TEXT_BENCHMARK_ENTRIES"  # Parquet, column `entry`
PROBABILITIES = "TEXT_BENCHMARK_PROBABILITIES"  # .npy, by the place of the entry


@cache
def search():
    """The search for the entries, built once in a process."""
    return built_automaton(pq.read_table(os.environ[ENTRIES])["entry"].to_pylist())


@cache
def probabilities() -> list[float]:
    """Of each entry to keep a caption that holds it."""
    return np.load(os.environ[PROBABILITIES]).tolist()


def match(samples: dict) -> dict:
    """The samples that hold an entry, with `entries`, the ids."""
    return _kept(matched(samples))


def matched(samples: dict) -> dict:
    """All samples, with `entries`, and how many they are as `kept`."""
    found = search()(samples["text"])
    return {**samples, "entries": found, "kept": [len(ids) for ids in found]}


def balance(samples: dict) -> dict:
    """The samples of which an entry draws a number below its probability."""
    return _kept(drawn(samples))


def drawn(samples: dict) -> dict:
    """All samples, with 1 or 0 as `kept`."""
    p = probabilities()
    rows = zip(samples["uid"], samples["entries"], strict=True)
    return {**samples, "kept": [int(any(uniform(uid, entry) < p[entry] for entry in ids)) for uid, ids in rows]}


def _kept(samples: dict) -> dict:
    return {name: [each for each, kept in zip(column, samples["kept"]) if kept] for name, column in samples.items()}


def uniform(uid: str, entry: int) -> float:
    """In [0, 1): the draw of a pair for an entry, with seed 0 (curation.methods.keyed_uniforms)."""
    return (xxhash.xxh64_intdigest(f"0\0balance_entries\0{uid}\0{entry}".encode()) >> 11) * 2.0**-53
