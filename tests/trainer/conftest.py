"""Releases for the trainer's tests, made as the tests of shards make theirs."""

import importlib.util
import json
from pathlib import Path

import pytest

MADE = Path(__file__).parents[1] / "shards" / "conftest.py"


def write_release(out: Path, **settings: int) -> Path:
    spec = importlib.util.spec_from_file_location("made_releases", MADE)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made.write_release(out, **settings)


@pytest.fixture(scope="session")
def release(tmp_path_factory) -> str:
    """A release of 60 pictures in three shards."""
    return str(write_release(tmp_path_factory.mktemp("trainer") / "release", samples=60, per_shard=20))


@pytest.fixture
def log():
    """Call with the folder of a run to get its log lines without the timings."""

    def lines(out: Path | str) -> list[dict]:
        found = [json.loads(line) for line in Path(out, "log.jsonl").read_text().splitlines()]
        return [{k: v for k, v in line.items() if k != "samples_per_s"} for line in found]

    return lines
