"""Committed files deleted, cut short or changed in one byte; then a run. Never wrong data silently (C6, D6)."""

import random
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from faults.criterion import failure_faults, short, z_faults
from faults.runs import Run
from faults.setting import Setting, ledger

ALTERATIONS = ("deleted", "cut short", "one byte changed")
ATTEMPTS = 4  # a message may send its reader from one file to the next, but not for ever


class Target(NamedTuple):
    """A kind of committed file: where it lies in the room, and the state in which it is found altered."""

    name: str
    pattern: str
    prepare: Callable[[Setting, Path | None], None]


def finished(setting: Setting, _: Path | None) -> None:
    """A finished release and its store."""
    for name in ("out", "store"):
        shutil.copytree(setting.work / "reference" / name, setting.room / name)


def almost(setting: Setting, _: Path | None) -> None:
    """A run that was cut before release.json: shards and their records are there."""
    for name in ("out", "store"):
        shutil.copytree(setting.work / "reference" / f"almost-{name}", setting.room / name)


def stages_after(setting: Setting, altered: Path | None) -> None:
    """A new output on a store that lacks the stages after the altered one, so that it is read."""
    shutil.copytree(setting.reference.store, setting.store)
    folders = [f"{stage['run']}-{stage['key']}" for stage in ledger(setting.reference.out)]
    place = next((n for n, folder in enumerate(folders) if altered and f"/{folder}/" in str(altered)), len(folders))
    for folder in folders[place + 1 :]:
        shutil.rmtree(setting.store / "stages" / folder, ignore_errors=True)


def signals_only(setting: Setting, _: Path | None) -> None:
    """A new output on a store that has signals, but no stage tables."""
    shutil.copytree(setting.reference.store / "signals", setting.store / "signals")


def unfinished_signals(setting: Setting, _: Path | None) -> None:
    """The parts of a run that was cut before it committed any signal."""
    signals_only(setting, None)
    for record in setting.store.glob("signals/*/_done.json"):
        record.unlink()


def own_pool(setting: Setting, _: Path | None) -> None:
    """A new output and store, on a pool of the trial's own."""
    shutil.copytree(setting.reference.pool, setting.new_pool)


TARGETS = (
    Target("stage table", "store/stages/*/*.parquet", stages_after),
    Target("side table", "store/stages/match_entries-*/*/*.parquet", stages_after),
    Target("commit record of a stage", "store/stages/*/_done.json", stages_after),
    Target("signal part", "store/signals/*/*.parquet", signals_only),
    Target("record of a signal part", "store/signals/*/*.json", unfinished_signals),
    Target("commit record of a signal", "store/signals/*/_done.json", signals_only),
    Target("pool part", "pool/pairs/*/*.parquet", own_pool),
    Target("commit record of a pool part", "pool/pairs/*/_done.json", own_pool),
    Target("pool.json", "pool/pool.json", own_pool),
    Target("shard record, before the release", "out/manifest/parts/*.json", almost),
    Target("tar, before the release", "out/shards/*.tar", almost),
    Target("manifest part, before the release", "out/manifest/samples/*.parquet", almost),
    Target("recipe.json, before the release", "out/recipe.json", almost),
    Target("tar", "out/shards/*.tar", finished),
    Target("manifest part", "out/manifest/samples/*.parquet", finished),
    Target("shard table", "out/manifest/shards/*.parquet", finished),
    Target("verdicts", "out/subset/*.parquet", finished),
    Target("release.json", "out/manifest/release.json", finished),
    Target("recipe.json", "out/recipe.json", finished),
)


def tampering(setting: Setting, count: int, seed: int) -> None:
    """A seeded sample of `count` alterations, all where there are no more."""
    draw = random.Random(seed)
    every = [(target, alteration) for target in TARGETS for alteration in ALTERATIONS]
    _make_almost(setting)
    for target, alteration in sorted(draw.sample(every, min(count, len(every))), key=every.index):
        tamper(setting, target, alteration, draw)


def _make_almost(setting: Setting) -> None:
    setting.fresh()
    cut = {"event": "rename", "path": str(setting.out / "manifest/release.json"), "when": "before", "act": "tree"}
    setting.run(None, setting.plan([cut])).wait()
    for name in ("out", "store"):
        shutil.rmtree(setting.work / "reference" / f"almost-{name}", ignore_errors=True)
        shutil.copytree(setting.room / name, setting.work / "reference" / f"almost-{name}")


def tamper(setting: Setting, target: Target, alteration: str, draw: random.Random) -> None:
    """One trial: alter one file, run, do what the message says, until the output is right."""
    setting.fresh()
    target.prepare(setting, None)
    altered = draw.choice(sorted(setting.room.glob(target.pattern)))
    if target.prepare is stages_after:
        shutil.rmtree(setting.store)
        target.prepare(setting, altered)
    pristine = altered.read_bytes()
    alter(altered, alteration, draw)
    if target.prepare is own_pool:  # signals lie in the order of their files' paths: only the output is comparable
        placed = replace(setting, pool=setting.new_pool, reference=replace(setting.reference, store=None))
        faults, how = outcome(placed, altered, pristine)
    else:
        faults, how = outcome(setting, altered, pristine)
    if target.prepare in (finished, almost) and how == "silent":  # bytes inside a tar are not read again
        faults, how = by_verify(setting, altered, faults)
    row = setting.findings.row(f"altered after commit: {target.name}")
    row.notes[how] = row.notes.get(how, 0) + 1
    row.add(f"{altered.relative_to(setting.room)} {alteration} ({how})", faults)


def alter(path: Path, alteration: str, draw: random.Random) -> None:
    """Delete the file, cut it short at a drawn place, or change one drawn byte in place."""
    data = bytearray(path.read_bytes())
    place = draw.randrange(len(data))
    if alteration == "deleted":
        path.unlink()
    elif alteration == "cut short":
        path.write_bytes(data[:place])
    else:
        data[place] ^= 1 << draw.randrange(8)
        path.write_bytes(data)


def outcome(setting: Setting, altered: Path, pristine: bytes) -> tuple[list[str], str]:
    """What is wrong with how runs went about an altered file, and what they did: `unharmed`, `refused`, `silent`."""
    faults, out = [], setting.out
    for attempt in range(ATTEMPTS):
        run = setting.run(setting.run_arguments(out))
        code = run.wait()
        if code == 0:
            break
        faults += failure_faults(run, code, (1, 2))
        if not attempt and not all(part in short(run.messages()) for part in (str(altered.parent), altered.name)):
            faults.append(f"the message does not name {altered}: {short(run.messages())}")
        followed = follow(setting, run, altered, pristine)
        if followed is None:
            return [*faults, f"the message says nothing to do: {short(run.messages())}"], "refused"
        out = followed if followed != altered else out
    end = z_faults(setting, run, out)
    return faults + end, "refused" if attempt else "silent" if end else "unharmed"


def by_verify(setting: Setting, altered: Path, end: list[str]) -> tuple[list[str], str]:
    """A finished release is not read again by a run: `curate verify` has to name the file."""
    run = setting.run(["verify", str(setting.out)])
    name = str(altered.relative_to(setting.out))
    if run.wait() == 1 and any(name in line for line in run.messages()):
        return [], "found by verify"
    return [*end, f"verify does not name {name}: {short(run.messages())}"], "silent"


def follow(setting: Setting, run: Run, altered: Path, pristine: bytes) -> Path | None:
    """Do what a message says; the output to use from now on (another one, or `altered` for the same), or null."""
    message = " ".join(run.messages())
    named = re.search(r"(?:delete|rm) (/[^\s;,]+)", message)
    if named and Path(named[1]).is_relative_to(setting.room):
        path = Path(named[1])
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    elif "delete it" in message:
        altered.unlink(missing_ok=True)
    elif "restore" in message:
        altered.parent.mkdir(parents=True, exist_ok=True)
        altered.write_bytes(pristine)
    elif "curate ingest" in message:
        if setting.run(setting.ingest_arguments()).wait() != 0:
            return None
    elif "name another OUT" in message:
        return setting.room / "out2"
    else:
        return None
    return altered
