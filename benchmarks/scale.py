"""Memory and cost of the pipeline at growing sizes: does either grow faster than the number of pairs?

    python benchmarks/scale.py [--sizes 100000,1000000,10000000] [--pictures 10000,50000] [--work DIR]
    python benchmarks/scale.py --recipes metaclip,wfpp [--sizes ...] [--work DIR]

Made captions go through `curate ingest` and the steps of a recipe that need no picture, cut out of it: the text part of
`full` (`text`), `metaclip` and `wfpp` up to their shards. Drawn pictures go through the whole of `full` with the
packaged model. Every process under a run is sampled from /proc. What START pairs cost is the start-up: it is taken off
before costs per pair are compared. DIR (default work/bench/scale) keeps the sources and results: what is there, made by
the same code, is not measured again; some 6 kB a caption and recipe of disk and 60 kB a picture. DIR/scale.md and
DIR/scale.png show the result (scale-metaclip-wfpp.md where other recipes than the usual ones are named); the last line
on stdout is one JSON object.
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

from curation.recipe_text import recipe_text

# Series of captions: the packaged recipe, and its steps that need a picture beside the last one, write_shards.
OF_PICTURES = {"pixels", "dedup_embeddings", "scores"}
CAPTIONS = {"text": ("full", OF_PICTURES), "metaclip": ("metaclip", set()), "wfpp": ("wfpp", set())}
PICTURES = "full"  # the one series of pairs with pictures
USUAL = ("text", PICTURES)
MAKERS = [Path(module.__file__) for module in (captions, pictures)]
START = 100  # pairs whose run counts as start-up
ROUNDS = 3  # of a bare session, of START pairs and of small sizes, where noise is large beside the work: medians count
SMALL = dict.fromkeys(CAPTIONS, 10**5) | {PICTURES: 10**4}  # up to these sizes
# Shares of the pairs that `full`'s t = 200 is of 10^5 captions and of 10^4 pictures.
T_CAPTIONS, T_PICTURES = 200 / 10**5, 200 / 10**4


def part_of_recipe(name: str, work: Path) -> str:
    """Path of a recipe that holds the steps of a packaged one that pairs without pictures go through, word for word."""
    recipe, left_out = CAPTIONS[name]
    head, *steps = recipe_text(recipe).split("[[stage]]")
    read = {(t := tomllib.loads(step)).get("name", t["run"]): step for step in steps}
    path = work / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[[stage]]".join([head, *(read[step] for step in read if step not in {*left_out, "write_shards"})]))
    return str(path)


def series(name: str, work: Path) -> Series:
    """What is measured under a name: captions through a part of a recipe, or pictures through all of `full`."""
    made_by = hashlib.sha256(b"".join(path.read_bytes() for path in MAKERS)).hexdigest()[:8]  # new code, new sources
    if name == PICTURES:
        return Series(name, "full", pictures.write_tars, work / f"pictures-{made_by}", T_PICTURES)
    path = part_of_recipe(name, work)
    t_share = T_CAPTIONS if "balance_entries" in Path(path).read_text() else None
    return Series(name, path, captions.write_tables, work / f"captions-{made_by}", t_share)


def start_up(every: list[Series], work: Path) -> dict[str, dict]:
    """Phases of a bare session and of START pairs through each recipe: medians of ROUNDS runs, in turn."""
    names = [f"{what} {one.name}" for one in every for what in ("ingest", "run")]
    rounds: dict[str, list] = {name: [] for name in ("session", *names)}
    for number in range(ROUNDS):
        rounds["session"].append(measure_session(work / "rounds" / str(number), say))
        for one in every:
            result = measure(one, START, work / "rounds" / str(number), say)
            for what in ("ingest", "run"):
                rounds[f"{what} {one.name}"].append(result[what]["phases"])
    return {name: median_phases(found) for name, found in rounds.items()}


def measured(one: Series, size: int, work: Path) -> dict[str, Any]:
    """The measurement of a size; of a small one that whose run took the median of CPU seconds."""
    if size > SMALL[one.name]:
        return measure(one, size, work, say)
    found = [measure(one, size, work / "rounds" / str(number), say) for number in range(ROUNDS)]
    return sorted(found, key=lambda result: sum(cpu_seconds(result, what) for what in ("ingest", "run")))[ROUNDS // 2]


def benchmark(work: Path, sizes: dict[str, list[int]]) -> dict[str, Any]:
    """Measure the series named in `sizes`, write table and picture, and give what was found."""
    every = [series(name, work) for name in sizes]
    start = start_up(every, work)
    results = {one.name: [measured(one, size, work) for size in sizes[one.name]] for one in every}
    found = checks(results, start)
    page = work / ("scale.md" if set(sizes) <= set(USUAL) else f"scale-{'-'.join(sizes)}.md")
    page.write_text(markdown(results, start, found))
    draw(results, start, page.with_suffix(".png"))
    say(f"{page}, {page.with_suffix('.png')}")
    return {"name": "scale", "checks": found, "start": start, "machine": machine(*VERSIONS), "code": code()[:12]}


def _sizes(text: str) -> list[int]:
    return sorted(int(float(size)) for size in text.split(",") if size)


def _recipes(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    known = [*CAPTIONS, PICTURES]
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"no series {unknown}; known: {known}")
    return names


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=_sizes, default="1e5,1e6,1e7", help="numbers of captions")
    parser.add_argument("--pictures", type=_sizes, default="1e4,5e4", help="numbers of pictures")
    parser.add_argument(
        "--recipes", type=_recipes, default=",".join(USUAL), help=f"of {', '.join([*CAPTIONS, PICTURES])}"
    )
    parser.add_argument("--work", type=Path, default=Path("work/bench/scale"))
    args = parser.parse_args()
    work = args.work.resolve()
    (work / "tmp").mkdir(parents=True, exist_ok=True)
    os.environ["CURATION_TMP"] = str(work / "tmp")  # Spark's temporary files: a shuffle can be larger than /tmp
    sizes = {name: args.pictures if name == PICTURES else args.sizes for name in args.recipes}
    result = benchmark(work, {name: each for name, each in sizes.items() if each})
    print(json.dumps(result, ensure_ascii=False))
    sys.exit(int(not all(check["ok"] for check in result["checks"])))


if __name__ == "__main__":
    main()
