"""Releases for the trainer's tests, made as the tests of shards make theirs; a model that trains in a blink."""

import importlib.util
import json
from pathlib import Path

import pytest

from curation.models.clip import ensure_torchvision
from curation.records import record_text, sealed

ensure_torchvision()  # whichever test imports open_clip first

MADE = Path(__file__).parents[1] / "shards" / "conftest.py"
# The real kind, for 32 px and 16 tokens; patches of 8 px: a grid of 4 x 4.
SMALL = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    },
    "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3]},
}
TIMINGS = ("samples_per_s", "data_wait_share")


def write_release(out: Path, **settings: int) -> Path:
    spec = importlib.util.spec_from_file_location("made_releases", MADE)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made.write_release(out, **settings)


def change_mark(out: Path | str, **changes: object) -> None:
    """Write a release's release.json again, with entries added."""
    path = Path(out, "manifest/release.json")
    mark = {k: v for k, v in json.loads(path.read_text()).items() if k != "digest"}
    path.write_bytes(record_text(sealed(mark | changes)))


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    """Threads that wait for each other cost more than they give in models this small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CURATION_THREADS", "1")
        yield


@pytest.fixture(scope="session")
def release(tmp_path_factory) -> str:
    """A release of 60 pictures in three shards."""
    return str(write_release(tmp_path_factory.mktemp("trainer") / "release", samples=60, per_shard=20))


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> str:
    """The name of the small model."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "open_clip_config.json").write_text(json.dumps(SMALL))
    return f"local-dir:{folder}"


@pytest.fixture
def log():
    """Call with the folder of a run to get its log lines without the timings."""

    def lines(out: Path | str) -> list[dict]:
        found = [json.loads(line) for line in Path(out, "log.jsonl").read_text().splitlines()]
        return [{k: v for k, v in line.items() if k not in TIMINGS} for line in found]

    return lines


@pytest.fixture
def quick(release, small, tmp_path):
    """Call with a name and settings of the scale to train the small model, on all samples unless said otherwise.

    Gives the folder of the run.
    """
    from curation.trainer.train import train

    def run(name: str, *changes: str, **settings: object) -> Path:
        wanted = {"holdout": 0, "samples_seen": 80, "workers": 0, "release": release} | settings
        data = wanted.pop("release")
        train(str(data), out=str(tmp_path / name), set=[f"model={small}", *changes], **wanted)
        return tmp_path / name

    return run
