"""Does curation pay: the same small CLIP trained on a pool with faults, on subsets of it, and on what recipes keep.

    python benchmarks/proof.py [--pairs N] [--work DIR] [--seeds S] [--arms A,B] [--docs]
    python benchmarks/proof.py --pool POOL --data SET [--data SET] --clip NAME [--scale SCALE] [--samples-seen N]
    ... --recipe mine.toml [--recipe FILE]  # recipes of one's own beside the packaged ones

The pool is N rendered scenes with captions, with faults at rates like the web's (proving/faults.py), or one's own.
Every arm has the same model, the same number of samples seen and the same seeds, and is evaluated on scenes of
compositions that no pool shows, or on one's own sets. What is done lies in DIR and is used again, so a killed run goes
on. The last line on stdout is one JSON object; --docs writes docs/proof.md and docs/proof.svg.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from paired import machine, say
from proving.arms import FIRST, FULL, POOL, RANDOM, Arm, common, scene_arms, score_threshold
from proving.inputs import write_clean, write_pool, write_tests
from proving.outcome import collected, headline, run_folder
from proving.pool import Kept, ingested, released, subset_file
from proving.shown import markdown, picture
from proving.things import fetched, things
from proving.training import BATCH, MODEL

from curation.images import threads
from curation.ingest import ingest
from curation.pool import Pool

ROOT = Path(__file__).resolve().parents[1]
TEST_SCENES = 1000


class Ground(NamedTuple):
    """What is proved on: a pool, what is known of its pairs' faults, the arms, the sets that models are asked."""

    pool: str
    faults: dict[str, str]
    arms: list[Arm]
    tests: list[Path]
    told: str
    things: int = 0


def sizes(pairs: int) -> tuple[int, int]:
    """(things, samples seen): 160 pairs a thing, each pair three times.

    Near to web scale, where a pair is seen once or a few times (DataComp, arXiv:2304.14108, Table 1: once).
    """
    return max(48, pairs // 160), BATCH * round(3 * pairs / BATCH)


def benchmark(args: argparse.Namespace) -> dict[str, Any]:
    """The whole measurement."""
    started, work = time.monotonic(), args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    pairs = Pool.open(args.pool).rows if args.pool else args.pairs
    seen = args.samples_seen or sizes(pairs)[1]
    ground = own(args, work) if args.pool else scenes(args, work, seen)
    say(f"{pairs} pairs, {ground.told}; {seen} samples seen")
    chosen = chosen_arms(ground.arms, args.arms, args.recipe)
    kept: dict[str, Kept] = {}
    for part in (chosen[: len(FIRST)], chosen[len(FIRST) :]):
        release_all(part, kept, ground, work)
        train_all(part, kept, ground.tests, args, seen, work)
    result = collected(chosen, kept, args.seeds, work)
    result = {
        "name": "proof",
        **headline(result),
        "unit": "score over the uncurated pool's",
        "input": f"{pairs} pairs, {ground.told}, {seen} samples seen, {args.seeds} seeds, scale {args.scale}",
        "pairs": pairs,
        "things": ground.things,
        "samples_seen": seen,
        "clip": args.clip or "trained on clean scenes of another seed",
        **result,
        "seconds": round(time.monotonic() - started),
        "machine": machine("torch", "open_clip_torch", "pyspark"),
    }
    (work / "proof.json").write_text(json.dumps(result, indent=1))
    show(result, ROOT / "docs" if args.docs else work)
    return result


def scenes(args: argparse.Namespace, work: Path, seen: int) -> Ground:
    """A pool of rendered scenes with faults, and a scoring model where none is named."""
    sample, count = (args.sample or args.work / "sample").resolve(), sizes(args.pairs)[0]
    fetched(sample)
    known, pool = things(sample, count), str(work / "pool")
    tests = write_tests(work, known, TEST_SCENES, args.pool_seed)
    faults = ingested(write_pool(work, sample, count, args.pairs, args.pool_seed), pool)
    clip = args.clip or scorer(args, work, sample, count, seen)
    found = scene_arms(work, sample, clip, args.pairs, known, score_threshold(clip, known, args.pool_seed))
    return Ground(pool, faults, found, tests, f"scenes of {len(known.names)} things", len(known.names))


def chosen_arms(arms: list[Arm], names: str | None, recipes: list[str]) -> list[Arm]:
    """The first arms, those of the comma-separated names (None: all), and one for each recipe file, named as it is.

    SystemExit for a name that no arm has, or that two have.
    """
    known, wanted = [arm.name for arm in arms], names.split(",") if names else []
    if unknown := [name for name in wanted if name not in known]:
        raise SystemExit(f"--arms: no {unknown}; known: {known} (tmars and parrot_free with the extra [ocr])")
    found = [Arm(Path(file).stem, str(Path(file).resolve()), (), "a recipe file, as it is") for file in recipes]
    if twice := [name for name, count in Counter([*known, *(arm.name for arm in found)]).items() if count > 1]:
        raise SystemExit(f"--recipe: {twice} name two arms; wanted other file names")
    return [arm for arm in arms if not names or arm.name in (*FIRST, *wanted)] + found


def own(args: argparse.Namespace, work: Path) -> Ground:
    """A pool of one's own and its tests; the recipes are as packaged, for the model that is named."""
    if not (args.data and args.clip):
        raise SystemExit("--pool: wanted --data SET, what to evaluate on, and --clip NAME, the scoring model")
    pool = str(Path(args.pool).resolve())
    arms = common(work, args.clip, max(20, Pool.open(pool).rows // 100))
    return Ground(pool, {}, arms, [Path(each).resolve() for each in args.data], f"pool {Path(pool).name}")


def scorer(args: argparse.Namespace, work: Path, sample: Path, count: int, seen: int) -> str:
    """The name of a model trained on as many clean scenes of another seed as the pool has pairs, and as long."""
    run = work / "runs" / "scorer"
    if not (run / "result.json").is_file():
        pool = str(work / "pool-clean")
        ingest([str(write_clean(work, sample, count, args.pairs, args.pool_seed))], out=pool, name="scenes")
        out = released(Arm("clean scenes", str(ROOT / "benchmarks/proving/clean.toml")), pool, work)
        train_one(Kept(out, None, args.pairs, {}), run, 0, seen, args.scale, [], threads())
    return f"local-dir:{run}"


def release_all(part: list[Arm], kept: dict[str, Kept], ground: Ground, work: Path) -> None:
    """Add what each arm of a part keeps: recipes run, subsets of the uncurated pool listed."""
    for arm in part:
        if arm.recipe:
            say(f"recipe {arm.name}")
            kept[arm.name] = Kept.of(released(arm, ground.pool, work), ground.faults)
    for arm in part:
        if not arm.recipe:
            size = kept[FULL].pairs if arm.name == RANDOM else None
            kept[arm.name] = subset_file(arm.name, kept[POOL], size, ground.faults, work)


def train_all(
    part: list[Arm], kept: dict[str, Kept], tests: list[Path], args: argparse.Namespace, seen: int, work: Path
) -> None:
    """Train and evaluate the arms of a part, seed by seed; those that kept too little to train on are left out."""

    def one(work_item: tuple[int, Arm]) -> None:
        seed, arm = work_item
        run, pairs = run_folder(work, arm.name, seed), kept[arm.name].pairs
        if pairs < BATCH:
            say(f"{arm.name}: {pairs} pairs, fewer than a batch of {BATCH}")
        elif not (run / "evaluation" / "evaluation.json").is_file():
            say(f"training {arm.name}, seed {seed}: {pairs} pairs")
            train_one(kept[arm.name], run, seed, seen, args.scale, tests, max(1, threads() // args.at_once))

    with ThreadPoolExecutor(args.at_once) as pool:
        list(pool.map(one, itertools.product(range(args.seeds), part)))


def train_one(kept: Kept, run: Path, seed: int, seen: int, scale: str, tests: list[Path], cores: int) -> None:
    """One training and its evaluation, in a process of its own."""
    command = [sys.executable, "-m", "proving.training", kept.release, "--out", str(run), "--seed", str(seed)]
    command += ["--samples-seen", str(seen), "--scale", scale, *(["--uids", kept.uids] if kept.uids else [])]
    command += [part for test in tests for part in ("--data", str(test))]
    paths = os.pathsep.join([str(ROOT / "benchmarks"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"PYTHONPATH": paths, "CURATION_THREADS": str(cores), "OMP_NUM_THREADS": str(cores)}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=env)


def show(result: dict[str, Any], folder: Path) -> None:
    """proof.md and proof.svg in a folder."""
    (folder / "proof.svg").write_text(picture(result).svg(), encoding="utf-8")
    (folder / "proof.md").write_text(markdown(result), encoding="utf-8")
    say(f"\n{markdown(result)}")


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100_000, metavar="N")
    parser.add_argument("--work", type=Path, default=Path("work/proof"), metavar="DIR", help="what is there is used")
    parser.add_argument(
        "--sample", type=Path, metavar="DIR", help="work folder of sample/fetch.py; default WORK/sample"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="trainings side by side, sharing the cores")
    parser.add_argument("--samples-seen", type=int, metavar="N", help="default: three times the pairs")
    parser.add_argument("--arms", metavar="A,B", help="these beside the pool, the random subset and full; default all")
    parser.add_argument("--recipe", action="append", default=[], metavar="FILE", help="a recipe of one's own, as it is")
    parser.add_argument("--clip", metavar="NAME", help="the scoring model; default: one trained on clean scenes")
    parser.add_argument("--scale", default=MODEL, metavar="NAME", help="of the trainer; default: a small model")
    parser.add_argument("--pool", metavar="POOL", help="a pool of one's own, in place of scenes")
    parser.add_argument("--data", action="append", metavar="SET", help="what to evaluate on then, as curate evaluate")
    parser.add_argument("--pool-seed", type=int, default=0)
    parser.add_argument("--docs", action="store_true", help="write docs/proof.md and docs/proof.svg")
    args = parser.parse_args()
    print(json.dumps(benchmark(args), ensure_ascii=False))


if __name__ == "__main__":
    main()
