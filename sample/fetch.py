"""Fetch Debian packages and unpack them into DIR/packages/NAME, as any user, without installing anything.

    python sample/fetch.py --work DIR [--debs FOLDER] PACKAGE...

apt-get runs on the system's package sources and trusted keys, but with lists and caches of its own under DIR, so no
rights are needed and the system's state stays as it is. The signed lists hold every file's digest, and apt-get checks
it. `--debs FOLDER` takes the .deb files from a folder instead. A package that is already unpacked is left alone, and
then nothing is run at all. The last line on stdout is one JSON object: version and sha256 of every package.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DONE = "_done.json"


class FetchError(Exception):
    """A package cannot be had; the message says what is missing and what would do instead."""


def fetch(packages: list[str], work: Path, debs: Path | None = None) -> dict[str, dict[str, str]]:
    """Version and sha256 of each package, after unpacking what DIR/packages lacks; FetchError names what fails."""
    missing = [name for name in packages if read_mark(work, name) is None]
    if missing:
        need_tool("dpkg-deb", "it unpacks .deb files; install the package dpkg")
        (work / "packages").mkdir(parents=True, exist_ok=True)
        if debs is not None:
            unpack_from(debs, missing, work)
        else:
            download_and_unpack(missing, work)
    return {name: read_mark(work, name) for name in packages}


def read_mark(work: Path, name: str) -> dict[str, str] | None:
    """What the finished package says of itself, None where it is not finished."""
    mark = work / "packages" / name / DONE
    return json.loads(mark.read_text()) if mark.is_file() else None


def need_tool(tool: str, reason: str) -> None:
    """FetchError where `tool` is not on the PATH."""
    if shutil.which(tool) is None:
        raise FetchError(f"{tool} is not on the PATH: {reason}")


def unpack_from(debs: Path, packages: list[str], work: Path) -> None:
    """Unpack `packages` from the .deb files in `debs`; FetchError names the packages that have none or several."""
    found = {name: sorted(debs.glob(f"{name}_*.deb")) for name in packages}
    wrong = [f"{name} ({len(files)} files)" for name, files in found.items() if len(files) != 1]
    if wrong:
        raise FetchError(f"{debs}: wanted one NAME_VERSION_ARCH.deb for each package, not for {', '.join(wrong)}")
    for name, files in found.items():
        unpack(files[0], name, work)


def download_and_unpack(packages: list[str], work: Path) -> None:
    """Get each package through apt-get and unpack it; the file itself is not kept."""
    need_tool(
        "apt-get", "a Debian-like system is needed, or --debs FOLDER with the .deb files of " + " ".join(packages)
    )
    options = apt_options(work)
    if not any((work / "apt/state/lists").glob("*Packages*")):
        update(options)
    for name in packages:
        with tempfile.TemporaryDirectory(dir=work, prefix="download-") as folder:
            unpack(download(name, Path(folder), options), name, work)


def apt_options(work: Path) -> list[str]:
    """apt-get options that move everything it writes under DIR/apt."""
    state, cache = work.resolve() / "apt/state", work.resolve() / "apt/cache"
    (state / "lists/partial").mkdir(parents=True, exist_ok=True)
    (cache / "archives/partial").mkdir(parents=True, exist_ok=True)
    settings = {
        "Dir::State": state,
        "Dir::State::lists": state / "lists",
        "Dir::Cache": cache,
        "Dir::Cache::archives": cache / "archives",
        "APT::Sandbox::User": "",  # root would else switch to a user who may not write here
        "Acquire::Languages": "none",  # translated descriptions are not read
        "Acquire::Retries": 3,  # assumption: a mirror that fails four times is down
    }
    return [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]


def update(options: list[str]) -> None:
    """Fetch the package lists into our own state."""
    # Without this setting apt-get reports an unreachable mirror as a success.
    run_tool(["apt-get", *options, "-o", "APT::Update::Error-Mode=any", "update"], "cannot fetch the package lists")


def download(name: str, folder: Path, options: list[str]) -> Path:
    """The .deb of `name`, newly in `folder`. Lists grow old (a mirror drops superseded files), so a miss refreshes."""
    command = ["apt-get", *options, "download", name]
    try:
        run_tool(command, f"cannot download {name}", folder)
    except FetchError:
        update(options)
        run_tool(command, f"cannot download {name} (--debs FOLDER takes .deb files instead of the network)", folder)
    return next(folder.glob("*.deb"))


def unpack(deb: Path, name: str, work: Path) -> None:
    """Unpack to a temporary name, mark, rename: a folder without the mark is never taken for a package."""
    version = run_tool(["dpkg-deb", "--field", str(deb), "Version"], f"cannot read {deb}").strip()
    with tempfile.TemporaryDirectory(dir=work, prefix="unpack-") as folder:
        fresh = Path(folder) / name
        run_tool(["dpkg-deb", "--extract", str(deb), str(fresh)], f"cannot unpack {deb}")
        with deb.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        (fresh / DONE).write_text(json.dumps({"version": version, "sha256": sha256}) + "\n")
        target = work / "packages" / name
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)
    print(f"unpacked {name} {version}", file=sys.stderr)


def run_tool(command: list[str], failure: str, folder: Path | None = None) -> str:
    """Stdout of a command; FetchError with `failure` and the end of its stderr where it fails."""
    environment = {**os.environ, "LC_ALL": "C"}  # messages are quoted in errors: keep them in English
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        raise FetchError(f"{failure}\n{' '.join(command)}\n{(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


def main() -> int:
    """Run the command line; exit 1 where a package cannot be had."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, metavar="DIR")
    parser.add_argument("--debs", type=Path, metavar="FOLDER")
    parser.add_argument("packages", nargs="+", metavar="PACKAGE")
    flags = parser.parse_args()
    try:
        print(json.dumps(fetch(flags.packages, flags.work, flags.debs), sort_keys=True))
    except FetchError as error:
        print(f"fetch: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
