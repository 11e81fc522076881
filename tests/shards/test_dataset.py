"""The dataset gives each sample once, in a keyed order, however it is split; what a release may hold does no harm."""

import os
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from curation.errors import BadItemError, BrokenTableError
from curation.shards.dataset import ManifestDataset, decode_image, keyed_order
from curation.shards.manifest import Release
from curation.shards.mds import write_mds
from curation.shards.tar import read_members
from curation.shards.verify import verify
from tests.shards.damage import members_of, rewrite_table, sign, write_members


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


def place_picture(out: Path, row: int, **image: int) -> None:
    """Have the manifest say that the picture of a row of the first shard lies elsewhere: offset=, bytes=."""

    def change(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        for column, value in image.items():
            rows[row][column]["image"] = value
        return pa.Table.from_pylist(rows, table.schema)

    rewrite_table(out, "manifest/samples/00000000.parquet", change)


@pytest.mark.parametrize(
    "image", [{"offset": 1 << 40}, {"offset": -1}, {"bytes": 1 << 20}, {"bytes": -1}, {"offset": 2**63 - 9}]
)
def test_a_picture_that_is_said_to_lie_outside_its_shard_is_an_error(make_release, image):
    out = make_release(samples=6, per_shard=6)
    uid = Release.open(str(out)).samples()["uid"][2].as_py()
    place_picture(out, 2, **image)
    with pytest.raises(BrokenTableError, match=f"shard 0: sample {uid} is said to lie outside it; see curate verify"):
        uids(ManifestDataset(str(out)))
    with pytest.raises(BrokenTableError, match=f"shard 0: sample {uid} is said to lie outside it; see curate verify"):
        write_mds(Release.open(str(out)), str(out / "mds"))


class Harm:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_nothing_in_a_shard_is_unpickled_and_no_name_in_it_is_a_path(make_release, tmp_path, monkeypatch):
    """Members that others decode by their ending, and one that the manifest calls a picture."""
    out, canary = make_release(samples=6, per_shard=6), tmp_path / "here/canary"
    canary.parent.mkdir()
    monkeypatch.chdir(canary.parent)
    shard, harm = out / "shards/00000000.tar", pickle.dumps(Harm(str(canary)))
    names = [f"{'0' * 32}.{ending}" for ending in ("pkl", "pyd", "pickle", "pt", "npy")]
    write_members(shard, members_of(shard) + [(name, harm) for name in (*names, "../canary", str(canary))])
    sign(out, "shards/00000000.tar")
    wanted, uid = uids(ManifestDataset(str(out))), Release.open(str(out)).samples()["uid"][2].as_py()
    place = next(member.offset for member in read_members(shard.read_bytes()) if member.name == names[0])
    place_picture(out, 2, offset=place, bytes=len(harm))
    assert [sample["uid"] for sample in ManifestDataset(str(out)) if sample["image"] == harm] == [uid]
    with pytest.raises(BrokenTableError, match="its picture does not decode"):
        list(ManifestDataset(str(out), transform=np.asarray))
    assert verify(str(out), decode=True) != [] and uids(ManifestDataset(str(out))) == wanted
    write_mds(Release.open(str(out)), str(tmp_path / "mds"))
    assert os.listdir(canary.parent) == [] and not (tmp_path / "canary").exists()
    with pytest.raises(FileExistsError):  # it does harm where it is unpickled
        [pickle.loads(harm) for _ in range(2)]


def test_a_rank_outside_the_world_is_refused(release):
    with pytest.raises(ValueError, match="rank 2 of world 2"):
        ManifestDataset(release, rank=2, world=2)


@settings(deadline=None)
@given(st.lists(st.text("abc", max_size=4), max_size=20))
def test_keyed_order_is_a_permutation(names):
    order = keyed_order("x", names)
    assert sorted(order.tolist()) == list(range(len(names)))
