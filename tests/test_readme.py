"""What the README shows works: its commands exist, its filter is one file, one registry line and one recipe line."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from curation.cli import COMMANDS
from curation.recipe_text import recipe_names

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def _blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def test_every_command_shown_exists():
    shown = set(re.findall(r"^curate (\w+)", "\n".join(_blocks("console")), re.M))
    assert shown and shown <= set(COMMANDS)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"\bmake ([a-z-]+)", README)) <= targets


def test_what_is_installed_runs_the_commands_shown():
    [shown] = (block for block in _blocks("console") if "pip install" in block)
    image = (ROOT / "docker/Dockerfile").read_text()
    installs = [set(extras.split(",")) for extras in re.findall(r"""['"]\.\[(.+?)\]""", shown + image)]
    wanted = {"download": "curate download", "clip": "curate train"}
    assert len(installs) == 3
    assert all({extra for extra, command in wanted.items() if command in shown} <= extras for extras in installs)


def test_every_recipe_is_listed():
    section = README.partition("## Recipes")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.M)) == set(recipe_names())


def test_links_lead_somewhere():
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert "://" in link or (ROOT / link).exists(), link


def test_adding_a_filter_as_shown(pool, tmp_path):
    """The README's blocks, applied to a copy of the package, give a run that drops by the new signal."""
    shutil.copytree(ROOT / "curation", tmp_path / "curation", ignore=shutil.ignore_patterns("__pycache__"))
    module = next(b for b in _blocks("python") if "@signal" in b)
    registry = next(b for b in _blocks("python") if "__init__.py" in b).splitlines()
    bound = next(b for b in _blocks("toml") if "with.keep" in b).splitlines()[1]
    path = re.match(r"# (\S+)", module).group(1)
    (tmp_path / path).write_text(module)
    init = tmp_path / "curation/signals/__init__.py"
    text = init.read_text().replace("\nSIGNALS = ", f"{registry[1]}\n\nSIGNALS = ", 1)
    init.write_text(text.replace("        caption_chars,\n", f"        caption_chars,\n{registry[2]}\n", 1))
    recipe = tmp_path / "mine.toml"
    recipe.write_text(f'[[stage]]\nname = "loud"\nrun = "select_subset"\n{bound.replace("0.5", "0.0")}\n')
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "curation.cli", "run", str(recipe), pool, str(tmp_path / "out")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["kept"] == 26  # no capital in any caption
    listed = subprocess.run(  # noqa: PLW1510
        [sys.executable, "-m", "curation.cli", "signals"], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert "caption_upper_share" in listed.stdout
