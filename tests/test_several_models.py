"""Signals of several models, precisions and decodes of one pool: computed in one pass, kept apart, and found again."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from curation.graph import Graph
from curation.pool import Pool
from curation.rows import Rows

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    from tests.small_clip import CONFIG, write_model

    name = write_model(tmp_path_factory.mktemp("second"), {**CONFIG, "preprocess_cfg": {"mean": [0.1, 0.2, 0.3]}})
    weights = Path(name.removeprefix("local-dir:"), "open_clip_model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-2] + b"\0\0")
    return name


@pytest.fixture(scope="module")
def scored(spark, pool, model, second, tmp_path_factory):
    """The store, and the scores of each pair by column."""
    folder = str(tmp_path_factory.mktemp("pools") / "pool")
    shutil.copytree(pool, folder, ignore=shutil.ignore_patterns("store"))
    settings = {"clip": model, "checkpoints": [model, second], "quick": {"of": "clip_score", "precision": "int8"}}
    settings |= {"second": {"of": "clip_score", "clip": second}}
    settings |= {"exact": {"of": "clip_score", "decode": "exact"}}
    rows = Rows(Pool.open(folder), f"{folder}/store", Graph(settings))
    names = ["uid", "clip_score", "second", "quick", "exact", "mean_clip_score", "flipped_clip_score"]
    return Path(folder, "store"), rows.select(spark, names).toPandas()


def test_each_column_is_its_own(scored):
    _, table = scored
    known = table.dropna()
    assert len(table) == 26 and len(known) == 25  # one picture is cut short
    wanted = ((known["clip_score"].astype(np.float64) + known["second"]) / 2).astype(np.float32)
    assert (known["mean_clip_score"] == wanted).all()
    for name, least, most in (
        ("quick", 1e-6, 0.05),
        ("exact", 0, 1e-3),
        ("second", 1e-3, 2),
        ("flipped_clip_score", 1e-4, 2),
    ):
        moved = (known[name] - known["clip_score"]).abs().max()
        assert least <= moved <= most, (name, moved)


def test_the_store_keeps_them_apart_and_says_what_they_are(scored, model, second):
    store, _ = scored
    found = []
    for folder in (store / "signals").glob("image_embedding-*"):
        done = json.loads((folder / "_done.json").read_text())
        found.append((done["models"]["clip"]["name"], done["settings"]["decode"], done["models"]["clip"]["precision"]))
    plain = [(model, "full", "fp32"), (second, "full", "fp32")]
    assert sorted(found) == sorted([*plain, (model, "full", "int8"), (model, "exact", "fp32")])
