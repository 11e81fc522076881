"""CLIPScore, answers of models, tokens by fastText, formats: signals against the recorded values and plain rules."""

import json

import numpy as np
import pyarrow as pa
import pytest

from curation.errors import MissingModelError, RecipeError
from curation.graph import Graph
from curation.methods import clip_score_report
from curation.methods.scores import PREFIX
from curation.models import functions
from curation.schema import CAPTIONS
from curation.signals import SIGNALS
from curation.vectors import from_matrix

PICTURE = np.zeros((4, 4, 3), np.uint8)


def test_tokens_of_the_reference(shared):
    oracle = json.loads((shared / "oracles" / "datacomp_baselines_small.json").read_text())
    texts = pa.array([row["text"] for row in oracle["rows"]])
    tokens = SIGNALS["caption_fasttext_tokens"](texts).to_pylist()
    assert tokens == [len(row["fasttext_tokens"]) for row in oracle["counts"]]
    chars = SIGNALS["caption_chars"](texts).to_pylist()
    mask = [n > 1 and c > 5 and row["lang"] == "en" for n, c, row in zip(tokens, chars, oracle["rows"])]
    assert mask == oracle["caption_filter_mask(image_based pre-filter)"]


@pytest.fixture(scope="module")
def embedded(model):
    """Captions, references, a vector each for a picture, and what is embedded of them."""
    captions = pa.array(["a dog", "a cat", None, "a red house", "a tree"])
    texts = [["some dog", "one hound"], None, ["x"], [], ["a leaf", "a tree", None]]
    entry = {"kind": "reference", "model": None, "language": None, "negative": None}
    further = [None if t is None else [entry | {"text": text} for text in t] for t in texts]
    further[4][1]["negative"] = True
    prefixed = SIGNALS["prefixed_caption_embedding"](captions, clip=model)
    near = [[0.0] * 24 if vector is None else vector for vector in prefixed.to_pylist()]
    images = from_matrix(np.array(near, float) + np.random.default_rng(0).normal(size=(5, 24)) * 0.1)
    return captions, pa.array(further, CAPTIONS), images, prefixed


def test_clip_score_with_references(embedded, model):
    from curation.models.clip import load

    captions, further, images, prefixed = embedded
    clip = load(model)
    texts = [None if c is None else PREFIX + c for c in captions.to_pylist()]
    assert prefixed.equals(from_matrix(clip.embed_texts(texts)))
    found = SIGNALS["clip_s"](images, prefixed).to_pylist()
    vectors = np.array([v if v is not None else [np.nan] * 24 for v in prefixed.to_pylist()], np.float64)
    pictures = np.array(images.to_pylist(), np.float64)
    whole = [0, 1, 3, 4]
    wanted = clip_score_report(pictures[whole], vectors[whole])["clip_s"]
    np.testing.assert_allclose([found[i] for i in whole], wanted, atol=1e-6)
    assert found[2] is None
    references = [clip.embed_texts([PREFIX + t for t in each]) for each in (["some dog", "one hound"], ["a leaf"])]
    for rule in ("paper", "code"):
        scores = SIGNALS["refclip_s"](further, images, prefixed, clip=model, rule=rule).to_pylist()
        wanted = clip_score_report(pictures[[0, 4]], vectors[[0, 4]], references)[f"refclip_s_{rule}"]
        np.testing.assert_allclose([scores[0], scores[4]], wanted, atol=1e-6)
        assert scores[1:4] == [None, None, None]
        for i in range(5):  # a row does not see its neighbours
            alone = SIGNALS["refclip_s"](
                further[i : i + 1], images[i : i + 1], prefixed[i : i + 1], clip=model, rule=rule
            )
            assert alone.to_pylist() == [scores[i]]


SCORER = '''
def score(pictures, captions, metric):
    """What it is asked is in what it answers."""
    assert all(p.ndim == 3 for p in pictures)
    return [f"{len(caption) + (metric == 'semantic_understanding')}\\nbecause" for caption in captions]

def words(pictures, captions, metric):
    return ["about 60"] * len(captions)

def short(pictures, captions, metric):
    return captions[1:]

number = 7
'''


@pytest.fixture
def scorer(tmp_path):
    (tmp_path / "scorer.py").write_text(SCORER)
    return f"{tmp_path}/scorer.py:"


def test_a_model_is_asked_of_what_is_there(scorer):
    captions, pictures = pa.array(["abc", None, "ab" * 60, "x"]), [PICTURE, PICTURE, PICTURE, None]
    ask = SIGNALS["mlm_score"]
    assert ask(captions, pictures, mlm=scorer + "score").to_pylist() == [3, None, None, None]  # 120 is no score
    found = ask(captions, pictures, mlm=scorer + "score", metric="semantic_understanding")
    assert found.to_pylist() == [4, None, None, None] and found.type == pa.int32()
    assert ask(captions, pictures, mlm=scorer + "words").to_pylist() == [None] * 4
    assert ask(captions[:0], [], mlm=scorer + "score").to_pylist() == []
    with pytest.raises(RecipeError, match="wanted a list of 2 answers, found 1 values"):
        ask(captions, pictures, mlm=scorer + "short")


@pytest.mark.parametrize(
    ("name", "error"), [("none", MissingModelError), ("number", MissingModelError), ("", RecipeError)]
)
def test_a_scorer_that_is_none_is_refused_with_the_recipe(scorer, name, error):
    table = {"of": "mlm_score", "metric": "image_text_matching"}
    with pytest.raises(error, match="scorer"):
        Graph({"mlm": scorer + name, "itm": table}).node("itm")
    with pytest.raises(RecipeError, match="setting mlm must be given"):
        Graph({"itm": table}).node("itm")


def test_the_source_of_a_scorer_is_in_the_key(scorer, tmp_path):
    keys = [Graph({"mlm": scorer + "score"}).node("mlm_score").key for _ in range(2)]
    (tmp_path / "scorer.py").write_text(SCORER.replace("+ (metric", "+ 1 + (metric"))
    keys.append(Graph({"mlm": scorer + "score"}).node("mlm_score").key)
    assert keys[0] == keys[1] != keys[2]
    assert functions.absolute_name("tests.language_functions:predict") == "tests.language_functions:predict"


def test_the_drop_of_a_score_is_null_where_one_is():
    scores = pa.array([0.5, 0.25, None], pa.float32()), pa.array([0.5, None, 0.1], pa.float32())
    assert SIGNALS["number_masked_score_drop"](*scores).to_pylist() == [0.0, None, None]


def test_keys_of_other_data_sets(shared):
    rows = json.loads((shared / "oracles" / "hashes_small.json").read_text())["hashes"]
    urls, texts = (pa.array([row[name] for row in rows]) for name in ("url", "text"))
    for signal, recorded in (("datacomp_uid", "cc2dataset_uid = md5(alt+url)"), ("laion_hash", "laion5B_hash")):
        wanted = [next(v for k, v in row.items() if k.startswith(recorded)) for row in rows]
        assert SIGNALS[signal](urls, texts).to_pylist() == wanted
        nothing = pa.nulls(len(rows), pa.string())
        assert SIGNALS[signal](nothing, texts).null_count == SIGNALS[signal](urls, nothing).null_count == len(rows)
