"""Vectors of captions beyond the context: the mean over windows as ClipMD's arithmetic gives it, and ours."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pytest

from curation.errors import RecipeError
from curation.graph import Graph
from curation.methods import caption_windows
from curation.signals.clip_score import number_masked_clip_score
from curation.signals.embedding import caption_embedding
from curation.vectors import as_matrix

torch = pytest.importorskip("torch")
from curation.models import clip as clips  # noqa: E402 - needs the line above

clips.ensure_torchvision()
open_clip = pytest.importorskip("open_clip")
from tests.small_clip import CONFIG, write_model  # noqa: E402 - needs the lines above

PHRASE = "a dog and seven cats on the red sofa in a garden with old trees near the sea at noon , seen from above"
WORDS = PHRASE.split()
# Words of one token each: 75 give 77 tokens, 76 give 78, 145 give 147 where ClipMD adds a redundant window.
COUNTS = (0, 1, 14, 75, 76, 100, 143, 144, 145, 146, 215, 400)


def caption(count):
    return " ".join(WORDS[i * 7 % len(WORDS)] for i in range(count))


TEXTS = [caption(count) for count in COUNTS]


@pytest.fixture(scope="module")
def name(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def clip(name):
    return clips.load(name, "cpu")


@pytest.fixture(scope="module")
def reference(name):
    """Mean of the projected vectors of token rows, then unit length, by open_clip's own model."""
    model = open_clip.create_model(name).eval()

    def mean(rows):
        with torch.inference_mode():
            vectors = model.encode_text(torch.tensor(rows))
        return torch.nn.functional.normalize(vectors.mean(dim=0), dim=0).numpy()

    return mean


def stream(clip, text):
    tokenizer = clip.tokenizer
    return [tokenizer.sot_token_id, *tokenizer.encode(text), tokenizer.eot_token_id]


def test_captions_have_the_lengths_they_are_made_for(clip):
    assert [len(stream(clip, text)) - 2 for text in TEXTS] == list(COUNTS)


def test_clipmd_as_the_reference_computes_it(clip, reference):
    found = clip.embed_texts(TEXTS, "clipmd")
    for text, vector in zip(TEXTS, found):
        ids = stream(clip, text)
        rows = []
        if len(ids) > 77:
            rows = torch.tensor(ids).unfold(0, 77, 70).tolist()
        rest = ids[len(rows) * 70 :]
        rows.append(rest + [49407] * (77 - len(rest)))
        np.testing.assert_allclose(vector, reference(rows), atol=1e-5)


def test_ours_gives_each_window_both_special_tokens(clip, reference):
    found = clip.embed_texts(TEXTS, "content")
    for text, vector in zip(TEXTS, found):
        ids = stream(clip, text)
        windows = [[49406, *ids[a:b], 49407] for a, b in caption_windows(len(ids), "content")]
        np.testing.assert_allclose(vector, reference([w + [0] * (77 - len(w)) for w in windows]), atol=1e-5)
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-6


def test_within_the_context_nothing_changes_and_beyond_it_does(clip):
    off = clip.embed_texts(TEXTS)
    for mode in ("content", "clipmd"):
        found = clip.embed_texts(TEXTS, mode)
        short = [count <= 75 for count in COUNTS]
        assert found[short].tobytes() == off[short].tobytes()
        assert (np.abs(found - off).max(axis=1)[np.invert(short)] > 1e-4).all()


def test_words_beyond_the_context_count_only_with_windows(clip):
    start, ends = caption(75), (" a red boat", " three green apples")
    assert len(set(map(bytes, clip.embed_texts([start + end for end in ends])))) == 1
    for mode in ("content", "clipmd"):
        assert len(set(map(bytes, clip.embed_texts([start + end for end in ends], mode)))) == 2


@pytest.mark.parametrize("mode", ["content", "clipmd"])
def test_a_row_does_not_see_its_neighbours(clip, mode):
    whole = clip.embed_texts([*TEXTS, None], mode)
    assert np.isnan(whole[-1]).all()
    alone = np.concatenate([clip.embed_texts([text], mode) for text in TEXTS])
    assert alone.tobytes() == whole[:-1].tobytes()
    assert clip.embed_texts(TEXTS[::-1], mode).tobytes() == whole[:-1][::-1].tobytes()


def test_more_captions_than_are_cut_at_once(clip, monkeypatch):
    from curation.models import clip_windows

    whole = clip.embed_texts(TEXTS, "content")
    monkeypatch.setattr(clip_windows, "_CAPTIONS", 5)
    assert clip.embed_texts(TEXTS, "content").tobytes() == whole.tobytes()


def test_the_tower_of_a_shorter_context_has_windows_of_its_own(reference):
    model = clips.load("sample-clip", "cpu")
    texts = [caption(30), caption(31), caption(200)]
    off, found = model.embed_texts(texts), model.embed_texts(texts, "content")
    assert found[0].tobytes() == off[0].tobytes() and found[1].tobytes() != off[1].tobytes()
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-6


def test_real_long_captions_come_nearer_to_what_their_halves_say(clip, shared):
    """With windows the vector of two descriptions in a row lies between theirs; cut off, it is the first one's."""
    with gzip.open(shared / "data" / "captions" / "imageinwords-iiw400.jsonl.gz", "rt", encoding="utf-8") as file:
        long = [json.loads(next(file))["IIW"] for _ in range(16)]
    both = [f"{a} {b}" for a, b in zip(long[::2], long[1::2])]
    second = clip.embed_texts(long[1::2], "content")
    cut = (clip.embed_texts(both) * second).sum(axis=1)
    seen = (clip.embed_texts(both, "content") * second).sum(axis=1)
    assert (seen > cut).mean() >= 0.75


def test_windows_over_another_tokenizer_are_refused(clip):
    from curation.models.clip_windows import window_means

    with pytest.raises(RecipeError, match=r"windows = 'content': made for CLIP's own tokenizer, the model has object"):
        window_means(object(), None, ["a"], "content", np.zeros((1, 2)))


def test_the_signal_and_its_key(name):
    captions = pa.array(["a dog", None, caption(100), "a dog"])
    off, found = caption_embedding(captions, clip=name), caption_embedding(captions, clip=name, windows="content")
    (a, there), (b, _) = as_matrix(off), as_matrix(found)
    assert there.tolist() == [True, False, True, True] == [v.is_valid for v in found]
    assert a[0].tobytes() == b[0].tobytes() == b[3].tobytes() and np.abs(a[2] - b[2]).max() > 1e-3
    keys = {w: Graph({"clip": name, "windows": w}).node("clip_score").key for w in ("off", "content", "clipmd")}
    assert len(set(keys.values())) == 3 and keys["off"] == Graph({"clip": name}).node("clip_score").key
    with pytest.raises(RecipeError, match=r"signal caption_embedding: no windows \['half'\]; known"):
        Graph({"clip": name, "windows": "half"}).node("clip_score")


def test_off_has_the_key_that_stores_already_know():
    """As before there were windows: what is computed stays found. The model is the packaged one."""
    from curation.models.named import identity
    from curation.schema import hex_id

    model = {"clip": identity("clip", "sample-clip")}
    written = json.dumps(["caption_embedding", 1, {"clip": "sample-clip"}, model, ["caption"]])
    assert Graph().node("caption_embedding").key == hex_id("signal", written)


def test_masked_captions_are_cut_in_windows_too(name):
    long = caption(100) + " 7 boats"
    vectors = {w: caption_embedding(pa.array([long]), clip=name, windows=w) for w in ("off", "content")}
    image = caption_embedding(pa.array(["a picture of something"]), clip=name)
    masked = pa.array([caption(100) + " boats and many other things"])
    scores = {
        w: number_masked_clip_score(pa.array([long]), masked, image, vectors[w], clip=name, windows=w)[0].as_py()
        for w in vectors
    }
    assert scores["off"] != scores["content"]
    assert CONFIG["model_cfg"]["text_cfg"]["context_length"] == 77
