"""What write_shard wrote, read by the readers that others use, unchanged."""

import glob
import io
import json
import os
import tarfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from curation.shards.manifest import Release

SAMPLES = 20


@pytest.fixture
def release(make_release) -> Path:
    return make_release(samples=SAMPLES, per_shard=8)


@pytest.fixture
def wanted(release) -> dict[str, tuple[bytes, str, dict]]:
    return samples_of(release)


def samples_of(release: Path) -> dict[str, tuple[bytes, str, dict]]:
    """Image bytes, caption and record of each key, by the manifest's offsets."""
    opened = Release.open(str(release))
    found = {}
    for row in opened.samples().to_pylist():
        data, at, size = opened.open_tar(row["shard"]), row["offset"], row["bytes"]
        image, text, record = (data[at[m] : at[m] + size[m]] for m in ("image", "text", "json"))
        assert text.decode() == row["caption"]
        found[row["key"]] = (image, row["caption"], json.loads(record))
    assert len(found) == SAMPLES
    return found


def tars(release: Path) -> list[str]:
    return sorted(glob.glob(f"{release}/shards/*.tar"))


def image_of(sample: dict) -> bytes:
    return next(sample[e] for e in ("jpg", "png", "webp") if sample.get(e) is not None)


def test_tarfile(release, wanted):
    found = {}
    for path in tars(release):
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                found[info.name] = tar.extractfile(info).read()
    assert found == {
        name: data
        for key, (image, text, record) in wanted.items()
        for name, data in (
            (f"{key}.{record['format']}", image),
            (f"{key}.txt", text.encode()),
            (f"{key}.json", json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()),
        )
    }


def test_webdataset(release, wanted):
    wds = pytest.importorskip("webdataset")
    samples = list(wds.WebDataset(tars(release), shardshuffle=False))
    assert [s["__key__"] for s in samples] == list(wanted)
    assert {s["__key__"]: (image_of(s), s["txt"].decode(), json.loads(s["json"])) for s in samples} == wanted
    decoded = list(wds.WebDataset(tars(release), shardshuffle=False).decode("pilrgb"))
    assert all(s["txt"] == wanted[s["__key__"]][1] and s["json"] == wanted[s["__key__"]][2] for s in decoded)


@pytest.mark.parametrize("streaming", [True, False])
def test_huggingface_datasets(make_release, streaming, tmp_path, monkeypatch):
    """The shards of a release of one image format, as they are; of several: see the test below."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    release = make_release(samples=SAMPLES, per_shard=8, step=3)
    rows = datasets.load_dataset(
        "webdataset", data_files=tars(release), split="train", streaming=streaming, cache_dir=str(tmp_path / "cache")
    )
    rows = list(rows.cast_column("jpg", datasets.Image(decode=False)))
    assert len(tars(release)) == 3 and len(rows) == SAMPLES
    found = {row["__key__"]: (row["jpg"]["bytes"], row["txt"], _told(row["json"])) for row in rows}
    assert found == {key: (image, text, _told(record)) for key, (image, text, record) in samples_of(release).items()}


def _told(record: dict) -> dict:
    """Without the nulls, which that loader adds and leaves out."""
    return {name: value for name, value in record.items() if value is not None}


def test_huggingface_datasets_refuses_mixed_image_formats(release, tmp_path, monkeypatch):
    """A limit of that loader, told in the documentation: it wants the same members in each of the first samples."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    with pytest.raises(ValueError, match="don't share the same prefix or the same types"):
        datasets.load_dataset("webdataset", data_files=tars(release), split="train", streaming=True)


def test_huggingface_datasets_reads_the_manifest(release, wanted, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    files = sorted(glob.glob(f"{release}/manifest/samples/*.parquet"))
    rows = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert {r["key"]: r["caption"] for r in rows} == {key: text for key, (_, text, _) in wanted.items()}
    assert rows[0]["offset"]["image"] > 0 and rows[0]["clip_score"] == 0.25


def test_open_clip_training_loader(release, wanted):
    """open_clip's own webdataset pipeline: every sample, its pixels and its tokens."""
    pytest.importorskip("webdataset")
    from curation.models.clip import ensure_torchvision

    ensure_torchvision()
    data = pytest.importorskip("open_clip_train.data")
    args = SimpleNamespace(
        train_data="::".join(tars(release)), val_data="::".join(tars(release)), train_num_samples=None,
        val_num_samples=SAMPLES, train_data_upsampling_factors=None, dataset_resampled=False, seed=0,
        batch_size=4, workers=0, world_size=1,
    )  # fmt: skip
    info = data.get_wds_dataset(args, lambda image: [np.asarray(image)], is_train=False, tokenizer=lambda text: [text])
    found = {text: pixels for images, texts in info.dataloader for [pixels], text in zip(images, texts)}
    assert found.keys() == {text for _, text, _ in wanted.values()}
    for image, text, _ in wanted.values():
        assert np.array_equal(found[text], np.asarray(Image.open(io.BytesIO(image)).convert("RGB")))
    assert os.environ.get("WDS_EPOCH") is None or len(found) == SAMPLES
