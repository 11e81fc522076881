"""The embedding benchmark: its pipeline gives what open_clip gives, whatever the number of tasks."""

import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
pytest.importorskip("torch")

import decode  # noqa: E402 - needs the lines above
import embed  # noqa: E402

from curation.models.clip import here  # noqa: E402


def test_both_sides_give_the_same_vectors(model, tmp_path):
    pointers = embed.write_tar(tmp_path / "pictures.tar", 10)
    clip = here(model)
    wanted = embed.forward(clip, embed.ready(clip, pointers))()
    for tasks in (1, 2):
        found = embed.pipeline(pointers, {"clip": model}, tasks, tmp_path)()
        assert found.shape == wanted.shape == (10, clip.dim)
        assert (embed.cosines(found, wanted) > embed.CLOSE).all()
    assert len(np.unique(found, axis=0)) == 10


def test_modes_differ_as_they_say():
    data = [embed.photograph(4)]  # 1000 x 1000: scaled decode halves it
    sides = decode.modes()
    shown = {name: side(data[0]) for name, side in sides.items()}
    assert {each.shape for each in shown.values()} == {(224, 224, 3)}
    assert (shown["exact"] == shown["peer"]).all()
    assert decode.psnr(shown["full"], shown["peer"]) > decode.TARGETS["full_psnr"]
    assert decode.psnr(shown["scaled"], shown["peer"]) < decode.TARGETS["full_psnr"]
    large = decode.enlarged(data[0])
    assert decode.decode(large).shape == (2000, 2000, 3)
