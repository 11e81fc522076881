"""The text signals against Python's own answers, open_clip's tokenizer and labelled captions."""

import gzip
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import RecipeError
from curation.signals.caption_chars import caption_chars
from curation.signals.caption_content_words import caption_content_words
from curation.signals.caption_language import caption_language
from curation.signals.caption_language_score import caption_language_score
from curation.signals.caption_tokens import _pieces, caption_tokens
from curation.signals.caption_words import caption_words
from curation.signals.language_prediction import language_prediction
from curation.signals.number_masked_caption import number_masked_caption

SIGNALS = (caption_chars, caption_words, caption_tokens, language_prediction, number_masked_caption)
CAPTIONS = st.lists(st.none() | st.text("ab 1.é猫🐕\u00a0\u3000\u2028\t\n\v\x1c\x85'", max_size=12), max_size=8)


@pytest.fixture(scope="module")
def real(shared):
    table = pq.read_table(shared / "data" / "tables" / "laion-style-10k.parquet")
    return table.column("TEXT").combine_chunks()[:3000]


@given(CAPTIONS)
def test_chars_and_words_are_pythons(captions):
    array = pa.array(captions, pa.string())
    assert caption_chars(array).to_pylist() == [None if c is None else len(c) for c in captions]
    assert caption_words(array).to_pylist() == [None if c is None else len(c.split()) for c in captions]


PLACEHOLDERS = """image|Photo|untitled|IMG_2031|DSC00123.jpg|click to enlarge|Click here to view the full size image.
no image available|http://pictures.example/1.html|www.pictures.example|logo.png|figure 3|Fig. 12:|thumbnail|[image]
(photo)|1280x1024|screenshot 2021-04-03 at 12.30.11|...|12345|slide 1 of 7|my_red_dog.jpeg|view larger image|&
Image not found|Add a caption|profile picture|Image coming soon|Stock photo|Lorem ipsum dolor sit amet|user avatar"""
SAYING = """a dog|the photo shows Anna|Figure 3: the mitral valve|logo of the Linux foundation|search party
home made bread|Bild eines Hundes|\u4e00\u53ea\u7ea2\u8272\u7684\u72d7|no parking|jpeg compression|3 cats
lost and found office|a man with his profile turned|user of a lathe|stock car"""


def test_placeholders_have_no_content_and_captions_have():
    nothing, something = (pa.array(text.replace("\n", "|").split("|")) for text in (PLACEHOLDERS, SAYING))
    assert {c: n for c, n in zip(nothing.to_pylist(), caption_content_words(nothing).to_pylist()) if n} == {}
    assert 0 not in caption_content_words(something).to_pylist()
    assert caption_content_words(pa.array([None, "", "image  dog\tphoto"])).to_pylist() == [None, 0, 1]


@given(CAPTIONS)
def test_content_words_are_at_most_the_words(captions):
    array = pa.array(captions, pa.string())
    assert all(
        n is None or n <= w for n, w in zip(caption_content_words(array).to_pylist(), caption_words(array).to_pylist())
    )


def test_nearly_all_real_captions_say_something(real):
    assert pa.compute.mean(pa.compute.greater(caption_content_words(real), 0)).as_py() > 0.98


def test_every_blank_parts_words():
    blanks = [c for c in map(chr, range(0x110000)) if c.isspace()]
    others = [c for c in map(chr, range(0xD800)) if not c.isspace()]
    assert caption_words(pa.array([f"a{c}b" for c in blanks])).to_pylist() == [2] * len(blanks)
    assert caption_words(pa.array([f"a{c}b" for c in others])).to_pylist() == [1] * len(others)


def test_words_of_real_captions(real):
    assert caption_words(real).to_pylist() == [len(text.split()) for text in real.to_pylist()]


@pytest.mark.parametrize("function", SIGNALS, ids=lambda f: f.__name__)
def test_type_nulls_slices_and_the_empty_batch(function):
    captions = pa.array(["skipped", "a red dog on the grass", None, "une maison dans la forêt 7"])
    whole = function(captions)
    assert whole.type == function.spec.type == function(captions[:0]).type
    assert len(function(captions[:0])) == 0
    assert whole[2].as_py() is None and whole[1].as_py() is not None
    assert function(captions[1:]).equals(whole[1:])
    assert function(pa.array([None], pa.string())).to_pylist() == [None]


def test_specs_say_what_is_read_and_stored():
    reads = {f.spec.name: f.spec.reads for f in (*SIGNALS, caption_language, caption_language_score)}
    assert reads.pop("caption_language") == reads.pop("caption_language_score") == ("language_prediction",)
    assert set(reads.values()) == {("caption",)}
    assert [f.spec.name for f in SIGNALS if f.spec.stored] == ["caption_tokens", "language_prediction"]


@pytest.fixture(scope="module")
def simple_tokenizer():
    from curation.models.clip_source import ensure_torchvision

    ensure_torchvision()
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


def test_tokens_equal_open_clips(real, simple_tokenizer, shared):
    captions = [*real.to_pylist()[:1000], "", "'s <end_of_text> ’ 猫猫 ﬁ ½", "a" * 300, "ab" * 99 + "☃", "?!" * 50]
    for language in ("de", "cs"):
        with gzip.open(
            shared / "data" / "captions" / f"multi30k-task1-train.{language}.gz", "rt", encoding="utf-8"
        ) as file:
            captions += [next(file) for _ in range(200)]
    wanted = [len(simple_tokenizer.encode(text)) + 2 for text in captions]
    assert caption_tokens(pa.array(captions)).to_pylist() == wanted


def test_merges_of_random_words_equal_open_clips(simple_tokenizer):
    draw = random.Random(0)
    for _ in range(2000):
        word = "".join(draw.choice("aaabbtheingorsl") for _ in range(draw.randint(1, 20)))
        assert _pieces(word) == len(simple_tokenizer.bpe(word).split(" "))


def test_one_word_of_a_hundred_thousand_letters_is_counted_soon():
    found = caption_tokens(pa.array(["ab" * 50_000])).to_pylist()
    assert 10_000 < found[0] < 100_000


def test_unknown_settings_are_refused():
    with pytest.raises(RecipeError, match=r"\['words'\]"):
        number_masked_caption(pa.array(["a"]), variant="words")


def test_masked_captions_that_become_empty_are_null():
    captions = pa.array(["A4 paper", "2019", "IMG_0042.jpg", ""])
    assert number_masked_caption(captions).to_pylist() == ["A paper", None, "IMG_.jpg", None]
    assert number_masked_caption(captions, variant="tokens").to_pylist() == ["paper", None, None, None]
