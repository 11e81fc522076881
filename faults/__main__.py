"""Faults on purpose: kill, stop, cut, starve and tamper with real runs, and check what is left (docs/reliability.md).

    python -m faults [--points 200] [--seed 0] [--work DIR] [--only kills,stops,...] [--part 1/4] [--write]

Each trial runs the recipe `full`, or an ingest, on a small pool of drawn pictures; after the fault the same command is
run again until it is done, and the output must be that of an undisturbed run, byte for byte. What a group of faults
gave is kept in DIR/results, so that a round can be run in pieces: some groups with --only, of kills and cuts the first
fourth with --part 1/4. The table of all goes to stdout, with --write into docs/reliability.md. Exit 1 if one failed.
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

from faults.cuts import cuts, own_deaths
from faults.disk import full_disks, read_only
from faults.kills import kills
from faults.rivals import rivals
from faults.setting import Setting, make_setting
from faults.stops import stops
from faults.table import Findings, write_into
from faults.tampering import tampering
from faults.zombies import zombies

ROOT = Path(__file__).resolve().parents[1]
GROUPS = ("kills", "stops", "cuts", "disk", "readonly", "rivals", "tampering", "zombies")


PARTED = ("kills", "cuts")


def trials(setting: Setting, group: str, points: int, seed: int, part: slice) -> None:
    """The trials of one group; `points` sets how many there are where the number is free, `part` which are done."""
    if group == "kills":
        kills(setting, points, seed, part)
    elif group == "stops":
        stops(setting, max(4, points // 10), seed)
    elif group == "cuts":
        cuts(setting, points, seed, part)
        if not part.start:
            own_deaths(setting, max(3, points // 10), seed)
    elif group == "disk":
        full_disks(setting, max(1, min(4, points // 20)), seed)
    elif group == "readonly":
        read_only(setting)
    elif group == "rivals":
        rivals(setting)
    elif group == "tampering":
        tampering(setting, points, seed)
    elif group == "zombies":
        zombies(setting, max(1, min(4, points // 20)), seed)


def main() -> None:
    """Parse, set up, run the groups asked for, tell."""
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=ROOT / "work" / "faults")
    parser.add_argument("--package", type=Path, default=ROOT, help="folder that holds the package `curation` to test")
    parser.add_argument("--only", default=",".join(GROUPS), help=f"some of {', '.join(GROUPS)}")
    parser.add_argument("--part", default="1/1", help="of kills and cuts only every n-th output, from the k-th: K/N")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    flags = parser.parse_args()
    unknown = set(flags.only.split(",")) - set(GROUPS)
    if unknown:
        parser.error(f"no group {sorted(unknown)}; known: {', '.join(GROUPS)}")
    work = flags.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    print("== an undisturbed run, for reference", file=sys.stderr, flush=True)
    setting = make_setting(work, flags.package.resolve())
    for group in flags.only.split(","):
        started, findings = time.monotonic(), Findings()
        print(f"== {group}", file=sys.stderr, flush=True)
        first, of = map(int, flags.part.split("/"))
        parted = of > 1 and group in PARTED
        trials(replace(setting, findings=findings), group, flags.points, flags.seed, slice(first - 1, None, of))
        findings.save(work / "results" / (f"{group}-{first}of{of}.json" if parted else f"{group}.json"))
        print(f"== {group}: {(time.monotonic() - started) / 60:.0f} minutes", file=sys.stderr, flush=True)
    found = Findings()
    for path in sorted((work / "results").glob("*.json"), key=lambda path: GROUPS.index(path.stem.partition("-")[0])):
        found.add(path)
    text = f"{flags.points} points, seed {flags.seed}.\n\n{found.markdown()}"
    print(text)
    if flags.write:
        write_into(ROOT / "docs" / "reliability.md", text)
    sys.exit(int(found.failed()))


if __name__ == "__main__":
    main()
