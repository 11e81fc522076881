"""Memory and cost of the pipeline at growing sizes: does either grow faster than the number of pairs?

    python benchmarks/scale.py [--sizes 100000,1000000,10000000] [--pictures 10000,50000] [--work DIR]

Made captions go through `curate ingest` and the text part of the recipe `full` (its own steps, cut out of it), drawn
pictures through the whole of it with the packaged model. Every process under a run is sampled from /proc. What START
pairs cost is the start-up: it is taken off before costs per pair are compared. DIR (default work/bench/scale) keeps the
sources and results: what is there, made by the same code, is not measured again; some 6 kB a caption of disk and 60 kB
a picture. DIR/scale.md and DIR/scale.png show the result; the last line on stdout is one JSON object.
"""

import argparse
import hashlib
import json
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

from paired import machine, say
from scaling import captions, pictures
from scaling.charts import draw
from scaling.measuring import Series, code, cpu_seconds, measure, measure_session, median_phases
from scaling.tables import VERSIONS, checks, markdown

from curation.recipe import recipe_text

TEXT = ("clean_captions", "text", "dedup_pairs", "match_entries", "balance_entries", "prune_frequent_words")
MAKERS = [Path(module.__file__) for module in (captions, pictures)]
START = 100  # pairs whose run counts as start-up
ROUNDS = 3  # of a bare session, of START pairs and of small sizes, where noise is large beside the work: medians count
SMALL = {"text": 10**5, "full": 10**4}  # up to these sizes
# Shares of the pairs that `full`'s t = 200 is of 10^5 captions and of 10^4 pictures.
T_CAPTIONS, T_PICTURES = 200 / 10**5, 200 / 10**4


def text_recipe(work: Path) -> str:
    """Path of a recipe that holds the steps TEXT of `full`, word for word."""
    head, *steps = recipe_text("full").split("[[stage]]")
    read = {(t := tomllib.loads(step)).get("name", t["run"]): step for step in steps}
    path = work / "text.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[[stage]]".join([head, *(read[name] for name in TEXT)]))
    return str(path)


def all_series(work: Path) -> dict[str, Series]:
    """What is measured: captions through the text part, pictures through all of `full`."""
    made_by = hashlib.sha256(b"".join(path.read_bytes() for path in MAKERS)).hexdigest()[:8]  # new code, new sources
    return {
        "text": Series("text", text_recipe(work), captions.write_tables, work / f"captions-{made_by}", T_CAPTIONS),
        "full": Series("full", "full", pictures.write_tars, work / f"pictures-{made_by}", T_PICTURES),
    }


def start_up(series: dict[str, Series], work: Path) -> dict[str, dict]:
    """Phases of a bare session and of START pairs through each recipe: medians of ROUNDS runs, in turn."""
    rounds: dict[str, list] = {"session": []} | {f"{what} {name}": [] for name in series for what in ("ingest", "run")}
    for number in range(ROUNDS):
        rounds["session"].append(measure_session(work / "rounds" / str(number), say))
        for name, one in series.items():
            result = measure(one, START, work / "rounds" / str(number), say)
            for what in ("ingest", "run"):
                rounds[f"{what} {name}"].append(result[what]["phases"])
    return {name: median_phases(found) for name, found in rounds.items()}


def measured(one: Series, size: int, work: Path) -> dict[str, Any]:
    """The measurement of a size; of a small one that whose run took the median of CPU seconds."""
    if size > SMALL[one.name]:
        return measure(one, size, work, say)
    found = [measure(one, size, work / "rounds" / str(number), say) for number in range(ROUNDS)]
    return sorted(found, key=lambda result: sum(cpu_seconds(result, what) for what in ("ingest", "run")))[ROUNDS // 2]


def benchmark(work: Path, sizes: dict[str, list[int]]) -> dict[str, Any]:
    """Measure, write table and picture, and give what was found."""
    series = all_series(work)
    start = start_up({name: one for name, one in series.items() if sizes[name]}, work)
    results = {name: [measured(one, size, work) for size in sizes[name]] for name, one in series.items()}
    results = {name: found for name, found in results.items() if found}
    found = checks(results, start)
    (work / "scale.md").write_text(markdown(results, start, found))
    draw(results, start, work / "scale.png")
    say(f"{work / 'scale.md'}, {work / 'scale.png'}")
    return {"name": "scale", "checks": found, "start": start, "machine": machine(*VERSIONS), "code": code()[:12]}


def _sizes(text: str) -> list[int]:
    return sorted(int(float(size)) for size in text.split(",") if size)


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=_sizes, default="1e5,1e6,1e7", help="numbers of captions")
    parser.add_argument("--pictures", type=_sizes, default="1e4,5e4", help="numbers of pictures")
    parser.add_argument("--work", type=Path, default=Path("work/bench/scale"))
    args = parser.parse_args()
    work = args.work.resolve()
    (work / "tmp").mkdir(parents=True, exist_ok=True)
    os.environ["CURATION_TMP"] = str(work / "tmp")  # Spark's temporary files: a shuffle can be larger than /tmp
    result = benchmark(work, {"text": args.sizes, "full": args.pictures})
    print(json.dumps(result, ensure_ascii=False))
    sys.exit(int(not all(check["ok"] for check in result["checks"])))


if __name__ == "__main__":
    main()
