"""Batches of a release by several processes, that stop anywhere and go on there."""

from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader

from curation.shards.dataset import ManifestDataset


class ManifestLoader:
    """Iterated once an epoch, each time the next one, it gives the batches of a dataset's rank, of `batch` samples.

    They are the same for any number of `workers`. `state_dict` is exact to the batch that was given last, whatever the
    workers have read ahead; loaded into a loader of another number of workers, ranks or another batch, what is left is
    dealt anew. Where the dataset is dealt evenly (`even`) every rank has as many batches, all of them whole.
    """

    def __init__(
        self,
        dataset: ManifestDataset,
        batch: int,
        *,
        workers: int = 0,
        collate: Callable[[list[dict[str, Any]]], Any] | None = None,
        pinned: bool = False,
    ) -> None:
        dataset.block = batch
        self.dataset, self.batch, self.given = dataset, batch, 0
        self.loader = DataLoader(dataset, batch, num_workers=workers, collate_fn=collate, pin_memory=pinned)

    @property
    def epoch(self) -> int:
        """The epoch that the next batch is of."""
        return self.dataset.epoch

    def __len__(self) -> int:
        """Batches of this rank that are left of the epoch."""
        return -(-len(self.dataset) // self.batch) - self.given

    def __iter__(self) -> Iterator[Any]:
        self.dataset.load_state_dict(self.state_dict())  # the last iteration may have been left before its end
        self.given = 0
        for batch in self.loader:
            self.given += 1
            yield batch
        self.given = 0
        self.dataset.set_epoch(self.dataset.epoch + 1)

    def state_dict(self) -> dict[str, Any]:
        """Where the epoch is."""
        return self.dataset.state_dict(self.dataset.start + self.given * self.batch)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there with the next iteration."""
        self.given = 0
        self.dataset.load_state_dict(state)
