"""Python runs this at its start, in the driver and in Spark's workers, when this folder is on PYTHONPATH.

FAULTS_PLAN names a JSON file: `roots` (folders that count), `record` (a file that gets a line per event, or null),
`claims` (a folder: each cut happens once) and `cuts`: {event, path, when, act}. Events are `open` (a file is made or
written), `rename` and `remove`; a temporary file goes by the name that it is to get, with `~` after it. `when` is
`before` or `after` the event; `act` is `tree` (kill every process of the run), `self` (kill this one) or `zombie`
(leave the group, ignore being told to end, sleep until the file CLAIM.wake is there, go on).
"""

import contextlib
import json
import os
import re
import signal
import sys
import time

EVENTS = {"os.rename": "rename", "os.remove": "remove", "open": "open"}
TEMPORARY = re.compile(r"^(.*\.(?:parquet|jsonl|json|tar|html))\..*tmp$")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def install() -> None:
    """Watch this process's file operations as the plan says."""
    with open(os.environ["FAULTS_PLAN"]) as file:
        plan = json.load(file)
    os.environ.setdefault("FAULTS_DRIVER", str(os.getpid()))
    busy = []  # holds something while a cut does the event itself, which is an event again

    def watch(event: str, arguments: tuple) -> None:
        if event in EVENTS and not busy:
            path = target(event, arguments)
            if path and path.startswith(tuple(plan["roots"])):
                busy.append(event)
                note(plan, EVENTS[event], path)
                cut(plan, EVENTS[event], path, arguments)
                busy.clear()

    sys.addaudithook(watch)


def target(event: str, arguments: tuple) -> str | None:
    """The file that an event makes, writes or removes, by its final name; null for other events."""
    path = arguments[1] if event == "os.rename" else arguments[0]
    if isinstance(path, int) or (event == "open" and not (arguments[2] or 0) & WRITING):
        return None
    path = os.fsdecode(path)
    found = TEMPORARY.match(path)
    return f"{found[1]}~" if found else path


def note(plan: dict, event: str, path: str) -> None:
    """One line of the record (time, process, event, file), appended in one write."""
    if plan["record"]:
        role = "driver" if os.environ["FAULTS_DRIVER"] == str(os.getpid()) else "worker"
        handle = os.open(plan["record"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, f"{time.time():.3f} {role} {event} {path}\n".encode())
        os.close(handle)


def cut(plan: dict, event: str, path: str, arguments: tuple) -> None:
    """Do what the plan has for this event, once over all processes and runs."""
    for number, each in enumerate(plan["cuts"]):
        if (each["event"], each["path"]) != (event, path):
            continue
        claim = os.path.join(plan["claims"], str(number))
        try:
            os.close(os.open(claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            continue
        if each["when"] == "after":
            perform(event, arguments)
        if each["act"] == "zombie":
            outlive(claim + ".wake")
        else:
            kill(each["act"])


def perform(event: str, arguments: tuple) -> None:
    """The event itself, before its caller does it."""
    if event == "rename":
        os.rename(arguments[0], arguments[1])
    elif event == "remove":
        with contextlib.suppress(FileNotFoundError):
            os.remove(arguments[0])
    else:
        os.close(os.open(arguments[0], os.O_WRONLY | os.O_CREAT, 0o644))


def kill(act: str) -> None:
    """SIGKILL to this process, and to all others of the run before it where `act` is `tree`."""
    mark = f"FAULTS_MARK={os.environ['FAULTS_MARK']}".encode()
    others = []
    for name in os.listdir("/proc") if act == "tree" else ():
        with contextlib.suppress(OSError):
            if name.isdigit() and int(name) != os.getpid():
                with open(f"/proc/{name}/environ", "rb") as file:
                    if mark in file.read().split(b"\0"):
                        others.append(int(name))
    for pid in others:  # all at once, as near as one process can: the list is made before the first is killed
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def outlive(wake: str) -> None:
    """Sleep until the file `wake` is there, whoever asks this process to end meanwhile."""
    os.setsid()
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    with open(wake.removesuffix(".wake") + ".pid", "w") as file:
        file.write(str(os.getpid()))
    while not os.path.exists(wake):
        time.sleep(0.05)


if "FAULTS_PLAN" in os.environ:
    install()
