"""fetch.py against a real apt-get and dpkg-deb, on a package source in a folder."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import fetch
import pytest

SCRIPT = Path(fetch.__file__)
TOOLS = ("apt-get", "dpkg-deb")
pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason="apt-get and dpkg-deb are found on Debian-like systems only"
)
NOBODY = 65534  # the user nobody of Debian


def make_deb(folder: Path, version: str) -> Path:
    """A package `pebble` with one file, and the index of the folder as a package source."""
    tree = folder / f"tree-{version}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: pebble\nVersion: {version}\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: a stone\n"
    )
    (tree / "usr/share/pebble").mkdir(parents=True)
    (tree / "usr/share/pebble/stone.txt").write_text(version)
    deb = folder / f"pebble_{version}_all.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, deb], check=True, capture_output=True)
    control = (tree / "DEBIAN/control").read_text()
    shutil.rmtree(tree)
    digest = hashlib.sha256(deb.read_bytes()).hexdigest()
    (folder / "Packages").write_text(f"{control}Filename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n")
    return deb


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that apt-get takes for its only package source."""
    folder = tmp_path / "source"
    folder.mkdir()
    (tmp_path / "list").write_text(f"deb [trusted=yes] copy:{folder} ./\n")
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{tmp_path}/list";\nDir::Etc::sourceparts "{tmp_path}/none";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    return folder


def test_a_package_is_fetched_once(source: Path, tmp_path: Path) -> None:
    deb, work = make_deb(source, "1.0"), tmp_path / "work"
    expected = {"pebble": {"version": "1.0", "sha256": hashlib.sha256(deb.read_bytes()).hexdigest()}}
    assert fetch.fetch(["pebble"], work) == expected
    assert (work / "packages/pebble/usr/share/pebble/stone.txt").read_text() == "1.0"
    shutil.rmtree(source)  # the second run needs no source
    assert fetch.fetch(["pebble"], work) == expected


def test_grown_old_lists_are_refreshed(source: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    make_deb(source, "1.0")
    fetch.fetch(["pebble"], work)
    shutil.rmtree(work / "packages")
    (source / "pebble_1.0_all.deb").unlink()
    make_deb(source, "1.1")
    assert fetch.fetch(["pebble"], work)["pebble"]["version"] == "1.1"


def test_an_altered_file_is_refused(source: Path, tmp_path: Path) -> None:
    deb = make_deb(source, "1.0")
    deb.write_bytes(deb.read_bytes()[:-1] + b"x")
    with pytest.raises(fetch.FetchError, match="pebble"):
        fetch.fetch(["pebble"], tmp_path / "work")
    assert not (tmp_path / "work/packages/pebble").exists()


def test_an_unfinished_package_is_unpacked_again(source: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    make_deb(source, "1.0")
    fetch.fetch(["pebble"], work)
    (work / "packages/pebble/_done.json").unlink()
    (work / "packages/pebble/usr/share/pebble/stone.txt").unlink()
    fetch.fetch(["pebble"], work)
    assert (work / "packages/pebble/usr/share/pebble/stone.txt").is_file()


def test_an_unknown_package_is_named(source: Path, tmp_path: Path) -> None:
    make_deb(source, "1.0")
    command = [sys.executable, SCRIPT, "--work", tmp_path / "work", "boulder"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "cannot download boulder" in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == ""


def test_debs_come_from_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "debs"
    folder.mkdir()
    make_deb(folder, "2.0")
    assert fetch.fetch(["pebble"], tmp_path / "work", folder)["pebble"]["version"] == "2.0"
    with pytest.raises(fetch.FetchError, match=r"boulder \(0 files\)"):
        fetch.fetch(["boulder"], tmp_path / "work", folder)
    make_deb(folder, "2.1")
    with pytest.raises(fetch.FetchError, match=r"pebble \(2 files\)"):
        fetch.fetch(["pebble"], tmp_path / "other", folder)


def test_without_apt_the_error_says_what_would_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/dpkg-deb").symlink_to(shutil.which("dpkg-deb"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(fetch.FetchError, match="--debs FOLDER"):
        fetch.fetch(["pebble"], tmp_path / "work")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user; else all tests here run without root")
def test_a_user_without_rights_can_fetch(source: Path) -> None:
    python = shutil.which("python3", path="/usr/bin")
    if python is None or shutil.which("setpriv") is None:
        pytest.skip("needs setpriv and a python3 that every user may run")
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to other users
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copytree(source, folder / "source")
        make_deb(folder / "source", "1.0")
        (folder / "list").write_text(f"deb [trusted=yes] copy:{folder}/source ./\n")
        conf = f'Dir::Etc::sourcelist "{folder}/list";\nDir::Etc::sourceparts "{folder}/none";\n'
        (folder / "apt.conf").write_text(conf)
        (folder / "work").mkdir()
        os.chown(folder / "work", NOBODY, NOBODY)
        shutil.copy(SCRIPT, folder / "fetch.py")
        become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", python]
        done = subprocess.run(
            [*become, folder / "fetch.py", "--work", folder / "work", "pebble"],
            capture_output=True, text=True, check=False, env={**os.environ, "APT_CONFIG": str(folder / "apt.conf")},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["pebble"]["version"] == "1.0"
        assert (folder / "work/packages/pebble/_done.json").stat().st_uid == NOBODY
