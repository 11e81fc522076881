"""The main job on a small real pool, end to end: fetch, ingest, curate, verify, train a few steps, report.

    python sample/sample.py --work DIR [--debs FOLDER] [--stamp-captions N]

Everything lands in DIR: packages/, inputs/, pool/, release/ (tar shards, manifest, report.html) and run/ (the trained
model). What is there already is not made again.
"""

import argparse
import json
import sys
from pathlib import Path

import build
import fetch

from curation.errors import CurationError
from curation.ingest import ingest
from curation.run import run
from curation.shards.verify import verify
from curation.trainer.train import train

HANDBOOK_LANGUAGES = ["en-US", "de-DE", "fr-FR", "ja-JP"]  # of 26: enough for the language bound to have work

# t is MetaCLIP's head/tail threshold: scaled down with the pool, so that balancing has something to do.
FOR_A_SMALL_POOL = ["balance_entries.t=20", "write_shards.samples_per_shard=200"]


PAPERS = Path(__file__).resolve().parents[2] / "shared" / "data"  # further, real papers, where somebody put some


def say(text: str) -> None:
    """A line for the person who watches."""
    print(f"== {text}", file=sys.stderr, flush=True)


def make_inputs(work: Path, debs: Path | None, stamp_captions: int) -> Path:
    """Fetch the packages and build the inputs; the folder that holds them."""
    packages = list(dict.fromkeys(p for name in build.DEFAULT for p in build.NEEDS[name]))
    say(f"fetching {', '.join(packages)}")
    fetch.fetch(packages, work, debs)
    inputs = work / "inputs"
    mark = inputs / "_done.json"
    wanted = json.dumps([build.DEFAULT, stamp_captions, HANDBOOK_LANGUAGES])
    if not mark.is_file() or mark.read_text() != wanted:
        inputs.mkdir(exist_ok=True)
        for name in build.DEFAULT:
            say(f"building {name}: {json.dumps(build.build(name, work, stamp_captions, HANDBOOK_LANGUAGES))}")
        mark.write_text(wanted)
    return inputs


def curate(inputs: Path, work: Path) -> dict:
    """Ingest, run the recipe, verify, train; what came of each."""
    pool, release, trained = (str(work / name) for name in ("pool", "release", "run"))
    say("ingesting web archives, papers and a table")
    archives = [str(inputs / "gimp-help.warc.gz"), str(inputs / "debian-handbook.warc.gz")]
    summary = {"crawl": ingest(archives, out=pool, name="manuals")}
    real = [str(PAPERS / kind) for kind in ("jats", "latex") if (PAPERS / kind).is_dir()]
    summary["papers"] = ingest([str(inputs / "papers"), *real], out=pool, name="papers")
    summary["table"] = ingest([str(inputs / "stamps.tsv")], out=pool, name="stamps")
    say("running the recipe full")
    summary["run"] = run("full", pool, release, set=FOR_A_SMALL_POOL)
    say("verifying the shards")
    summary["faults"] = verify(release)
    say("training a few steps")
    summary["train"] = train(release, scale="tiny", out=trained)
    return summary


def main() -> int:
    """Run the command line; exit 1 where a step fails or the shards have a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, metavar="DIR")
    parser.add_argument("--debs", type=Path, metavar="FOLDER", help="take the packages from here, no network")
    parser.add_argument("--stamp-captions", type=int, default=4, metavar="N", help="languages per stamp (default 4)")
    flags = parser.parse_args()
    work = flags.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    try:
        summary = curate(make_inputs(work, flags.debs, flags.stamp_captions), work)
    except (CurationError, fetch.FetchError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    say(f"release   {work / 'release'}")
    say(f"report    {work / 'release' / 'report.html'}")
    say(f"model     {work / 'run'}")
    print(json.dumps(summary, sort_keys=True))
    return int(bool(summary["faults"]))


if __name__ == "__main__":
    sys.exit(main())
