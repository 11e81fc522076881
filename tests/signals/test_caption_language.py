"""The language of captions: labelled captions, short ones, those without letters; keys that follow the model."""

import gzip

import pyarrow as pa
import pytest

from curation.compute import evaluate
from curation.errors import MissingModelError, RecipeError
from curation.graph import Graph, placed
from curation.models import language
from curation.models.named import describe
from curation.signals.caption_language import caption_language
from curation.signals.caption_language_score import caption_language_score
from curation.signals.language_prediction import PREDICTION, language_prediction

FUNCTION = "tests.language_functions:by_script"


@pytest.fixture(scope="module")
def labelled(shared):
    def first(code, count):
        path = shared / "data" / "captions" / f"multi30k-task1-train.{code}.gz"
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return [next(file) for _ in range(count)]

    return first


@pytest.mark.parametrize("code", ["en", "de", "fr", "cs"])
def test_languages_of_labelled_captions(labelled, code):
    captions = labelled(code, 300)
    for texts in (captions, [text.upper() for text in captions], [text.title() for text in captions]):
        found = language_prediction(pa.array(texts))
        right = sum(each == code for each in caption_language(found).to_pylist())
        assert right >= 0.98 * len(texts)
        assert all(0 < score <= 1 for score in caption_language_score(found).to_pylist())


@pytest.mark.parametrize(("words", "least", "most"), [(1, 0.55, 0.7), (2, 0.8, 0.92), (4, 0.96, 0.99), (8, 0.98, 1)])
def test_short_captions_are_guesses_and_longer_ones_are_not(labelled, words, least, most):
    """The first words of captions in four languages: the fewer, the more are wrong; and the score says so."""
    pairs = [
        (" ".join(text.split()[:words]), code) for code in ("en", "de", "fr", "cs") for text in labelled(code, 250)
    ]
    found = language_prediction(pa.array([text for text, _ in pairs]))
    right = [one is not None and one["language"] == code for one, (_, code) in zip(found.to_pylist(), pairs)]
    assert least <= sum(right) / len(right) <= most
    sure = [r for r, one in zip(right, found.to_pylist()) if one is not None and one["score"] >= 0.8]
    assert sum(sure) / len(sure) > max(0.95, sum(right) / len(right) - 0.01)


def test_newlines_are_spaces_and_the_whole_caption_counts():
    one, other = language_prediction(pa.array(["ein Hund\nim Park", "ein Hund im Park"])).to_pylist()
    assert one == other
    tail = "Ein kleiner Hund läuft über die grüne Wiese und spielt mit einem Ball. " * 5
    found = language_prediction(pa.array(["a small dog runs on the grass " + tail]))
    assert caption_language(found).to_pylist() == ["de"]


@pytest.mark.parametrize("backend", ["fasttext", "langdetect", FUNCTION])
def test_without_letters_there_is_no_language(backend):
    captions = pa.array(["1234", "...", "", "🐕", "\n", None, "٣٤", "½ + ²", "a small dog in the park"])
    found = language_prediction(captions, backend=backend)
    assert caption_language(found).to_pylist()[:8] == [None] * 8
    assert caption_language_score(found).null_count == found.null_count == 8
    assert found.type == PREDICTION


def test_what_the_model_knows_nothing_of_has_no_language():
    assert language_prediction(pa.array(["猫", "ⵣⵣⵣ"])).to_pylist() == [None, None]
    found = language_prediction(pa.array(["?", "dog", "?dog", None]), backend=FUNCTION).to_pylist()
    assert found == [None, {"language": "la", "score": 0.75}, None, None]


@pytest.mark.parametrize("backend", ["fasttext", "langdetect", FUNCTION])
def test_a_row_does_not_see_its_neighbours(backend):
    captions = pa.array(["dog park", None, "le chat noir", "12", "Σκύλος", "猫", "photo of a cat", "ein Hund"])
    whole = language_prediction(captions, backend=backend)
    assert language_prediction(captions[3:], backend=backend).equals(whole[3:])
    one_by_one = [language_prediction(captions[i : i + 1], backend=backend) for i in range(len(captions))]
    assert pa.concat_arrays(one_by_one).equals(whole)
    assert len(language_prediction(captions[:0], backend=backend)) == 0


def test_the_key_follows_the_model_and_its_file(tmp_path):
    path = tmp_path / "lid.ftz"
    path.write_bytes(language._packaged().read_bytes())
    backends = ["fasttext", "langdetect", FUNCTION, f"fasttext:{path}"]
    keys = [Graph({"backend": b}).node("caption_language").key for b in backends]
    assert len(set(keys)) == 4 and Graph().node("caption_language").key == keys[0]
    path.write_bytes(path.read_bytes() + b"more")
    assert Graph({"backend": f"fasttext:{path}"}).node("caption_language").key not in keys
    told = describe("language", "fasttext")
    assert told == {"name": "fasttext", "digest": language.digest("fasttext")}


def test_a_task_in_another_folder_finds_the_model(tmp_path, monkeypatch):
    (tmp_path / "lid.ftz").write_bytes(language._packaged().read_bytes())
    monkeypatch.chdir(tmp_path)
    node = placed(Graph({"backend": "fasttext:lid.ftz"}).node("language_prediction"))
    monkeypatch.chdir("/")
    found = evaluate([node], {"caption": pa.array(["ein Hund im Park"])}, 1)[node.column]
    assert found.to_pylist()[0]["language"] == "de"
    assert placed(Graph({"backend": FUNCTION}).node("language_prediction")).settings == (("backend", FUNCTION),)


@pytest.mark.parametrize(
    ("backend", "error"),
    [("cld2", RecipeError), ("fasttext:/no/such.bin", MissingModelError), ("no_such:predict", MissingModelError)],
)
def test_a_model_that_is_not_there_is_refused_when_the_recipe_is_read(backend, error):
    with pytest.raises(error):
        Graph({"backend": backend}).node("caption_language")
