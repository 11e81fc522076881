"""SIGKILL of the driver, of the JVM and of a Python worker at seeded points inside every stage (C1, C2)."""

import contextlib
import os
import random
import signal
import time
from typing import NamedTuple

from faults.criterion import failure_faults, pool_faults, z_faults
from faults.processes import Farewell, victims
from faults.reader import Reader
from faults.runs import Run
from faults.setting import INGEST, Setting, into_window, window
from faults.table import Row

VICTIMS = ("driver", "worker", "jvm")
ORPHANS_S = 20  # a JVM notices within a poll of its pipe that its driver is gone, then ends what it started
RESUME_S = 15  # limit for the start of a resumed run; on a loaded machine, twice the start of the undisturbed one
JVM_LOSS_S = 30


class Point(NamedTuple):
    """Where to kill whom: a share of a stage's time in the undisturbed run."""

    victim: str
    stage: str
    fraction: float


class Hit(NamedTuple):
    """A point that was met: what was wrong at once, in which run, and the watch over that run's processes."""

    point: Point
    faults: list[str]
    run: Run
    farewell: list[Farewell]


def points(setting: Setting, count: int, seed: int) -> list[Point]:
    """`count` seeded points, victims in turn, each victim's stages evenly."""
    draw = random.Random(seed)
    every = list(setting.reference.windows)
    stages = {victim: draw.sample(every, len(every)) for victim in VICTIMS}
    found = []
    for number in range(count):
        victim = VICTIMS[number % len(VICTIMS)]
        order = stages[victim]
        found.append(Point(victim, order[number // len(VICTIMS) % len(order)], draw.random()))
    return found


def chains(wanted: list[Point], order: list[str]) -> list[list[Point]]:
    """Points grouped into outputs: forward through the stages of a run, each at most once; ingests by threes."""
    by_stage = {stage: [p for p in wanted if p.stage == stage] for stage in order}
    ingests = by_stage.pop(INGEST, [])
    longest = max(map(len, by_stage.values()), default=0)
    found = [[each[n] for each in by_stage.values() if n < len(each)] for n in range(longest)]
    return found + [ingests[n : n + 3] for n in range(0, len(ingests), 3)]


def kills(setting: Setting, count: int, seed: int, part: slice = slice(None)) -> None:
    """Kill at `count` points, those of one chain in one output; of the chains only `part`."""
    todo = chains(points(setting, count, seed), list(setting.reference.windows))[part]
    while todo:
        chain = todo.pop(0)
        missed = kill_chain(setting, chain)
        if len(missed) < len(chain):
            todo += [missed] if missed else []
        elif chain[0].fraction > 0.05:  # the run is quicker than it was: earlier, then
            todo.append([point._replace(fraction=point.fraction / 2) for point in missed])


def kill_chain(setting: Setting, chain: list[Point]) -> list[Point]:
    """Kill, run again, kill again later, ..., finish, compare; the points that came too late."""
    ingest = chain[0].stage == INGEST
    arguments = setting.ingest_arguments() if ingest else setting.run_arguments()
    setting.fresh()
    hits: list[Hit] = []
    missed: list[Point] = []
    with Reader(setting.out, setting.store, setting.new_pool) as reader:
        run = setting.run(arguments)
        for point in chain:
            faults = strike(setting, run, point)
            if faults is None:
                missed.append(point)
                continue
            hits.append(Hit(point, faults, run, []))
            if run.ended():
                hits[-1].farewell.append(Farewell(run.mark, ORPHANS_S))
                run = setting.run(arguments)
        run.wait()
    end = pool_faults(setting, run) if ingest else z_faults(setting, run)
    _count(setting, hits, [*end, *reader.faults], run)
    for hit in hits:
        _row(setting, hit.point.victim, hit.run).note("tars written again in one output", reader.replaced[".tar"])
    read(setting, reader)
    return missed


def _count(setting: Setting, hits: list[Hit], end: list[str], last: Run) -> None:
    """One trial per point; what is wrong at the end is held against the last of the chain, which names all."""
    for number, hit in enumerate(hits, 1):
        row = _row(setting, hit.point.victim, hit.run)
        faults = list(hit.faults)
        for farewell in hit.farewell:
            faults += farewell.faults()
            row.note("orphans gone after s", farewell.seconds)
        later = [each.run for each in hits[number:]] + [last]
        start = next((run.start_seconds() for run in later if run is not hit.run), None)
        if start is not None and start > max(RESUME_S, 2 * setting.reference.start_s):
            faults.append(f"the next run took {start:.1f} s to start")
        if number == len(hits) and end:
            faults += [*end, f"killed in this output: {'; '.join(map(_shown, hits))}"]
        row.add(_shown(hit), faults, start)


def _row(setting: Setting, victim: str, run: Run) -> Row:
    return setting.findings.row(f"SIGKILL {victim}, {run.arguments[0].replace('run', 'full')}")


def _shown(hit: Hit) -> str:
    return f"{hit.point.victim}, {hit.point.stage} at {hit.point.fraction:.2f}"


def read(setting: Setting, reader: Reader) -> None:
    """Count what a reader saw."""
    row = setting.findings.row("reader: half-written files seen")
    row.trials += reader.polls
    row.passed += reader.polls - len(reader.faults)
    row.failures += reader.faults


def strike(setting: Setting, run: Run, point: Point) -> list[str] | None:
    """Kill at a point; what was wrong with how the run took it, or null where it had ended before."""
    into_window(setting, run, point.stage, point.fraction)
    found = victims(run.mark, run.process.pid, point.victim)
    while not found and not run.ended():
        time.sleep(0.01)
        found = victims(run.mark, run.process.pid, point.victim)
    if run.ended():
        run.wait()
        return None
    with contextlib.suppress(ProcessLookupError):
        os.kill(found[int(point.fraction * len(found))], signal.SIGKILL)
    struck, stage = time.monotonic(), window(setting, run)
    if point.victim == "worker":
        return _survives(run)
    code = run.wait(JVM_LOSS_S)
    if point.victim == "driver":
        return [] if code == 137 else [f"the driver ended with {code} before it was killed"]
    if code == 0 and stage == "release":
        return []  # the driver writes the release alone: it may have been done with Java
    faults = failure_faults(run, code, (1,))
    _row(setting, "jvm", run).note("driver ended after s", time.monotonic() - struck)
    return [f"in {stage}: {fault}" for fault in faults]


def _survives(run: Run) -> list[str]:
    """A run that lost a worker goes on: it may not end in the next seconds but by success."""
    run.sleep(3)
    if not run.ended() or run.process.returncode == 0:
        return []
    run.wait()
    return [f"a lost worker ended the run with {run.process.returncode}: {run.messages()[:3]}"]
