"""Build curation inputs in DIR/inputs from the packages that fetch.py unpacked in DIR/packages.

    python sample/build.py --work DIR [--stamp-captions N] [--handbook-languages en-US,fr-FR] [INPUT...]

    gimp-help         inputs/gimp-help.warc.gz        the GIMP manual as a web archive: pages with alt texts, pictures
    debian-handbook   inputs/debian-handbook.warc.gz  the Debian handbook in 26 languages, likewise
    papers            inputs/papers/      figures of the handbook as JATS articles (English) and a LaTeX paper (French)
    stamps            inputs/stamps.tsv, stamps/      Tux Paint's stamps, a row per picture and language
    openclipart       inputs/openclipart.tsv, openclipart/   clip art with titles

Without names, all but openclipart. Two runs give equal bytes. The last line on stdout is one JSON object of counts.
"""

import argparse
import json
import sys
from pathlib import Path

import papers
import tables
import warcs

NEEDS = {
    **{name: [manual.package] for name, manual in warcs.MANUALS.items()},
    "papers": ["debian-handbook"],
    "stamps": ["tuxpaint-stamps-default"],
    "openclipart": ["openclipart-png", "openclipart-svg", "wordnet-base"],
}
DEFAULT = ["gimp-help", "debian-handbook", "papers", "stamps"]


def build(name: str, work: Path, stamp_captions: int | None, handbook_languages: list[str] | None) -> dict[str, int]:
    """Counts of the input `name` after writing it."""
    packages, inputs = work / "packages", work / "inputs"
    if name == "stamps":
        return tables.write_stamps(packages, inputs / "stamps.tsv", stamp_captions)
    if name == "papers":
        manual = warcs.MANUALS["debian-handbook"]
        return papers.write(packages / manual.package / manual.folder, inputs / "papers")
    if name == "openclipart":
        return tables.write_openclipart(packages, inputs / "openclipart.tsv")
    manual = warcs.MANUALS[name]
    languages = handbook_languages if name == "debian-handbook" else None
    return warcs.write_warc(manual, packages / manual.package, inputs / f"{name}.warc.gz", languages)


def missing(names: list[str], work: Path) -> list[str]:
    """Packages that the inputs need and DIR lacks."""
    needed = dict.fromkeys(package for name in names for package in NEEDS[name])
    return [package for package in needed if not (work / "packages" / package / "_done.json").is_file()]


def main() -> int:
    """Run the command line; exit 2 where a package is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, metavar="DIR")
    parser.add_argument("--stamp-captions", type=int, metavar="N", help="captions kept per stamp; default all")
    parser.add_argument("--handbook-languages", type=lambda text: text.split(","), metavar="A,B", help="default all")
    parser.add_argument("inputs", nargs="*", choices=[*NEEDS, []], default=[], metavar="INPUT")
    flags = parser.parse_args()
    names = flags.inputs or DEFAULT
    if lacking := missing(names, flags.work):
        print(f"build: {flags.work}/packages lacks {lacking}; run: python sample/fetch.py --work {flags.work} "
              + " ".join(lacking), file=sys.stderr)  # fmt: skip
        return 2
    (flags.work / "inputs").mkdir(exist_ok=True)
    counts = {name: build(name, flags.work, flags.stamp_captions, flags.handbook_languages) for name in names}
    print(json.dumps(counts, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
