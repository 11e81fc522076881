"""Which patches are kept, and that the model sees those alone."""

import pytest
import torch

from curation.errors import RecipeError
from curation.trainer.model import build_model
from curation.trainer.patches import check_patches, drawn, dropping, grid_of


def uniforms(rows: int = 64, grid: int = 8) -> torch.Tensor:
    return torch.rand(rows, grid * grid, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("mode", ["random", "grid", "block"])
def test_a_quarter_is_kept_each_patch_once_and_all_come_about_equally_often(mode):
    places = drawn(uniforms(4000), 0.25, mode)
    assert places.shape == (4000, 16) and (places.diff(dim=1) > 0).all()
    counts = torch.bincount(places.flatten(), minlength=64)
    if mode != "block":
        assert counts.min() > 850 and counts.max() < 1150
    else:
        assert counts.min() > 0  # corners are in one block of 25


def test_grid_keeps_one_of_each_cell_and_block_a_square():
    cells = drawn(uniforms(), 0.25, "grid")
    rows, columns = cells // 8 // 2, cells % 8 // 2
    assert all(len({(int(r), int(c)) for r, c in zip(*pair)}) == 16 for pair in zip(rows, columns))
    block = drawn(uniforms(), 0.25, "block")
    assert ((block // 8).amax(1) - (block // 8).amin(1) == 3).all()
    assert ((block % 8).amax(1) - (block % 8).amin(1) == 3).all()


def test_random_keeps_as_many_as_open_clip():
    assert drawn(uniforms(2), 0.75, "random").shape[1] == int(64 * (1 - 0.25))
    assert drawn(uniforms(2), 0.001, "random").shape[1] == 1


def test_the_model_sees_the_kept_patches_alone_while_it_trains(small):
    model, _, _ = build_model(small, 0)
    kept = dropping(model)
    pixels = torch.rand(2, 3, 32, 32)
    kept.places = torch.tensor([[0, 5], [3, 15]])
    other = pixels.clone()
    other[0, :, 16:, :] = 0  # patches 8 to 15
    other[1, :, :, 8:16] = 0  # patches 1, 5, 9, 13
    model.train()
    assert torch.equal(model.encode_image(pixels), model.encode_image(other))
    model.eval()
    assert not torch.allclose(model.encode_image(pixels), model.encode_image(other))


def test_what_cannot_be_kept_is_told(small):
    model, _, _ = build_model(small, 0)
    assert grid_of(model) == 4
    check_patches(model, 1.0, "grid")
    check_patches(model, 0.25, "grid")
    with pytest.raises(RecipeError, match=r"4 x 4 patches .pictures of 32 px. keeps one of \[0.25, 0.0625\]"):
        check_patches(model, 0.5, "grid")
