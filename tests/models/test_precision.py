"""8 bits on a CPU: close to 32, row by row. The device of a task and its batch. The faster resizing."""

import numpy as np
import pytest
from PIL import Image

from curation.errors import RecipeError
from curation.models import device

torch = pytest.importorskip("torch")
from curation.models.clip import _loaded, ensure_torchvision, here, load  # noqa: E402 - needs the line above


@pytest.fixture(scope="module")
def pictures():
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in [(64, 64), (90, 200), (30, 31), (1, 1)] * 9]


def test_eight_bits_are_close_and_rows_alone(model, pictures):
    exact, quick = load(model, "cpu"), load(model, "cpu", "int8")
    texts = ["a dog", "", "word " * 100, None, "two cats on a sofa"]
    for wanted, found in (
        (exact.embed_images(pictures), quick.embed_images(pictures)),
        (exact.embed_texts(texts[:3]), quick.embed_texts(texts[:3])),
    ):
        cosines = (wanted * found).sum(axis=1)
        assert (cosines > 0.99).all() and (cosines < 1 - 1e-7).any()
    order = np.random.default_rng(1).permutation(len(pictures))[:21]
    mixed = quick.embed_images([pictures[i] for i in order])
    assert mixed.tobytes() == quick.embed_images(pictures)[order].tobytes()
    assert np.isnan(quick.embed_texts(texts)[3]).all()
    assert quick.describe()["precision"] == "int8" and exact.describe()["precision"] == "fp32"


def test_half_precision_is_for_gpus(model):
    for precision in ("fp16", "bf16"):
        with pytest.raises(RecipeError, match=r"no precision .* on cpu; known there"):
            load(model, "cpu", precision)


def test_the_first_gpu_of_the_task_is_taken(monkeypatch):
    from pyspark.resource import ResourceInformation
    from pyspark.taskcontext import TaskContext

    assert device.task_addresses() == []
    monkeypatch.setattr(TaskContext, "_taskContext", None)  # put back at the end: a new one is the current one
    TaskContext()._resources = {"gpu": ResourceInformation("gpu", ["1", "0"])}
    assert device.task_addresses() == ["1", "0"]
    assert device.device_index(device.task_addresses(), None, 2) == 1


def test_threads_are_those_of_the_task(monkeypatch):
    from pyspark.taskcontext import TaskContext

    from curation.images import threads

    monkeypatch.setattr(TaskContext, "_taskContext", None)  # put back at the end: a new one is the current one
    TaskContext()._cpus = 7
    monkeypatch.delenv("CURATION_THREADS", raising=False)
    assert threads() == 7
    monkeypatch.setenv("CURATION_THREADS", "2")
    assert threads() == 2


@pytest.mark.parametrize("name, wanted", [("ViT-B-32", 128), ("ViT-B-16", 64), ("ViT-L-14", 16), ("RN50", 128)])
def test_the_batch_of_a_gpu_is_found_by_the_models_arithmetic(name, wanted):
    ensure_torchvision()
    import open_clip

    settings = open_clip.get_model_config(name)
    with torch.device("meta"):  # shapes without weights
        towers = open_clip.model.CLIP(settings["embed_dim"], settings["vision_cfg"], settings["text_cfg"]).eval()
    assert device.gpu_batch(towers, "meta") == wanted


def test_fast_resizing_is_a_grey_level_from_pillows(model):
    clip = load(model, "cpu")
    draw = np.random.default_rng(2)
    for height, width in ((64, 64), (65, 300), (700, 450), (64, 100), (30, 20), (1, 9), (401, 64)):
        coarse = draw.integers(0, 256, (1 + height // 9, 1 + width // 9, 3), dtype=np.uint8)
        image = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
        exact, fast = clip.fit_exactly(image), clip.fit_fast(image)
        assert fast.shape == exact.shape == (64, 64, 3)
        assert np.abs(exact.astype(int) - fast).max() <= 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision, least", [("fp32", 0.9999), ("fp16", 0.999), ("bf16", 0.99)])
def test_a_gpu_gives_the_same_vectors(model, pictures, precision, least):
    wanted, found = load(model, "cpu").embed_images(pictures), here(model, precision)
    assert found.device.startswith("cuda") and found.describe()["device"] == "cuda"
    rows = found.embed_images(pictures)
    assert ((rows * wanted).sum(axis=1) > least).all()
    assert found.embed_images(pictures[7:8]).tobytes() == rows[7:8].tobytes()
    with pytest.raises(RecipeError, match=r"no precision"):
        here(model, "int8")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_memory_that_runs_out_on_a_gpu_halves_the_batch(model, pictures):
    found = _loaded.__wrapped__(model, "cuda:0", "fp32", ())
    whole, encode = found.embed_images(pictures), found.model.encode_image

    def greedy(batch):
        if len(batch) > 16:
            torch.empty(1 << 50, dtype=torch.uint8, device=batch.device)
        return encode(batch)

    found.model.encode_image = greedy
    np.testing.assert_allclose(found.embed_images(pictures), whole, atol=1e-4)
    assert found.batch_size == 16
