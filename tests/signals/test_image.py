"""Signals of pictures and of CLIP vectors, on real files and on real (if small) models."""

import hashlib
import io
import json

import numpy as np
import pdqhash
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from curation.errors import MissingModelError, SchemaError
from curation.images import ImageBatch
from curation.signals import SIGNALS
from curation.vectors import as_matrix, cosine, from_binary, from_matrix, to_binary

OWN = [
    "image_width_px",
    "image_height_px",
    "image_min_side_px",
    "image_aspect",
    "image_bytes",
    "image_sha256",
    "image_phash",
    "image_embedding",
    "caption_embedding",
    "clip_score",
    "number_masked_clip_score",
]


def saved(image: Image.Image, kind: str = "JPEG", **settings: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


def shapes(width: int, height: int, seed: int) -> Image.Image:
    colours = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def batch() -> ImageBatch:
    exif = Image.Exif()
    exif[0x0112] = 6
    wide = shapes(1200, 400, 0)
    return ImageBatch(
        [saved(wide), saved(wide, exif=exif), saved(shapes(31, 10, 1), "PNG"), b"<html>", None, saved(wide)[:2000]]
    )


@pytest.fixture(scope="module")
def name(tmp_path_factory: pytest.TempPathFactory) -> str:
    pytest.importorskip("torch")
    from tests.small_clip import write_model

    return write_model(tmp_path_factory.mktemp("clip"))


def encoded(batch: ImageBatch) -> pa.Array:
    return pa.array(batch.encoded, pa.binary())


def test_size(batch: ImageBatch) -> None:
    width, height = SIGNALS["image_width_px"](encoded(batch)), SIGNALS["image_height_px"](encoded(batch))
    assert width.to_pylist() == [1200, 400, 31, None, None, 1200]
    assert height.to_pylist() == [400, 1200, 10, None, None, 400]
    assert width.type == height.type == SIGNALS["image_width_px"].spec.type
    assert SIGNALS["image_min_side_px"](width, height).to_pylist() == [400, 400, 10, None, None, 400]
    aspect = SIGNALS["image_aspect"](width, height)
    assert aspect.to_pylist() == [3.0, 3.0, np.float32(3.1), None, None, 3.0]
    assert aspect.type == pa.float32()


@given(st.integers(1, 30_000), st.integers(1, 20))
def test_a_whole_aspect_is_exact(side: int, aspect: int) -> None:
    sides = pa.array([side], pa.int32()), pa.array([side * aspect], pa.int32())
    assert SIGNALS["image_aspect"](*sides).to_pylist() == SIGNALS["image_aspect"](*sides[::-1]).to_pylist() == [aspect]


def test_bytes_and_digest_are_of_any_file(batch: ImageBatch) -> None:
    data = encoded(batch)
    assert SIGNALS["image_bytes"](data).to_pylist() == [None if d is None else len(d) for d in batch.encoded]
    wanted = [None if d is None else hashlib.sha256(d).hexdigest() for d in batch.encoded]
    assert SIGNALS["image_sha256"](data).to_pylist() == wanted
    assert SIGNALS["image_sha256"](data.slice(2)).to_pylist() == wanted[2:]


def textured(seed: int) -> Image.Image:
    """Blobs of four sizes: PDQ hashes the detail, of which smooth blobs have none."""
    draw = np.random.default_rng(seed)
    layers = [draw.integers(0, 256, (n, n, 3), dtype=np.uint8) for n in (4, 9, 20, 45)]
    sized = [np.asarray(Image.fromarray(layer).resize((900, 700), Image.Resampling.BICUBIC), float) for layer in layers]
    return Image.fromarray(np.mean(sized, axis=0).astype(np.uint8))


def test_phash_is_close_for_copies_and_far_for_others(batch: ImageBatch) -> None:
    picture = textured(3)
    items = [picture, picture.resize((450, 350)), picture.convert("L"), textured(4)]
    copies = ImageBatch([saved(i, quality=q) for i, q in zip(items, (95, 40, 90, 95))])
    hashes = SIGNALS["image_phash"](copies.pixels_bounded).to_pylist()
    assert [len(h) for h in hashes] == [32] * 4
    bits = [np.unpackbits(np.frombuffer(h, np.uint8)) for h in hashes]
    distances = [int((bits[0] != b).sum()) for b in bits]
    assert max(distances[1:3]) <= 31 and distances[3] > 80
    squeezed = np.array(Image.fromarray(copies.pixels_bounded[0]).resize((256, 256), Image.Resampling.BILINEAR))
    assert (bits[0] == pdqhash.compute(squeezed)[0]).all()
    assert [h is None for h in SIGNALS["image_phash"](batch.pixels_bounded).to_pylist()] == [False] * 3 + [True] * 3


def test_embeddings_are_unit_vectors_or_null(batch: ImageBatch, name: str) -> None:
    images = SIGNALS["image_embedding"](batch.pixels_bounded, clip=name)
    texts = SIGNALS["caption_embedding"](pa.array(["a dog", None, ""]), clip=name)
    assert images.type == texts.type == pa.list_(pa.float16(), 24)
    assert images.is_null().to_pylist() == [False, False, False, True, True, True]
    assert texts.is_null().to_pylist() == [False, True, False]
    for vectors in (images, texts):
        matrix, valid = as_matrix(vectors)
        assert np.abs(np.linalg.norm(matrix[valid], axis=1) - 1).max() < 1e-3
    assert cosine(*as_matrix(images)[0][[0, 2]][:, None])[0] < 0.9999  # it tells pictures apart


def test_a_missing_model_is_said(batch: ImageBatch) -> None:
    with pytest.raises(MissingModelError, match="local-dir:DIR"):
        SIGNALS["image_embedding"](batch.pixels_bounded, clip="nosuch")


def test_clip_score_is_the_cosine_of_clipscore(shared: object) -> None:
    oracle = json.loads((shared / "oracles/clipscore_small.json").read_text())
    images, texts = (np.array(oracle[key]) for key in ("image", "caption"))
    scores = SIGNALS["clip_score"](from_matrix(images), from_matrix(texts)).to_pylist()
    np.testing.assert_allclose([2.5 * max(s, 0) for s in scores], oracle["clip_s"], atol=2e-3)  # float16 vectors
    np.testing.assert_allclose(2.5 * np.maximum(cosine(images, texts), 0), oracle["clip_s"], atol=1e-6)


@pytest.mark.parametrize("form", [lambda v: v, to_binary])
def test_clip_score_is_null_for_what_is_no_vector(form: object) -> None:
    good = [0.6, 0.8]
    rows = np.array([good, [0.0, 0.0], good, [np.nan, 1.0], good])
    other = from_matrix(np.array([good, good, [np.inf, 0.0], good, [-0.6, -0.8]]))
    assert SIGNALS["clip_score"](form(from_matrix(rows)), form(other)).to_pylist() == [1.0, None, None, None, -1.0]
    raw = np.array(rows, "<f2")  # NaN inside binary, as a foreign table may hold it
    binary = pa.array([row.tobytes() for row in raw[:-1]] + [b"\0"], pa.binary())
    assert SIGNALS["clip_score"](binary, form(other)).is_null().to_pylist() == [False, True, True, True, True]


def test_vectors_of_two_models_are_refused() -> None:
    with pytest.raises(SchemaError, match=r"2 numbers.*3"):
        SIGNALS["clip_score"](from_matrix(np.ones((1, 2))), from_matrix(np.ones((1, 3))))
    with pytest.raises(SchemaError, match="float"):
        SIGNALS["clip_score"](pa.array([1.0]), from_matrix(np.ones((1, 3))))


@given(st.permutations(range(12)), st.integers(1, 12))
def test_a_score_does_not_see_its_neighbours(order: list[int], count: int) -> None:
    draw = np.random.default_rng(0)
    images, texts = (from_matrix(draw.normal(size=(12, 700))) for _ in range(2))
    rows = pa.array(order[:count])
    whole = SIGNALS["clip_score"](images, texts).take(rows)
    assert SIGNALS["clip_score"](images.take(rows), texts.take(rows)).equals(whole)


def test_number_masked_clip_score(name: str) -> None:
    pictures = from_matrix(np.random.default_rng(0).normal(size=(5, 24)))
    captions = pa.array(["a dog", "a dog in 2019", None, "7 cats", "x"])
    masked = pa.array(["a dog", "a dog in [NUM]", None, None, "x"])
    vectors = SIGNALS["caption_embedding"](captions, clip=name)
    given_null = pa.array([True, True, True, True, False])
    pictures = pa.FixedSizeListArray.from_arrays(pictures.values, 24, mask=pa.array(~given_null.to_numpy(False)))
    scores = SIGNALS["number_masked_clip_score"](captions, masked, pictures, vectors, clip=name).to_pylist()
    plain = SIGNALS["clip_score"](pictures, vectors).to_pylist()
    again = SIGNALS["clip_score"](pictures, SIGNALS["caption_embedding"](masked, clip=name)).to_pylist()
    assert scores == again
    assert scores[0] == plain[0] and scores[1] != plain[1] and scores[2:] == [None, None, None]
    as_binary = SIGNALS["number_masked_clip_score"](
        captions, masked, to_binary(pictures), to_binary(vectors), clip=name
    )
    assert as_binary.to_pylist() == scores


@given(st.lists(st.none() | st.lists(st.floats(width=16, allow_nan=False), min_size=3, max_size=3)))
def test_vectors_keep_their_bits_through_binary(rows: list) -> None:
    vectors = pa.array(rows, pa.list_(pa.float16(), 3))
    assert from_binary(to_binary(vectors), 3).to_pylist() == vectors.to_pylist()
    assert to_binary(vectors.slice(1)).to_pylist() == to_binary(vectors).to_pylist()[1:]


@pytest.mark.parametrize("signal", OWN)
def test_an_empty_batch_gives_an_empty_array(signal: str, name: str) -> None:
    function = SIGNALS[signal]
    empty = {"encoded": pa.array([], pa.binary()), "caption": pa.array([], pa.string()), "pixels_bounded": []}
    empty |= {"pixels_bounded": []}
    empty |= {"number_masked_caption": empty["caption"], "image_embedding": empty["encoded"]}
    empty |= {"caption_embedding": empty["encoded"]} | dict.fromkeys(
        ("image_width_px", "image_height_px"), pa.array([], pa.int32())
    )
    settings = dict.fromkeys(function.spec.models, name)
    found = function(*(empty[read] for read in function.spec.reads), **settings)
    assert len(found) == 0
    assert found.type in (function.spec.type, pa.list_(pa.float16(), 24))
