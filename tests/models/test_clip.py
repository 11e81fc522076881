"""Vectors equal open_clip's own, and each row is a function of its own picture or caption to the last bit."""

import hashlib
import json
import os
import pathlib
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import save_file

from curation.errors import MissingModelError, RecipeError
from curation.models import clip as clips
from curation.models.clip import Clip, _loaded, digest, load, resolve

torch = pytest.importorskip("torch")
clips.ensure_torchvision()
open_clip = pytest.importorskip("open_clip")
from tests.small_clip import CONFIG, write_model  # noqa: E402 - needs the lines above

TEXTS = ["a dog", "", "two cats on a red sofa " * 3, "word " * 200, "Größe 42", "a dog in the snow, seen from above"]


@pytest.fixture(scope="module")
def name(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_model(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def clip(name: str) -> Clip:
    return load(name, "cpu")


@pytest.fixture(scope="module")
def reference(name: str) -> tuple:
    model, _, preprocess = open_clip.create_model_and_transforms(name)
    return model.eval(), preprocess, open_clip.get_tokenizer(name)


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    sizes = [(64, 64), (80, 200), (500, 333), (30, 31), (1, 1), (20, 1), (640, 480)] * 7
    return [draw.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in sizes[:41]]


def unit(rows: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(rows, dim=-1).numpy()


def test_images_equal_open_clip(clip: Clip, reference: tuple, pictures: list[np.ndarray]) -> None:
    model, preprocess, _ = reference
    with torch.inference_mode():
        wanted = unit(model.encode_image(torch.stack([preprocess(Image.fromarray(p)) for p in pictures])))
    found = clip.embed_images(pictures)
    assert found.dtype == np.float32 and found.shape == (41, clip.dim)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-6
    assert np.abs(found[0] - found[1]).max() > 1e-2  # the model tells pictures apart


@pytest.mark.parametrize("mode", ["squash", "longest"])
def test_other_preprocessing_equals_open_clip(tmp_path: pathlib.Path, pictures: list[np.ndarray], mode: str) -> None:
    config = {**CONFIG, "preprocess_cfg": {"resize_mode": mode, "interpolation": "bilinear", "fill_color": 9}}
    name = write_model(tmp_path, config)
    model, _, preprocess = open_clip.create_model_and_transforms(name)
    with torch.inference_mode():
        wanted = unit(model.eval().encode_image(torch.stack([preprocess(Image.fromarray(p)) for p in pictures[:4]])))
    found = load(name, "cpu")
    np.testing.assert_allclose(found.embed_images(pictures[:4]), wanted, atol=1e-5)
    assert found.describe()["preprocessing"]["resize_mode"] == mode


def test_texts_equal_open_clip(clip: Clip, reference: tuple) -> None:
    model, _, tokenizer = reference
    with torch.inference_mode():
        wanted = unit(model.encode_text(tokenizer(TEXTS)))
    assert clip.text_lengths == (16, 32, 77)
    np.testing.assert_allclose(clip.embed_texts(TEXTS), wanted, atol=1e-5)


def test_a_tower_that_sees_all_tokens_gets_all(tmp_path: pathlib.Path) -> None:
    text = {**CONFIG["model_cfg"]["text_cfg"], "no_causal_mask": True}
    name = write_model(tmp_path, {"model_cfg": {**CONFIG["model_cfg"], "text_cfg": text}})
    model = open_clip.create_model(name).eval()
    with torch.inference_mode():
        wanted = unit(model.encode_text(open_clip.get_tokenizer(name)(TEXTS)))
    found = load(name, "cpu")
    assert found.text_lengths == (77,)
    np.testing.assert_allclose(found.embed_texts(TEXTS), wanted, atol=1e-5)


def test_none_is_a_row_of_nan(clip: Clip, pictures: list[np.ndarray]) -> None:
    for found in (clip.embed_images([None, pictures[0], None]), clip.embed_texts([None, "a dog", None])):
        assert np.isnan(found).all(axis=1).tolist() == [True, False, True]
    assert clip.embed_images([]).shape == clip.embed_texts([]).shape == (0, clip.dim)
    assert np.isnan(clip.embed_texts([None])).all()


@pytest.fixture(scope="module")
def alone(clip: Clip, pictures: list[np.ndarray]) -> tuple[np.ndarray, list[str], np.ndarray]:
    """The vector of each picture and caption, embedded with no other."""
    texts = [f"{text} {i}" for i in range(4) for text in TEXTS]
    images = np.concatenate([clip.embed_images([picture]) for picture in pictures])
    return images, texts, np.concatenate([clip.embed_texts([text]) for text in texts])


@settings(deadline=None, derandomize=True, max_examples=10)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=40), st.lists(st.integers(0, 23), min_size=1, max_size=40))
def test_a_row_does_not_see_its_neighbours(
    clip: Clip, pictures: list[np.ndarray], alone: tuple, rows: list[int], lines: list[int]
) -> None:
    images, texts, captions = alone
    assert clip.embed_images([pictures[i] for i in rows]).tobytes() == images[rows].tobytes()
    assert clip.embed_texts([texts[i] for i in lines]).tobytes() == captions[lines].tobytes()


def test_the_number_of_threads_changes_no_bit(name: str, clip: Clip, pictures: list[np.ndarray]) -> None:
    before, threads = clip.embed_images(pictures), torch.get_num_threads()
    torch.set_num_threads(1 if threads > 1 else 2)
    try:
        assert clip.embed_images(pictures).tobytes() == before.tobytes()
    finally:
        torch.set_num_threads(threads)


def test_memory_that_runs_out_halves_the_batch(name: str, pictures: list[np.ndarray]) -> None:
    small = _loaded.__wrapped__(name, "cpu", None, ())
    whole, encode = small.embed_images(pictures), small.model.encode_image

    def fails_above_four(batch: torch.Tensor) -> torch.Tensor:
        if len(batch) > 4:
            raise torch.OutOfMemoryError("no memory")
        return encode(batch)

    small.model.encode_image = fails_above_four
    np.testing.assert_allclose(small.embed_images(pictures), whole, atol=1e-5)
    assert small.batch_size == small.describe()["batch_size"] == 4


def test_a_model_is_loaded_once_and_describes_itself(name: str, clip: Clip) -> None:
    assert load(name, "cpu") is clip
    told = clip.describe()
    assert json.loads(json.dumps(told)) == told
    weights = pathlib.Path(name.removeprefix("local-dir:"), "open_clip_model.safetensors")
    assert told["digest"] == digest(name) == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert (told["device"], told["precision"], told["batch_size"], told["dim"]) == ("cpu", "fp32", 16, 24)
    assert told["preprocessing"]["mean"] == [0.5, 0.4, 0.3]
    with pytest.raises(RecipeError, match=r"fp16.*fp32"):
        load(name, "cpu", "fp16")


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_an_architecture_with_a_weights_file(tmp_path: pathlib.Path, suffix: str) -> None:
    # A small architecture in open_clip's folder would be a change to the library, so the real one is named, unread.
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"")
    source = resolve(f"ViT-B-32@{path}")
    assert source.config["model_cfg"]["embed_dim"] == 512 and source.tokenizer == "ViT-B-32"
    small = clips.ModelSource(source.name, CONFIG, path, "ViT-B-32")
    torch.manual_seed(1)
    state = open_clip.CLIP(**CONFIG["model_cfg"]).state_dict()
    if suffix == ".pt":
        torch.save(state, path)
    else:
        save_file({k: v.numpy() for k, v in state.items()}, path)
    model, tokenizer = clips._build(small, "cpu")
    found = Clip(small, model, tokenizer, "cpu", "fp32").embed_texts(["a dog"])
    assert np.isfinite(found).all()


class Canary:
    def __reduce__(self) -> tuple:
        return (os.mkdir, (os.environ["CANARY"],))


def test_a_malicious_checkpoint_is_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", str(tmp_path / "canary"))
    (tmp_path / "x.pt").write_bytes(pickle.dumps({"state_dict": Canary()}))
    with pytest.raises(MissingModelError, match="does not load"):
        load(f"ViT-B-32@{tmp_path / 'x.pt'}", "cpu")
    assert not (tmp_path / "canary").exists()
