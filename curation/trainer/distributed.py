"""Several processes that train one model: joining, sharing features, and agreeing before any of them starts."""

import functools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from curation.errors import CurationError, RecipeError
from curation.failures import store_failures
from curation.images import threads

KINDS = {kind.__name__: kind for kind in CurationError.__subclasses__()}


@dataclass(frozen=True)
class Place:
    """Which of how many processes this is, and on what it computes."""

    rank: int
    world: int
    device: torch.device


def join(device: str | None) -> Place:
    """This process's place as torchrun says, the only one without it; ranks of a machine share its cores.

    RecipeError, on every rank, where a device is not here, would be all ranks' own, or is no GPU as other ranks have.
    """
    rank, world = _ranks()
    with together():
        name = own_device(device, world)
    kinds = everyones(torch.device(name).type)
    if len(set(kinds)) > 1:
        raise RecipeError(f"--device: ranks are on, rank by rank, {kinds}; wanted cpu, or a GPU for each")
    torch.set_num_threads(max(threads() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")), 1))
    if name != "cpu":
        torch.cuda.set_device(name)
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("gloo" if name == "cpu" else "nccl", store=_store(), rank=rank, world_size=world)
    return Place(rank, world, torch.device(name))


def _ranks() -> tuple[int, int]:
    """(rank, world) as torchrun says."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def own_device(device: str | None, world: int) -> str:
    """cpu or cuda:N, this rank's of so many; RecipeError where it cannot be."""
    name = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda:") and world > 1:
        raise RecipeError(f"--device {name}: all {world} ranks would share it; wanted --device cuda: to each its own")
    if name == "cuda":
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    there = ["cpu", *(f"cuda:{n}" for n in range(torch.cuda.device_count()))]
    if name not in there:
        raise RecipeError(f"--device {name}: not here; known: {there}")
    return name


@functools.cache
def _store() -> dist.Store:
    """Names and texts that all ranks see, before they are a group too; torchrun keeps it."""
    return next(dist.rendezvous("env://"))[0]


def everyones(text: str) -> list[str]:
    """What each rank gives in this call, in their order; waits for all of them."""
    rank, world = _ranks()
    if world == 1:
        return [text]
    number = _store().add(f"curation/calls/{rank}", 1)  # every rank's calls are as many
    _store().set(f"curation/{number}/{rank}", text)
    return [_store().get(f"curation/{number}/{other}").decode() for other in range(world)]


@contextmanager
def together() -> Iterator[None]:
    """What one rank raises within, every rank raises at the end: the same class and sentence, with that rank's number.

    For what a rank finds alone, a file that is missing on its machine: a group that waits for it inside would not end.
    An OSError is a CurationError for the others.
    """
    fault = None
    try:
        yield
    except (CurationError, OSError, *store_failures()) as error:
        fault = error
    own = None if fault is None else [type(fault).__name__, str(fault)]
    found = [json.loads(each) for each in everyones(json.dumps(own))]
    if fault is not None and all(each == own for each in found):
        raise fault
    for rank, each in enumerate(found):
        if each:
            raise KINDS.get(each[0], CurationError)(f"rank {rank} of {len(found)}: {each[1]}") from fault


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
