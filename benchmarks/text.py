"""CPU seconds of py-data-juicer over ours for the text recipe: clean, language, words, match, balance.

    python benchmarks/text.py [--sizes SMALL,LARGE] [--rounds N]

Both sides get the same Parquet table of ids and captions, work with as many processes as there are cores, and leave the
kept ones as Parquet. What stands for what:

| step | ours | py-data-juicer |
|---|---|---|
| clean | `clean_captions` | `fix_unicode_mapper` (ftfy, NFC), `replace_content_mapper` (runs of blanks; ends) |
| language | `caption_language` is en | `language_id_score_filter`, en, any score; the same weights (lid.176.ftz) |
| words | `caption_words`, 2 to 77 | `words_num_filter`, 2 to 77, no tokeniser |
| match | `match_entries`, wordnet30 | no operator: `python_file_mapper`, pyahocorasick as MetaCLIP uses it |
| balance | `balance_entries` | no operator: entries of all that is left counted by numpy, then a second `dj-process`
  with `python_file_mapper` and the same keyed draws |

The headline, `ratio`, has the peer do it as its handbook says: mappers map, and its `specified_numeric_field_filter`
drops what they marked (`by_filters`). That filter takes samples one by one, as any operator does that is written the
simple way, so the peer's side runs on a tenth of the captions. `whole` is the same with a peer tuned against its own
rules: its two functions leave samples out by themselves, the cheapest way there is, though mappers are not meant to
drop. `filters` is the first three steps, for which the peer has operators of its own. The model of languages costs both
sides the same, 26 us a caption: of a side that ran nothing else nobody could be ten times the other.

Not compared: `curate ingest`, which makes our table of the source (`ingest_cpu_seconds`), and what a release has beside
the kept pairs (reasons of all that was dropped, ledger, report): ours makes them and pays for them. Nor memory.

The sides take turns as whole commands on SMALL and on LARGE captions. `ratio` is that of the CPU seconds that the
captions beyond SMALL took, of all processes: start-up is in both sizes. `with_startup` has it. Their rules differ in
details; `equal` lists how many pairs that concerns and why, on SMALL. The last line on stdout is one JSON object.
"""

import argparse
import json
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from corpora import texts
from juicer.commands import PEER, environment, ours, peers
from juicer.differences import differences
from paired import in_turn, machine, say
from paired.commands import adopt_orphans, run

from curation.entries import load_entries
from curation.pool import Pool

SIDES = {"ours": ours, "peer": peers}
T_SHARE = 200 / 10**5  # t over the number of captions, as in benchmarks/scale.py
TARGET = 10


def write_inputs(folder: Path, captions: list[str]) -> float:
    """A pool for us, its pairs as one table for the peer, the entries; CPU seconds of our ingest."""
    folder.mkdir()
    urls = [f"https://pictures.example/{number}.jpg" for number in range(len(captions))]  # nobody's host (RFC 2606)
    pq.write_table(pa.table({"url": urls, "caption": captions}), folder / "captions.parquet")
    command = [sys.executable, "-m", "curation.cli", "ingest", str(folder / "captions.parquet")]
    _, cpu = run([*command, "--out", str(folder / "pool")], environment(folder, "whole"))
    parts = [f"{where}/{part['name']}" for where, parts in Pool.open(str(folder / "pool")).tables() for part in parts]
    pairs = pa.concat_tables(pq.read_table(path.removeprefix("file://"), columns=["uid", "caption"]) for path in parts)
    pq.write_table(pairs.rename_columns(["uid", "text"]), folder / "pairs.parquet")
    pq.write_table(pa.table({"entry": load_entries()}), folder / "entries.parquet")
    return cpu


def threshold(size: int) -> int:
    """MetaCLIP's t for so many captions."""
    return max(1, round(size * T_SHARE))


def cpu_seconds(variant: str, side: str, folder: Path) -> float:
    """CPU seconds of the commands of one side."""
    commands = SIDES[side](folder, variant, threshold(int(folder.name)))
    used = [run(command, environment(folder, variant)) for command in commands]
    wall, cpu = (sum(each) for each in zip(*used))
    say(f"{variant}, {folder.name} captions, {side}: CPU {cpu:.1f} s, wall {wall:.1f} s")
    return cpu


def per_million(large: float, small: float, captions: int) -> float:
    """CPU seconds per 10^6 captions of those that only the large size has."""
    return round((large - small) / captions * 1e6, 1)


def summary(variant: str, seconds: dict[tuple, list[float]], sizes: list[int]) -> dict[str, Any]:
    """Of medians: seconds a million captions, start-up apart; their ratio; the same with start-up."""
    small, large = sizes
    found = {side: [seconds[variant, side, size] for size in sizes] for side in SIDES}
    middle = {side: [statistics.median(rounds) for rounds in each] for side, each in found.items()}
    rates = {side: per_million(each[1], each[0], large - small) for side, each in middle.items()}
    (_, mine), (_, theirs) = found["ours"], found["peer"]
    ratios = [(b - middle["peer"][0]) / (a - middle["ours"][0]) for a, b in zip(mine, theirs)]
    return {
        "ratio": round(rates["peer"] / rates["ours"], 2),
        "ratio_range": [round(min(ratios), 2), round(max(ratios), 2)],
        **rates,
        "with_startup": round(middle["peer"][1] / middle["ours"][1], 2),
        "cpu_seconds": {side: dict(zip(map(str, sizes), each)) for side, each in middle.items()},
    }


def by_filters(seconds: dict[tuple, list[float]], sizes: list[int], ours: float) -> dict[str, Any]:
    """The peer's seconds a million captions where its own filter drops what its functions say, over `ours`."""
    small, large = (statistics.median(seconds["by_filters", "peer", size]) for size in sizes)
    rate = per_million(large, small, sizes[1] - sizes[0])
    return {"ratio": round(rate / ours, 2), "peer": rate, "cpu_seconds": dict(zip(map(str, sizes), (small, large)))}


def benchmark(work: Path, sizes: list[int], rounds: int) -> dict[str, Any]:
    """The whole measurement: inputs, sides in turn, differences."""
    adopt_orphans()
    captions, source = texts.captions(sizes[1])
    tenths = [size // 10 for size in sizes]
    keys = [(variant, side, size) for variant in ("whole", "filters") for size in sizes for side in SIDES]
    keys += [("by_filters", "peer", size) for size in tenths]
    folders = {size: work / str(size) for _, _, size in keys}
    say(f"{sorted(folders)} captions: our ingest")
    ingest = {size: write_inputs(folder, captions[:size]) for size, folder in folders.items()}
    calls = {key: partial(cpu_seconds, *key[:2], folders[key[2]]) for key in keys}
    seconds = in_turn(calls, rounds, lambda call: call())
    say("comparing what was kept")
    unequal = differences(folders[sizes[0]])
    whole = summary("whole", seconds, sizes)
    handbook = by_filters(seconds, tenths, whole["ours"])
    return {
        "name": "text",
        "ratio": handbook["ratio"],
        "ours": whole["ours"],
        "peer": handbook["peer"],
        "unit": "CPU seconds of all processes per 10^6 captions, start-up apart",
        "input": f"{sizes[1]} {source}, less what {sizes[0]} of them cost",
        "rounds": rounds,
        "equal": unequal or True,
        "machine": f"{machine('pyspark', 'pyarrow', 'numba')}, {PEER}",
        "target": TARGET,
        "whole": whole,
        "filters": summary("filters", seconds, sizes),
        "by_filters": handbook,
        "ingest_cpu_seconds": {str(size): round(ingest[size], 1) for size in sizes},
    }


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=lambda text: sorted(int(float(s)) for s in text.split(",")), default="1e5,1e6")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(benchmark(Path(folder), args.sizes, args.rounds), ensure_ascii=False))


if __name__ == "__main__":
    main()
