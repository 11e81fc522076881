"""MetaCLIP 2 on a pool in dozens of languages: entry lists from the captions, then the recipe metaclip_worldwide.

    python sample/worldwide.py --work DIR [--debs FOLDER] [--captions FOLDER]

The pool has Tux Paint's stamps with their captions in 78 languages and, from FOLDER, Multi30k's translations
(multi30k-task1-train.LANG.gz, text alone). Everything lands in DIR: packages/, worldwide/. What is there already is not
made again. The last line on stdout is the table of languages as JSON; DIR/worldwide/release/report.html draws it.
"""

import argparse
import gzip
import json
import sys
from collections import defaultdict
from pathlib import Path

import build
import fetch
import tables

from curation.errors import CurationError
from curation.ingest import ingest
from curation.metadata.build import metadata
from curation.recipe_text import recipe_text
from curation.run import run
from curation.shards.manifest import Release

CAPTIONS = Path(__file__).resolve().parents[2] / "shared" / "data" / "captions"
# A few thousand words of a language are no Wikipedia: half of the different words instead of a tenth of them.
FOR_SHORT_TEXTS = {"rule": "worldwide", "unigram_share": 0.5, "top_bigrams": 200, "bigram_count": 3}
T = 50  # of English; 170,000 for the pool of the paper


def write_captions(work: Path, debs: Path | None, captions: Path) -> tuple[Path, list[Path]]:
    """The table of stamps, and a table of each file of translations."""
    fetch.fetch(build.NEEDS["stamps"], work, debs)
    home = work / "worldwide"
    home.mkdir(exist_ok=True)
    tables.write_stamps(work / "packages", home / "stamps.tsv")
    others = []
    for path in sorted(captions.glob("multi30k-task1-train.*.gz")):
        language = path.name.split(".")[1]
        with gzip.open(path, "rt", encoding="utf-8") as file:
            rows = [(f"https://example.org/{n}.jpg", tables.clean(line), language) for n, line in enumerate(file)]
        others.append(home / f"multi30k-{language}.tsv")
        tables.write_tsv(others[-1], ("url", "caption", "language"), rows)
    return home / "stamps.tsv", others


def write_corpora(home: Path, sources: list[Path]) -> list[str]:
    """The captions of each language as a text file; LANG=FILE of each."""
    texts = defaultdict(list)
    for source in sources:
        header, *rows = (line.rstrip("\n").split("\t") for line in source.open(encoding="utf-8"))
        for row in rows:
            found = dict(zip(header, row))
            texts[found["language"].split("@")[0].split("_")[0]].append(found["caption"])
    (home / "corpora").mkdir(exist_ok=True)
    for language, lines in texts.items():
        (home / "corpora" / f"{language}.txt").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return [f"{language}={home / 'corpora' / language}.txt" for language in sorted(texts)]


def curate(work: Path, debs: Path | None, captions: Path) -> list[dict]:
    """Build, ingest, run; the rows of the table of languages."""
    stamps, others = write_captions(work, debs, captions)
    home = stamps.parent
    entries = metadata(out=str(home / "entries"), corpus=write_corpora(home, [stamps, *others]), **FOR_SHORT_TEXTS)
    print(f"== {entries['entries']:,} entries", file=sys.stderr)
    pool, out = str(home / "pool"), str(home / "release")
    ingest([str(stamps)], out=pool, name="stamps")
    if others:
        ingest([str(path) for path in others], out=pool, name="multi30k")
    # Captions without pictures make no shards: the recipe without its last step.
    steps = recipe_text("metaclip_worldwide").split("[[stage]]")
    (home / "captions.toml").write_text("[[stage]]".join(step for step in steps if "write_shards" not in step), "utf-8")
    changes = [
        f"inputs.metadata={home}/entries/entries.parquet",
        "match_entries.language=extra.language",
        f"balance_worldwide.t={T}",
    ]
    run(str(home / "captions.toml"), pool, out, set=changes)
    return Release.open(out).mark["stages"][-1]["languages"]


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, metavar="DIR")
    parser.add_argument("--debs", type=Path, metavar="FOLDER", help="take the packages from here, no network")
    parser.add_argument(
        "--captions", type=Path, default=CAPTIONS, metavar="FOLDER", help="Multi30k, where it is at hand"
    )
    flags = parser.parse_args()
    work = flags.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    try:
        rows = curate(work, flags.debs, flags.captions)
    except (CurationError, fetch.FetchError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(rows, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
