"""Training on some of a picture's patches: FLIP (arXiv:2212.00794), and CLIPA's random, grid and block masks
(arXiv:2305.07017). Which are kept is drawn outside of the model, so that it depends on neither ranks nor restarts.
"""

from dataclasses import dataclass
from typing import Any

import torch

from curation.errors import RecipeError
from curation.trainer.model import side_of


@dataclass
class Kept:
    """Places of the patches that the next forward pass keeps, int64 (n, kept); None keeps all."""

    places: torch.Tensor | None = None


def dropping(model: Any) -> Kept:
    """Make the model's picture tower keep, while it trains, the patches that the returned value names."""
    kept = Kept()

    def keep(module: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
        if kept.places is None or not module.training:
            return output
        places = kept.places[..., None].expand(-1, -1, output.shape[-1])
        return torch.cat([output[:, :1], output[:, 1:].gather(1, places)], dim=1)  # the class token stays

    model.visual.patch_dropout.register_forward_hook(keep)
    return kept


def check_patches(model: Any, share: float, mode: str, side: int | None = None) -> None:
    """RecipeError unless that share of the patches can be kept in that way, of pictures of `side` px or the model's."""
    if share == 1:
        return
    grid = grid_of(model)
    if grid is None:
        raise RecipeError("keep_patches: the model's picture tower has no patches to drop; wanted a vision transformer")
    patch = side_of(model) // grid
    side = side or side_of(model)
    grid = side // patch
    cell = round(share**-0.5)
    if mode == "grid" and (grid % cell or abs(cell**2 * share - 1) > 1e-6):
        fitting = [round(1 / c**2, 4) for c in range(2, grid + 1) if grid % c == 0]
        found = f"a grid of {grid} x {grid} patches (pictures of {side} px) keeps one of {fitting}"
        raise RecipeError(f"keep_patches={share} patches=grid: {found}")


def grid_of(model: Any) -> int | None:
    """Patches on a side of the model's pictures, None where it has none that can be dropped."""
    names = {name for name, _ in model.visual.named_children()}
    return model.visual.grid_size[0] if "patch_dropout" in names else None


def drawn(uniforms: torch.Tensor, share: float, mode: str) -> torch.Tensor:
    """Places of the kept patches, int64 (n, kept), ascending, by uniforms (n, grid * grid) in [0, 1).

    random: max(1, int(share * patches)) of them, those of the smallest uniforms; grid: the smallest of each square of
    1 / share patches; block: a square of about that share, its corner by the first two uniforms.

    >>> drawn(torch.tensor([[0.9, 0.1, 0.3, 0.2]]), 0.5, "random").tolist()
    [[1, 3]]
    """
    count = uniforms.shape[1]
    grid = round(count**0.5)
    if mode == "random":
        kept = max(1, int(count * share))
        return uniforms.topk(kept, largest=False).indices.sort().values
    places = torch.arange(count).view(grid, grid)
    if mode == "grid":
        cell = round(share**-0.5)
        return _grid(uniforms, places, cell)
    side = max(1, round(grid * share**0.5))
    top, left = ((uniforms[:, i] * (grid - side + 1)).long() for i in (0, 1))
    block = places[:side, :side].reshape(1, -1)  # of the corner (0, 0)
    return block + (top * grid + left)[:, None]


def _grid(uniforms: torch.Tensor, places: torch.Tensor, cell: int) -> torch.Tensor:
    number = len(places) // cell  # cells on a side

    def cells(values: torch.Tensor) -> torch.Tensor:
        """(n, cells, patches of a cell) of (n, grid * grid)."""
        split = values.view(-1, number, cell, number, cell).transpose(2, 3)
        return split.reshape(-1, number**2, cell**2)

    least = cells(uniforms).argmin(-1, keepdim=True)
    return cells(places).expand(len(uniforms), -1, -1).gather(2, least).squeeze(2).sort().values
