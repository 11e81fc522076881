"""Several processes that train one model: joining, sharing features, and agreeing before any of them starts."""

import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from curation.errors import RecipeError
from curation.images import threads


@dataclass(frozen=True)
class Place:
    """Which of how many processes this is, and on what it computes."""

    rank: int
    world: int
    device: torch.device


def join(device: str | None) -> Place:
    """This process's place as torchrun says, the only one without it; ranks of a machine share its cores.

    RecipeError where the device is not here.
    """
    rank, world, local = (int(os.environ.get(n, d)) for n, d in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0)))
    name = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda":
        name = f"cuda:{local}"
    there = ["cpu", *(f"cuda:{n}" for n in range(torch.cuda.device_count()))]
    if name not in there:
        raise RecipeError(f"--device {device}: rank {rank} wants {name}; here are {there}")
    torch.set_num_threads(max(threads() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")), 1))
    if name != "cpu":
        torch.cuda.set_device(name)
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("gloo" if name == "cpu" else "nccl")
    return Place(rank, world, torch.device(name))


def agree(place: Place, facts: dict[str, int], out: Any) -> None:
    """RecipeError on every rank, naming what differs, unless all ranks hold the same facts (int64).

    What a rank alone would see differently makes the others wait for ever: a RUN on a disk of its own, another
    release, other flags.
    """
    if place.world == 1:
        return
    own = torch.tensor(list(facts.values()), dtype=torch.int64, device=place.device)
    found = gather(own[None], place).cpu()  # (world, facts)
    other = {n: found[:, i].tolist() for i, n in enumerate(facts) if (found[:, i] != found[0, i]).any()}
    if other:
        raise RecipeError(
            f"ranks differ, rank by rank: {other}; wanted the same flags, and one release and {out} that all can see"
        )


def gather(rows: torch.Tensor, place: Place) -> torch.Tensor:
    """The rows of all ranks, in their order; every rank gives as many. No gradient passes: see `own_sum`."""
    if place.world == 1:
        return rows
    found = rows.new_empty((place.world * len(rows), *rows.shape[1:]))
    dist.all_gather_into_tensor(found, rows.contiguous())
    return found


def own_sum(gradient: torch.Tensor, place: Place) -> torch.Tensor:
    """Of a gradient by the gathered rows, summed over the ranks, the rows of this one: what `gather` owes backwards.

    The losses of the ranks are shares of one mean, and DistributedDataParallel takes the mean over the ranks of what
    comes of this: together the gradient of the loss of the whole batch, exactly.
    """
    if place.world == 1:
        return gradient
    size = len(gradient) // place.world
    if dist.get_backend() == "nccl":
        found = gradient.new_empty((size, *gradient.shape[1:]))
        dist.reduce_scatter_tensor(found, gradient.contiguous())
        return found
    dist.all_reduce(gradient)
    return gradient[place.rank * size : (place.rank + 1) * size]


def mean(value: torch.Tensor, place: Place) -> torch.Tensor:
    """The mean of a number over the ranks."""
    if place.world > 1:
        dist.all_reduce(value)
    return value / place.world


def wait(place: Place) -> None:
    """Until all ranks are here."""
    if place.world > 1:
        dist.barrier()
