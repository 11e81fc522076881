"""Criterion Z: what must hold once a disturbed run has been run again to its end."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from faults.runs import Run
from faults.setting import Setting, ledger

PLACES = ("seconds", "pool", "store", "input_folder", "digest")  # of commit records: how long and where, not what
TEMPORARY = re.compile(r"\.tmp$")


def z_faults(setting: Setting, run: Run, out: Path | None = None) -> list[str]:
    """A sentence per breach of Z by the finished run; [] if all is as the undisturbed run left it."""
    out = out or setting.out
    faults = success_faults(run)
    if not (out / "manifest" / "release.json").is_file():
        return [*faults, f"{out}: no release"]
    faults += tree_faults(setting.reference.out, out)
    if setting.reference.store is not None:
        faults += tree_faults(setting.reference.store, setting.store)
    return [*faults, *count_faults(out), *stray_faults(setting)]


def pool_faults(setting: Setting, run: Run) -> list[str]:
    """As `z_faults`, for a finished ingest."""
    wanted = json.loads((setting.reference.pool / "pool.json").read_text())["parts"]
    found = json.loads((setting.new_pool / "pool.json").read_text())["parts"]
    lost = [] if sum(p["rows"] for p in found) == sum(p["rows"] for p in wanted) else ["the pool has lost rows"]
    return [*success_faults(run), *tree_faults(setting.reference.pool, setting.new_pool), *lost, *stray_faults(setting)]


def success_faults(run: Run) -> list[str]:
    """What is wrong with the ending of a run that should have succeeded."""
    faults = []
    if run.process.returncode != 0:
        faults.append(f"exit {run.process.returncode}, wanted 0: {short(run.messages())}")
    elif run.result() is None or len(run.output) != 1:
        faults.append(f"wanted one JSON line on stdout, found {run.output}")
    elif run.messages():
        faults.append(f"succeeded, but says: {short(run.messages())}")
    return faults


def failure_faults(run: Run, code: int | None, wanted: tuple[int, ...], says: str | None = None) -> list[str]:
    """What is wrong with the ending of a run that should have failed with one line that holds `says`."""
    faults = []
    messages = run.messages()
    if code not in wanted:
        faults.append(f"exit {code}, wanted {' or '.join(map(str, wanted))}: {short(messages)}")
    if any("Traceback" in line or line.lstrip().startswith("at ") for line in messages):
        faults.append(f"a traceback: {short(messages)}")
    elif len(messages) != 1:
        faults.append(f"wanted one line on stderr, found {len(messages)}: {short(messages)}")
    if says is not None and not any(says in line for line in messages):
        faults.append(f"the message does not name {says}: {short(messages)}")
    return faults


def short(messages: list[str]) -> str:
    """Messages on one line, the middle left out where they are long."""
    text = " | ".join(messages)
    return text if len(text) <= 600 else f"{text[:300]} ... {text[-300:]}"


def tree(folder: Path) -> dict[str, Path]:
    """Relative name -> path of the files in a folder, locks apart (empty, they hold nothing once their owner ends)."""
    paths = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    return {str(path.relative_to(folder)): path for path in paths if path.name != "lock"}


def tree_faults(wanted: Path, found: Path) -> list[str]:
    """How the files of a folder differ from the reference's, in names and in content."""
    here, there = tree(found), tree(wanted)
    left = sorted(name for name in here if TEMPORARY.search(name))
    faults = [f"{found.name}: temporary files left: {', '.join(left)}"] if left else []
    extra, missing = sorted(here.keys() - there.keys() - set(left)), sorted(there.keys() - here.keys())
    faults += [f"{found.name}: files too many: {', '.join(extra)}"] if extra else []
    faults += [f"{found.name}: files missing: {', '.join(missing)}"] if missing else []
    other = [name for name in sorted(here.keys() & there.keys()) if content(here[name]) != content(there[name])]
    return faults + ([f"{found.name}: other content: {', '.join(other)}"] if other else [])


def content(path: Path) -> Any:
    """What has to be equal in two runs: the bytes, less times and places in commit records, ledger and claim."""
    if path.name == "report.html":
        return None
    if path.name in ("_done.json", "recipe.json"):
        return {k: v for k, v in json.loads(path.read_text()).items() if k not in PLACES}
    if path.name == "ledger.jsonl":
        return [{k: v for k, v in json.loads(line).items() if k not in PLACES} for line in path.open()]
    return hashlib.sha256(path.read_bytes()).hexdigest()


def count_faults(out: Path) -> list[str]:
    """Where rows in are not rows out plus rows dropped."""
    faults = []
    for stage in ledger(out):
        dropped = sum(stage["drops"].values())
        if stage["rows_in"] != stage["rows_out"] + dropped:
            faults.append(f"{stage['name']}: {stage['rows_in']} in, {stage['rows_out']} out, {dropped} dropped")
    return faults


def stray_faults(setting: Setting) -> list[str]:
    """Files outside the outputs: in the working directory, beside the sources or in the pool."""
    faults = [f"written into the working directory: {name}" for name in os.listdir(setting.room / "cwd")]
    known = {"out", "out2", "store", "pool", "cwd", "tmp", "scratch", "home", "claims"}
    others = [n for n in os.listdir(setting.room) if n not in known and not n.startswith("plan-")]
    faults += [f"written beside the outputs: {name}" for name in others]
    home = [n for n in os.listdir(setting.room / "home") if n not in (".cache", ".config", ".local")]
    return faults + [f"written into the home folder: {name}" for name in home]
