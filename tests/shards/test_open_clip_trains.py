"""open_clip's own training loader, preprocessing, tokenizer and loss take the shards as they are."""

from types import SimpleNamespace

import pytest

from curation.models.clip import ensure_torchvision
from curation.shards.manifest import Release
from tests.small_clip import CONFIG

BATCH = 4


def test_open_clip_trains_on_the_shards(release):
    pytest.importorskip("webdataset")
    ensure_torchvision()
    import open_clip
    import torch

    data = pytest.importorskip("open_clip_train.data")
    tars = [f"{release}/{tar['name']}" for tar in Release.open(release).tars]
    args = SimpleNamespace(
        train_data="::".join(tars), val_data=None, train_num_samples=2 * BATCH, val_num_samples=None,
        train_data_upsampling_factors=None, dataset_resampled=True, seed=0, batch_size=BATCH, workers=1, world_size=1,
    )  # fmt: skip
    model = open_clip.CLIP(**CONFIG["model_cfg"])
    transform = open_clip.image_transform(64, is_train=True)
    info = data.get_wds_dataset(args, transform, is_train=True, tokenizer=open_clip.get_tokenizer("ViT-B-32"))
    loss_of, optimizer = open_clip.ClipLoss(), torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for images, texts in info.dataloader:
        loss = loss_of(*model(images, texts))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert len(losses) == 2 and all(0 < value < 10 for value in losses)
