"""The dataset gives each sample once, in a keyed order, however it is split."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from curation.errors import BadItemError, BrokenTableError
from curation.shards.dataset import ManifestDataset, decode_image, keyed_order
from curation.shards.manifest import Release


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("made") / "release"


@pytest.fixture
def release(out, make_release):
    """One release for all tests of this file, made on first use."""
    return str(out if (out / "manifest/release.json").exists() else make_release(name=out, samples=23, per_shard=5))


def uids(dataset) -> list[str]:
    return [sample["uid"] for sample in dataset]


def test_samples_are_what_the_manifest_says(release):
    table = {row["uid"]: row for row in Release.open(release).samples().to_pylist()}
    for sample in ManifestDataset(release):
        row = table.pop(sample["uid"])
        assert sample["text"] == row["caption"]
        assert decode_image(sample["image"]).size == (row["width"], row["height"])
    assert not table


def test_order_is_a_function_of_seed_and_epoch(release):
    first = uids(ManifestDataset(release, seed=1))
    assert first == uids(ManifestDataset(release, seed=1))
    dataset = ManifestDataset(release, seed=1)
    dataset.set_epoch(1)
    others = [uids(dataset), uids(ManifestDataset(release, seed=2)), Release.open(release).samples()["uid"].to_pylist()]
    assert all(sorted(o) == sorted(first) and o != first for o in others)
    assert uids(ManifestDataset(release, seed=1, epoch=1)) == others[0]


@pytest.mark.parametrize("world", [1, 2, 3, 7, 23, 40])
def test_ranks_share_the_samples_exactly(release, world):
    parts = [ManifestDataset(release, rank=rank, world=world) for rank in range(world)]
    assert [uid for part in parts for uid in uids(part)] == uids(ManifestDataset(release))
    assert [len(uids(p)) for p in parts] == [len(p) for p in parts]
    assert {len(p) for p in parts} <= {23 // world, 23 // world + 1}


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize("world", [1, 2])
def test_loader_workers_share_the_samples_exactly(release, world, workers):
    found = Counter()
    for rank in range(world):
        loader = DataLoader(ManifestDataset(release, rank=rank, world=world), batch_size=None, num_workers=workers)
        found.update(sample["uid"] for sample in loader)
    assert found == Counter(uids(ManifestDataset(release)))


@pytest.mark.parametrize("start", [0, 4, 20, 23])
@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_batches_do_not_depend_on_workers_and_can_be_resumed(release, workers, start):
    dataset = ManifestDataset(release, block=4, start=start)
    batches = [batch["uid"] for batch in DataLoader(dataset, batch_size=4, num_workers=workers)]
    everything = uids(ManifestDataset(release))
    assert batches == [everything[i : i + 4] for i in range(start, 23, 4)]
    assert len(dataset) == 23 - start


def test_only_the_uids_asked_for_in_the_same_order(release):
    everything = uids(ManifestDataset(release))
    some = [*everything[::3], "f" * 32]
    assert uids(ManifestDataset(release, uids=some)) == everything[::3]
    parts = [uids(ManifestDataset(release, uids=some, rank=rank, world=3)) for rank in range(3)]
    assert [uid for part in parts for uid in part] == everything[::3]
    assert uids(ManifestDataset(release, uids=[])) == []


def test_transform_tokenizer_and_batches(release):
    dataset = ManifestDataset(
        release,
        transform=lambda image: torch.from_numpy(np.asarray(image.resize((8, 8)))),
        tokenizer=lambda text: torch.tensor([len(text)]),
    )
    batch = next(iter(DataLoader(dataset, batch_size=4)))
    assert batch["image"].shape == (4, 8, 8, 3) and batch["text"].shape == (4, 1) and len(batch["uid"]) == 4


def test_a_picture_that_does_not_decode_names_its_sample(release):
    def decode(_):
        raise BadItemError("not_an_image", "made")

    with pytest.raises(BrokenTableError, match=r"sample [0-9a-f]{32}: its picture does not decode \(not_an_image"):
        next(iter(ManifestDataset(str(release), transform=np.asarray, decode=decode)))


def test_a_rank_outside_the_world_is_refused(release):
    with pytest.raises(ValueError, match="rank 2 of world 2"):
        ManifestDataset(release, rank=2, world=2)


@settings(deadline=None)
@given(st.lists(st.text("abc", max_size=4), max_size=20))
def test_keyed_order_is_a_permutation(names):
    order = keyed_order("x", names)
    assert sorted(order.tolist()) == list(range(len(names)))
