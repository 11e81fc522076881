"""Three doors, one result: `full` on the same drawings in many ways; SHA-256 of what each way writes.

    python -m doors --work DIR [--only NAME ...] [--write]

Each row is a full run into an output and a store of its own, compared with the first row: all tars in order, the
manifest's tables, release.json, and the subset. Exit status 1 where a row differs or fails. --write puts the matrix
into docs/deployment.md. --only runs the first row and those named.
"""

import argparse
import contextlib
import json
import shutil
import signal
import sys
import time
import uuid
from pathlib import Path
from typing import NamedTuple

from curation.errors import CurationError
from curation.shards.verify import verify
from doors import inputs
from doors.cluster import bare_python, standalone
from doors.commands import OWN_SETTINGS, ROOT, SETTINGS, Bench, Door
from doors.fingerprint import KINDS, Fingerprint, differing, fingerprint
from doors.processes import RowError, end_strays, run
from doors.rows import NO_HOME, Row, rows

PAGE = ROOT / "docs" / "deployment.md"
BEGIN, END = "<!-- doors: begin -->\n", "<!-- doors: end -->"
OTHER_WORKER = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "LANG": "C"}
SHOWN = 12  # hex digits of a digest in the table: 48 bits tell two dozen rows apart


class Result(NamedTuple):
    """How a row ended: its digests, or why it has none."""

    row: Row
    seconds: float
    found: Fingerprint | None
    fault: str = ""


def say(text: str) -> None:
    """A line for the person who watches."""
    print(text, file=sys.stderr, flush=True)


def run_row(bench: Bench, row: Row, number: int) -> Fingerprint:
    """Run one row from its sources (or the shared pool) to its verified release; RowError where a command fails."""
    place = bench.work / "rows" / f"{number:02d}" / row.folder
    place.mkdir(parents=True)
    log = bench.work / "logs" / f"{number:02d} {row.name}.log"
    env = bench.environment(row)
    pool = place / "pool" if row.sources or number == 1 else bench.work / "rows" / "01" / "pool"
    with contextlib.ExitStack() as stack:
        master = "local[*]"
        if row.door == "cluster":
            nodes = env | {"HOME": NO_HOME}
            master = stack.enter_context(standalone(bench.work / "cluster" / f"{number:02d}", nodes, OTHER_WORKER))
        door = Door(bench, row, place, master, OWN_SETTINGS if row.own else SETTINGS)
        if row.sources or number == 1:
            tables = _sources(bench, row, place)
            run(door.ingest(tables, pool), cwd=place, env=env, log=log)
        run(door.curate(pool, place / "out", place / "store"), cwd=place, env=env, log=log)
    faults = verify(f"file://{place}/out" if row.uri else str(place / "out"))
    if faults:
        raise RowError(f"curate verify: {faults[0]}")
    return fingerprint(place / "out")


def _sources(bench: Bench, row: Row, place: Path) -> list[Path]:
    if row.sources == "shuffled":
        return inputs.shuffle_sources(bench.work / "sources", place / "sources")
    if row.sources.startswith("packed"):
        return inputs.pack_sources(bench.work / "sources", place / "sources", shuffled=row.sources != "packed")
    shutil.copytree(bench.work / "sources", place / "sources")
    table = place / "sources" / inputs.TABLE
    if not row.own:
        return [table]
    inputs.write_own_files(place)
    (place / "tables").mkdir()
    return [table.rename(place / "tables" / inputs.TABLE)]


def matrix(bench: Bench, chosen: list[tuple[int, Row]]) -> list[Result]:
    """Run the rows one after another, a line for each."""
    results: list[Result] = []
    for number, row in chosen:
        started = time.monotonic()
        try:
            found, fault = run_row(bench, row, number), ""
        except (RowError, CurationError, OSError) as error:
            found, fault = None, str(error)
        left = end_strays(bench.mark)
        fault = fault or "; ".join(f"left running: {pid} {command}" for pid, command in left.items())
        results.append(Result(row, time.monotonic() - started, found, fault))
        say(f"[{len(results)}/{len(chosen)}] {row.name:14} {results[-1].seconds:4.0f} s  {_ending(results)}")
    return results


def _ending(results: list[Result]) -> str:
    faults = faulty(results, results[-1])
    return faults or "  ".join(f"{kind} {sha[:SHOWN]}" for kind, sha in results[-1].found.kinds.items())


def faulty(results: list[Result], result: Result) -> str:
    """What is wrong with a row, in words; empty where it gave what the row gave that it is compared with."""
    if result.fault:
        return f"FAILED: {result.fault}"
    reference = next((r for r in results if r.row.name == result.row.like), results[0])
    if reference.found is None:
        return f"nothing to compare with: {reference.row.name} failed"
    names = differing(reference.found, result.found)
    return f"DIFFERS: {', '.join(names)}" if names else ""


def table(results: list[Result]) -> str:
    """The matrix as Markdown, with the whole digests of the first row below it."""
    lines = ["| row | how | s | " + " | ".join(KINDS) + " |", "| --- | --- | ---: |" + " --- |" * len(KINDS)]
    for result in results:
        shas = [result.found.kinds[kind][:SHOWN] if result.found else "none" for kind in KINDS]
        cells = [result.row.name, result.row.how, f"{result.seconds:.0f}", *(f"`{sha}`" for sha in shas)]
        lines.append(f"| {' | '.join(cells)} |")
    if results[0].found:
        lines += ["", "Whole, of the first row:", ""]
        lines += [f"    {sha}  {kind}" for kind, sha in results[0].found.kinds.items()]
    faults = [f"{r.row.name}: {text}" for r in results if (text := faulty(results, r))]
    return "\n".join([*lines, "", *(faults or [f"all equal: {len(results)} rows"])]) + "\n"


def write_page(text: str) -> None:
    """Put the matrix between its markers in docs/deployment.md."""
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", "utf-8")


def prepare(work: Path, zip: Path) -> Bench:
    """An empty work folder with the drawings and the bare interpreter."""
    if not zip.is_file():
        raise RowError(f"no {zip}: make dist")
    for name in ("rows", "logs", "cluster", "sources"):
        shutil.rmtree(work / name, ignore_errors=True)
    (work / "logs").mkdir(parents=True)
    inputs.draw_sources(work / "sources")
    return Bench(work, zip, bare_python(work / "bare"), uuid.uuid4().hex)


def _chosen(every: list[tuple[int, Row]], names: list[str]) -> list[tuple[int, Row]]:
    """The rows of these names and those they are compared with; all where no name is given."""
    wanted = {every[0][1].name, *names, *(row.like for _, row in every if row.name in names)}
    return [(number, row) for number, row in every if not names or row.name in wanted]


def main() -> int:
    """Run the rows that are asked for; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--zip", type=Path, default=ROOT / "dist" / "curation.zip")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that what runs is ended
    work = arguments.work.resolve()
    every = list(enumerate(rows(work / "locales"), 1))
    known = [row.name for _, row in every]
    if set(arguments.only) - set(known):
        parser.error(f"no row {sorted(set(arguments.only) - set(known))}; known: {known}")
    try:
        bench = prepare(work, arguments.zip.resolve())
    except RowError as error:
        say(str(error))
        return 1
    before = bench.zip.read_bytes()
    try:
        results = matrix(bench, _chosen(every, arguments.only))
    finally:
        end_strays(bench.mark)
    text = table(results)
    print(text, end="")
    (work / "doors.json").write_text(json.dumps([[r.row.name, r.found, r.fault] for r in results], indent=1))
    if arguments.write:
        write_page(text)
    if bench.zip.read_bytes() != before:
        say(f"{bench.zip} was written to")
        return 1
    return int(any(faulty(results, result) for result in results))


if __name__ == "__main__":
    sys.exit(main())
