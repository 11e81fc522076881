"""SIGTERM and Ctrl-C (C3): the run ends soon, says so in one line, leaves no process, and goes on when run again."""

import os
import random
import signal
import time

from faults.criterion import failure_faults, z_faults
from faults.kills import read
from faults.processes import Farewell
from faults.reader import Reader
from faults.runs import Run
from faults.setting import INGEST, Setting, into_window

STOP_S = 10  # reliability.md, C3
ORPHANS_S = 10
STATUS = {signal.SIGTERM: 143, signal.SIGINT: 130}
KINDS = [(number, group) for number in STATUS for group in (False, True)]


def stops(setting: Setting, count: int, seed: int) -> None:
    """Stop at `count` seeded points: each signal to the driver alone and to its process group, as a terminal does."""
    draw = random.Random(seed)
    stages = [stage for stage in setting.reference.windows if stage != INGEST]
    for start in range(0, count, len(KINDS)):
        kinds = KINDS[: count - start]
        chosen = sorted(draw.sample(stages, len(kinds)), key=stages.index)
        order = draw.sample(kinds, len(kinds))
        stop_chain(setting, [(*kind, stage, draw.random()) for kind, stage in zip(order, chosen)])


def stop_chain(setting: Setting, chain: list[tuple[signal.Signals, bool, str, float]]) -> None:
    """Stop, run again, stop again later, ..., finish, compare."""
    setting.fresh()
    rows = []
    with Reader(setting.out, setting.store) as reader:
        run = setting.run()
        for number, group, stage, fraction in chain:
            row = setting.findings.row(f"{number.name} to the {'process group' if group else 'driver'}")
            into_window(setting, run, stage, fraction)
            if run.ended():
                break
            faults, seconds, orphans = stop(run, number, group)
            row.note("ended after s", seconds)
            row.note("orphans gone after s", orphans)
            rows.append((row, f"{stage} at {fraction:.2f}", faults))
            run = setting.run()
        run.wait()
    end = [*z_faults(setting, run), *reader.faults]
    for number, (row, what, faults) in enumerate(rows):
        row.add(what, faults + (end if number == len(rows) - 1 else []), run.start_seconds())
    read(setting, reader)


def stop(run: Run, number: signal.Signals, group: bool) -> tuple[list[str], float, float]:
    """What was wrong with how a run took a signal, the seconds to its end, and those to that of its processes."""
    sent = time.monotonic()
    if group:
        os.killpg(run.process.pid, number)
    else:
        os.kill(run.process.pid, number)
    code = run.wait(2 * STOP_S)
    seconds = time.monotonic() - sent
    farewell = Farewell(run.mark, ORPHANS_S)
    faults = [f"ended only after {seconds:.1f} s"] if seconds > STOP_S else []
    faults += farewell.faults()
    return [*faults, *failure_faults(run, code, (STATUS[number],))], seconds, farewell.seconds
