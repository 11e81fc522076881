"""Known faults planted into clean real pairs: what each filter removes of each, and what it costs in clean pairs.

    python benchmarks/planted.py [--work DIR] [--pairs POOL_OR_TABLE] [--clip NAME] [--rate R] [--pairs-limit N]

Clean pairs are drawings with English titles from the sample's packages (sample/README.md), less those that
benchmarks/planting/pairs.py leaves out by rules that look at no score; or pairs of the user's: a pool, or a table with
the columns path and caption, and language where there is one. Each fault goes to its own R of them (benchmarks/planting
/table.py); the table is ingested, every filter runs alone on that pool, and packaged recipes run from end to end.

"Removed" counts what the ingest left out, merged or rejected as well. Of a pair and its copy exactly one has to stay,
whichever it is. In DIR: the table in Markdown (planted.md), a plot (planted.png), all figures (planted.json), the pool
and the releases. The last line on stdout is one JSON object.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from paired import machine, say
from planting import filters
from planting.measuring import Measured, evaluation_file, evaluation_lists, ingested, measured, recipe_of, score_values
from planting.outcome import shares
from planting.pairs import clean_pairs
from planting.shown import markdown, picture, scores_of
from planting.table import CLEAN, plant

from curation.recipe_text import recipe_text


def benchmark(args: argparse.Namespace) -> dict[str, Any]:
    """The whole measurement."""
    started, work = time.monotonic(), args.work.resolve()
    pairs = clean_pairs(args.pairs, args.sample or work / "sample", args.pairs_limit, args.seed)
    say(f"{len(pairs)} clean pairs; planting {args.rate:.1%} of each fault")
    planted = plant(pairs, args.rate, args.seed, work / "planted")
    pool, numbers = ingested(planted, work)
    ocr = filters.has_ocr() and not args.no_ocr
    found: list[Measured] = []
    for each in filters.single(evaluation_lists(planted, work), evaluation_file(planted, args.clip, work), ocr):
        say(f"filter {each.name}")
        recipe = recipe_of(each, args.clip, work)
        found.append(measured(each, recipe, planted.rows, numbers, work))
    for name in filters.whole(ocr):
        say(f"recipe {name}")
        found.append(measured(filters.Filter(name, ""), name, planted.rows, numbers, work, changes(name, args.clip)))
    scores = scores_of(planted.rows, numbers, score_values(pool, args.clip, ocr))
    result = {
        "name": "planted",
        "clip": args.clip,
        "input": args.pairs or "Open Clip Art and Tux Paint's stamps",
        "clean_pairs": len(pairs),
        "planted": {f: sum(r.fault == f for r in planted.rows.values()) for f in shares(planted.rows, set())},
        "ingest": rounded(shares(planted.rows, set(numbers.values()))),
        "filters": {each.name: rounded(each.shares) for each in found},
        "loss_by_reason": {each.name: each.reasons for each in found},
        "by_kind": {each.name: each.kinds for each in found if each.kinds},
        "by_words": {each.name: each.words for each in found if each.words},
        "targets": targets(found),
        "scores": scores.figures,
        "ocr": ocr,
        "seconds": round(time.monotonic() - started),
        "machine": machine("pyspark", "open_clip_torch", "pillow"),
    }
    (work / "planted.json").write_text(json.dumps(result, indent=1, ensure_ascii=False))
    (work / "planted.md").write_text(markdown(result), encoding="utf-8")
    (work / "planted.png").write_bytes(picture(result, scores).png())
    say(f"\n{markdown(result)}")
    return result


def changes(recipe: str, clip: str) -> list[str]:
    """The model, for recipes that read one."""
    return [f"signals.clip={clip}"] if "clip =" in recipe_text(recipe) else []


def rounded(found: dict[str, float]) -> dict[str, float]:
    """To four digits."""
    return {name: round(value, 4) for name, value in found.items()}


def targets(found: list[Measured]) -> dict[str, dict[str, Any]]:
    """For each fault the filter meant for it: what it removed, what it lost, and whether that is within the targets."""
    told = {}
    for each in found:
        if each.target and each.target in each.shares:
            removed, lost = each.shares[each.target], each.shares[CLEAN]
            met = removed >= filters.REMOVED and lost <= filters.LOST
            told[each.target] = {"filter": each.name, "removed": round(removed, 4), "lost": round(lost, 4), "met": met}
    return told


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("work/planted"), metavar="DIR", help="what is there is used")
    parser.add_argument(
        "--sample", type=Path, metavar="DIR", help="work folder of sample/fetch.py; default WORK/sample"
    )
    parser.add_argument("--pairs", metavar="POOL_OR_TABLE")
    parser.add_argument("--pairs-limit", type=int, metavar="N", help="of the clean pairs, the first N by a keyed hash")
    parser.add_argument("--clip", default="sample-clip", metavar="NAME")
    parser.add_argument("--rate", type=float, default=0.03, help="share of the clean pairs that gets each fault")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-ocr", action="store_true", help="leave out the filters that read text in pictures")
    args = parser.parse_args()
    print(json.dumps(benchmark(args), ensure_ascii=False))


if __name__ == "__main__":
    main()
