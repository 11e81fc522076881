"""The held-out rule and the batches."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from curation.shards.dataset import ManifestDataset
from curation.shards.manifest import Release
from curation.trainer.data import AREA, Collate, batches_per_epoch, epoch_batches, split, uniform


def tokens_of(texts: list[str]) -> torch.Tensor:
    return torch.tensor([[len(text)] for text in texts])


def test_split_is_a_partition_by_image(release):
    opened = Release.open(release)
    chosen, held = split(opened, 0.3)
    table = opened.samples(["uid", "image_id"]).to_pylist()
    assert sorted(chosen + held) == sorted(row["uid"] for row in table) and held and chosen
    images = [{row["image_id"] for row in table if row["uid"] in side} for side in (set(chosen), set(held))]
    assert not images[0] & images[1]
    assert set(split(opened, 0.1)[1]) <= set(held)  # a larger share only adds
    assert split(opened, 0) == (None, [])


def test_split_gives_each_image_one_side_whatever_the_caption():
    class Two:
        """Two releases' worth of rows: equal images under other uids."""

        def samples(self, columns):
            import pyarrow as pa

            rows = [{"uid": f"{caption}{image}", "image_id": str(image)} for image in range(200) for caption in "ab"]
            return pa.Table.from_pylist(rows)

    _, held = split(Two(), 0.25)
    assert {uid[1:] for uid in held if uid[0] == "a"} == {uid[1:] for uid in held if uid[0] == "b"}
    assert 0.15 < len(held) / 400 < 0.35


@settings(deadline=None)
@given(st.text(), st.integers())
def test_uniform_is_in_range_and_keyed(name, draw):
    assert 0 <= uniform(name, draw) < 1
    assert uniform(name, draw) == uniform(name, draw) != uniform(name, draw + 1)


@pytest.mark.parametrize("shape", [(48, 64), (64, 48), (5, 300), (300, 5), (1, 1), (900, 1200)])
def test_crop_of_a_ramp_covers_what_it_should(shape):
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    ramp = np.stack([rows / max(shape[0] - 1, 1), columns / max(shape[1] - 1, 1), rows * 0], -1) * 255
    collate = Collate(16, tokens_of, 0, 0)
    for uid in "abcdef":
        out = collate.crop(ramp.astype(np.uint8), uid)
        assert out.shape == (16, 16, 3) and out.dtype == np.uint8
        if min(shape) > 40:
            high, wide = (int(out[-1, 8, 0]) - int(out[0, 8, 0])) / 255, (int(out[8, -1, 1]) - int(out[8, 0, 1])) / 255
            area = high * shape[0] * wide * shape[1] / min(shape) ** 2
            assert AREA[0] * 0.6 < area < 1.05  # narrowed where the drawn shape does not fit, and sampled at centres


def test_crop_depends_on_seed_epoch_and_uid_only():
    pixels = np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8)
    crops = {
        (seed, epoch, uid): Collate(16, tokens_of, seed, epoch).crop(pixels, uid).tobytes()
        for seed in (0, 1)
        for epoch in (0, 1)
        for uid in "ab"
    }
    assert len(set(crops.values())) == 8
    assert crops[0, 1, "b"] == Collate(16, tokens_of, 0, 1).crop(pixels, "b").tobytes()


def test_collate_gives_pixels_and_tokens():
    file = io.BytesIO()
    Image.new("RGB", (40, 30), (255, 0, 10)).save(file, "PNG")
    samples = [
        {"uid": "a", "image": file.getvalue(), "text": "red"},
        {"uid": "b", "image": file.getvalue(), "text": ""},
    ]
    batch = Collate(8, tokens_of, 0, 0)(samples)
    assert batch["pixels"].shape == (2, 3, 8, 8) and batch["pixels"].dtype == torch.uint8
    assert batch["pixels"][1, :, 4, 4].tolist() == [255, 0, 10]
    assert (batch["tokens"].tolist(), batch["uid"]) == ([[3], [0]], ["a", "b"])


def batches(release, *, workers=0, start=0, epoch=0, **split_of):
    dataset = ManifestDataset(release, **split_of)
    return list(epoch_batches(dataset, Collate(8, tokens_of, 0, epoch), batch=16, start=start, workers=workers))


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_are_the_same_for_any_number_of_workers(release, workers):
    wanted, found = batches(release), batches(release, workers=workers)
    assert [b["uid"] for b in found] == [b["uid"] for b in wanted]
    assert all(torch.equal(f["pixels"], w["pixels"]) for f, w in zip(found, wanted))


def test_whole_batches_only_and_no_sample_twice(release):
    found = batches(release)
    uids = [uid for batch in found for uid in batch["uid"]]
    assert len(found) == batches_per_epoch(ManifestDataset(release), 16) == 3
    assert len(set(uids)) == 48
    assert [b["uid"] for b in batches(release, epoch=1)] != [b["uid"] for b in found]


def test_an_epoch_goes_on_where_it_was_left(release):
    assert [b["uid"] for b in batches(release, start=2)] == [b["uid"] for b in batches(release)][2:]
    assert batches(release, start=3) == []


def test_all_ranks_have_equally_many_batches(release):
    parts = [batches(release, rank=rank, world=3) for rank in range(3)]
    assert [len(part) for part in parts] == [1, 1, 1]
    assert len({uid for part in parts for batch in part for uid in batch["uid"]}) == 48
