"""The mirrored score and the mean over checkpoints; which input a setting of a signal chooses."""

import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from curation.compute import evaluate
from curation.errors import RecipeError
from curation.graph import Graph
from curation.images import ImageBatch
from curation.signals import SIGNALS
from curation.vectors import as_matrix

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    from tests.small_clip import CONFIG, write_model

    changed = {**CONFIG, "preprocess_cfg": {"mean": [0.1, 0.2, 0.3]}}
    return write_model(tmp_path_factory.mktemp("second"), changed)


def picture(width, height, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (max(2, height // 40), max(2, width // 40), 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG", quality=95)
    return file.getvalue()


def values(name, settings, encoded, captions):
    node = Graph(settings).node(name)
    batch = ImageBatch(encoded)
    given = {n: batch.decoded(n) for n in node.raw if n.startswith("pixels")} | {"caption": pa.array(captions)}
    return evaluate([node], given, len(encoded))[node.column]


def test_the_mirrored_score_is_that_of_the_mirrored_picture(model):
    upright = picture(90, 70)
    pixels = np.asarray(Image.open(io.BytesIO(upright)))
    flipped = SIGNALS["flipped_image_embedding"]([pixels, None], clip=model)
    mirrored = SIGNALS["image_embedding"]([np.ascontiguousarray(pixels[:, ::-1]), None], clip=model)
    assert flipped.to_pylist() == mirrored.to_pylist() and flipped.to_pylist()[1] is None
    captions = pa.array(["a dog", "a cat"])
    found = values("flipped_clip_score", {"clip": model}, [upright, b"no picture"], captions)
    vectors = SIGNALS["caption_embedding"](captions, clip=model)
    assert found.to_pylist() == SIGNALS["clip_score"](mirrored, vectors).to_pylist()
    assert found.to_pylist()[0] != values("clip_score", {"clip": model}, [upright], ["a dog"]).to_pylist()[0]


def test_the_mean_is_over_the_scores_of_each_checkpoint(model, second):
    encoded, captions = [picture(80, 90, seed) for seed in range(3)] + [b"no picture"], ["a", "dog", "", "cat"]
    each = [values("clip_score", {"clip": name}, encoded, captions).to_pylist() for name in (model, second)]
    found = values("mean_clip_score", {"checkpoints": [model, second]}, encoded, captions).to_pylist()
    assert each[0] != each[1]
    wanted = [None if a is None else float(np.float32((np.float64(a) + b) / 2)) for a, b in zip(*each)]
    assert found == wanted and found[3] is None
    alone = values("mean_clip_score", {"checkpoints": [second], "clip": model}, encoded, captions)
    assert alone.to_pylist() == each[1]


def test_checkpoints_are_a_list_of_models(model, second):
    keys = {Graph({"checkpoints": list(names)}).node("mean_clip_score").key for names in [(model,), (model, second)]}
    assert len(keys) == 2
    with pytest.raises(RecipeError, match="checkpoints must be given"):
        Graph().node("mean_clip_score")
    for wrong in ("sample-clip", [], [1]):
        with pytest.raises(RecipeError, match="wanted a list of names"):
            Graph({"checkpoints": wrong}).node("mean_clip_score")


@pytest.mark.parametrize("decode, name", [("full", "pixels_bounded"), ("scaled", "pixels_small"), ("exact", "pixels")])
def test_a_setting_chooses_the_decode(model, decode, name):
    node = Graph({"clip": model, "decode": decode}).node("image_embedding")
    assert node.inputs == (name,) and node.level == "image"
    keys = {Graph({"clip": model, "decode": d}).node("clip_score").key for d in ("full", "scaled", "exact")}
    assert len(keys) == 3
    with pytest.raises(RecipeError, match="no decode"):
        Graph({"clip": model, "decode": "none"}).node("clip_score")


def test_a_scaled_decode_must_fill_the_model(tmp_path):
    from tests.small_clip import CONFIG, write_model

    vision = {**CONFIG["model_cfg"]["vision_cfg"], "image_size": 464}
    name = write_model(tmp_path, {**CONFIG, "model_cfg": {**CONFIG["model_cfg"], "vision_cfg": vision}})
    with pytest.raises(RecipeError, match="reads 464 px, decode = 'scaled' gives 448"):
        Graph({"clip": name, "decode": "scaled"}).node("clip_score")
    assert Graph({"clip": name}).node("clip_score")


def test_precision_is_part_of_the_key(model):
    names = ("image_embedding", "caption_embedding", "number_masked_clip_score", "captions_clip_score")
    for name in names:
        keys = {Graph({"clip": model, "precision": p}).node(name).key for p in ("fp32", "int8", "fp16", "bf16")}
        assert len(keys) == 4, name
    assert Graph({"clip": model, "precision": "fp32"}).node(names[0]).key == Graph({"clip": model}).node(names[0]).key


def test_each_decode_is_close_to_the_exact_one(model):
    encoded = [picture(2400, 1900), picture(950, 1000), picture(70, 200)]
    found = {
        decode: as_matrix(values("image_embedding", {"clip": model, "decode": decode}, encoded, [None] * 3))[0]
        for decode in ("full", "scaled", "exact")
    }
    for decode, least in (("full", 0.9995), ("scaled", 0.999)):
        cosines = (found[decode] * found["exact"]).sum(axis=1)
        assert (cosines > least).all(), decode
