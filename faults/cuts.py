"""Cut points (C6): every process of the run is killed before or after a file operation, each in turn.

A hook in the processes themselves (hook/sitecustomize.py) does it, so that a cut is exactly between two operations.
"""

import random
import shutil

from faults.criterion import pool_faults, z_faults
from faults.kills import read
from faults.reader import Reader
from faults.setting import Setting

DEATHS = 3  # a task may be tried four times, and all of them may fall into one
CHAIN = 12  # cuts in one output, so that a failure is told from few
# A file is made, renamed, and its folder flushed; the temporary name is removed once more for good measure.
MOMENTS = (("open", "after"), ("rename", "before"), ("rename", "after"))


def cut_points(events: tuple[tuple[str, str, str], ...]) -> list[dict]:
    """All cuts of a recorded run, in its order."""
    return [
        {"event": event, "path": path, "when": when, "act": "tree"}
        for _, event, path in events
        for moment, when in MOMENTS
        if event == moment and not path.endswith("lock")
    ]


def cuts(setting: Setting, count: int, seed: int, part: slice = slice(None)) -> None:
    """A seeded sample of `count` cuts of run and ingest together, all of them where there are no more; in chains, of
    which only `part`.
    """
    every = {"full": cut_points(setting.reference.events), "ingest": cut_points(setting.reference.pool_events)}
    total = sum(map(len, every.values()))
    draw = random.Random(seed)
    chosen = set(draw.sample(range(total), min(count, total)))
    start = 0
    for where, all_cuts in every.items():
        here = [cut for number, cut in enumerate(all_cuts, start) if number in chosen]
        start += len(all_cuts)
        setting.findings.row(f"cut, {where}").note("cut points there are", len(all_cuts))
        setting.findings.row(f"cut, {where}").note("never reached", 0)
        # Every n-th of them in one chain: its cuts lie apart, and each output is cut all along.
        number = -(-len(here) // CHAIN)
        todo = [here[first::number] for first in range(number)][part]
        while todo:
            chain = todo.pop(0)
            hit = cut_chain(setting, chain, where)
            # The first cut of a chain meets an empty output: if that does not reach it, nothing does.
            left = chain[max(1, hit) :]
            setting.findings.row(f"cut, {where}").notes["never reached"] += hit == 0
            todo += [left] if left else []


def own_deaths(setting: Setting, count: int, seed: int) -> None:
    """A worker kills itself in the middle of its task, before a rename (C2): `count` times, three in a run."""
    renames = [path for role, event, path in setting.reference.events if (role, event) == ("worker", "rename")]
    chosen = random.Random(seed).sample(renames, min(count, len(renames)))
    for first in range(0, len(chosen), DEATHS):
        setting.fresh()
        here = [{"event": "rename", "path": p, "when": "before", "act": "self"} for p in chosen[first : first + DEATHS]]
        with Reader(setting.out, setting.store) as reader:
            run = setting.run(None, setting.plan(here))
            run.wait()
        end = z_faults(setting, run) + reader.faults
        for number, cut in enumerate(here):
            died = (setting.room / "claims" / str(number)).exists()
            faults = ([] if died else ["no worker came to this"]) + (end if number == len(here) - 1 else [])
            setting.findings.row("SIGKILL worker, by itself before a rename").add(_shown(setting, cut), faults)
        read(setting, reader)


def cut_chain(setting: Setting, chain: list[dict], where: str) -> int:
    """Cut, run again up to the next cut, ..., finish, compare; how many cuts were reached, in order."""
    setting.fresh()
    arguments = setting.ingest_arguments() if where == "ingest" else setting.run_arguments()
    row = setting.findings.row(f"cut, {where}")
    hits = []
    with Reader(setting.out, setting.store, setting.new_pool) as reader:
        for cut in chain:
            if not _reached(setting, cut, arguments):
                break
            hits.append(cut)
        run = setting.run(arguments)
        run.wait()
    end = pool_faults(setting, run) if where == "ingest" else z_faults(setting, run)
    end += reader.faults
    for number, cut in enumerate(hits, 1):
        row.add(_shown(setting, cut), end if number == len(hits) else [], run.start_seconds())
    read(setting, reader)
    return len(hits)


def _reached(setting: Setting, cut: dict, arguments: list[str]) -> bool:
    """Run with one cut armed; whether it was made."""
    shutil.rmtree(setting.room / "claims")
    (setting.room / "claims").mkdir()
    run = setting.run(arguments, setting.plan([cut]))
    run.wait()
    return (setting.room / "claims" / "0").exists()


def _shown(setting: Setting, cut: dict) -> str:
    return f"{cut['when']} {cut['event']} of {cut['path'].removeprefix(str(setting.room) + '/')}"
