"""Cleaning: what it repairs, that leaving clean captions alone equals repairing them, that twice is once."""

import gzip
import itertools
import json
import re
import unicodedata

import ftfy
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ftfy.badness import is_bad
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from curation.methods import clean_caption, clean_captions
from curation.methods.blanks import BLANK, collapse_blanks
from curation.methods.clean import ENTITY, SIGNS, UNCHANGEABLE

EVERY = [c for c in map(chr, range(0x110000)) if not 0xD800 <= ord(c) < 0xE000]
SAFE = re.findall(f"[{UNCHANGEABLE}]", "".join(EVERY))
IN_COMPANY = re.findall(f"[{SIGNS}]", "".join(EVERY))
BLANKS = [c for c in map(chr, range(0x110000)) if c.isspace()]
ODD = (
    "&;#ampltgt<>\x00\x07\x0b\x0c\x1b\x1c\x7f\x80\x85\x93\x9f\xa0\xad\ufeff\u200b\u2028\u3000ÃÂâ€™œ©ð'“ﬁＡ̈é°™®£×²…вЂЂГ"
)


def always(text):
    """The rule without any shortcut."""
    config = ftfy.TextFixerConfig(unescape_html=True, explain=False)
    for _ in range(8):
        spaced = "".join(" " if c in "\x0b\x0c\x1c\x1d\x1e\x1f" else c for c in text)
        fixed = ftfy.fix_text(spaced, config)
        kept = "".join(c for c in fixed if c.isspace() or unicodedata.category(c) != "Cc")
        if (cleaned := " ".join(kept.split())) == text:
            break
        text = cleaned
    return text


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("R&amp;B &lt;live&gt;", "R&B <live>"),
        ("<b>AT&amp;T</b>", "<b>AT&T</b>"),  # ftfy's own default leaves entities beside a <
        ("&amp;amp;quot;", '"'),
        ("cafÃ© âœ” No problems", "café ✔ No problems"),
        ("\u201cit\u2019s\u201d", '"it\'s"'),
        ("ﬁne", "fine"),
        ("ＬＯＵＤ", "LOUD"),
        ("cafe\u0301", "caf\u00e9"),
        ("a\x00b\x07c\x7f", "abc"),
        ("a\x0bb\x1cc", "a b c"),
        ("\u00a0a\u3000\n b\t", "a b"),
        ("\x1b[36mblue\x1b[0m", "blue"),
        ("fish & chips, this&not that", "fish & chips, this&not that"),
        (" \t\n", ""),
        ("", ""),
        ("Škoda für Ёлка 猫 🐕", "Škoda für Ёлка 猫 🐕"),
    ],
)
def test_repairs(raw, cleaned):
    assert clean_caption(raw) == cleaned
    assert clean_captions(pa.array([raw])).to_pylist() == [cleaned]


PIECES = [
    "&amp;",
    "&#39;",
    "&EACUTE;",
    "&nbsp",
    "â€™",
    "Ã©",
    "Â ",
    "вЂ™",
    "\u201cso\u201d",
    "it\u2019s",
    "100 €",
    "½ ×",
    "À°",
]
LETTERS = st.sampled_from(SAFE) | st.sampled_from(IN_COMPANY) | st.sampled_from(ODD) | st.sampled_from("ab  &")
MIXED = st.lists(LETTERS | st.sampled_from(PIECES), max_size=24).map("".join)
QUOTED = st.text(
    st.sampled_from("abc .,!?") | st.sampled_from(IN_COMPANY) | st.sampled_from("\u2018\u2019\u201c\u201d\u02bcÃÂâ")
)


@given(st.lists(st.none() | MIXED | st.text(max_size=12), max_size=6))
def test_equals_repairing_each_caption(texts):
    texts = [t if t is None else t.encode("utf-8", "ignore").decode() for t in texts]
    assert clean_captions(pa.array(texts, pa.string())).to_pylist() == [t if t is None else always(t) for t in texts]


@settings(max_examples=2000)
@given(MIXED | QUOTED)
def test_equals_always_calling_ftfy(text):
    assert clean_caption(text) == always(text)


@given(MIXED)
def test_cleaning_again_changes_nothing(text):
    once = clean_caption(text)
    assert clean_caption(once) == once


@given(st.text(st.sampled_from(SAFE), max_size=30))
def test_ftfy_leaves_texts_of_unchangeable_characters_alone(text):
    assume(not re.search(ENTITY, text))
    assert ftfy.fix_text(text) == text


def test_every_unchangeable_character_alone_and_beside_every_other_kind():
    """One character per kind that ftfy's test for mojibake or Unicode's composition can tell apart, in threes."""
    for character in SAFE:
        assert ftfy.fix_text(character) == character
        assert unicodedata.combining(character) == 0
        assert unicodedata.is_normalized("NFC", character)
    for character in IN_COMPANY:
        assert ftfy.fix_text(f"a {character} b") == f"a {character} b" or is_bad(f"a {character} b")
        assert unicodedata.combining(character) == 0
        assert unicodedata.is_normalized("NFC", character)
    kinds = [*"aZ& 9'.<", *"ßàâéñóöøüÿăąćčđęěğłńşšžőů", *"αωάΩ", *"аяЯГВРСўё", *"אا猫ーか、가–—…🐕"]
    assert not set(kinds) - set(SAFE) - {"ў"}
    for parts in itertools.product([k for k in kinds if k in SAFE], repeat=3):
        assert not is_bad("".join(parts))


def test_a_text_longer_than_ftfy_takes_at_once():
    """It cuts at a million characters, and what is nothing in the middle of a text is mojibake at the start of one."""
    text = "ab" * 500_000 + "Â b ® "
    assert clean_caption(text) == always(text)


def real_captions(data):
    """All captions of the corpora and of the tables."""
    yield pq.read_table(data / "tables" / "laion-style-10k.parquet").column("TEXT").to_pylist()
    yield [line.split("\t")[0] for line in lines(data / "tables" / "cc3m-validation-first10500.tsv.gz")]
    for path in sorted((data / "captions").glob("*.gz")):
        if path.name.endswith(".jsonl.gz"):
            yield [value for line in lines(path) for value in json.loads(line).values() if isinstance(value, str)]
        else:
            yield lines(path)


def test_real_captions_equal_repairing_each(shared):
    seen = 0
    for texts in real_captions(shared / "data"):
        cleaned = clean_captions(pa.array(texts, pa.string()))
        assert cleaned.to_pylist() == [t if t is None else always(t) for t in texts]
        assert clean_captions(cleaned).equals(cleaned)
        seen += len(texts)
    assert seen > 270_000


def lines(path):
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        return file.read().removesuffix("\n").split("\n")


def test_slices_chunks_and_empty_batches():
    texts = pa.array(["no", " a", None, "b"])
    assert clean_captions(texts[1:]).to_pylist() == ["a", None, "b"]
    assert clean_captions(pa.chunked_array([texts[1:2], texts[2:]])).to_pylist() == ["a", None, "b"]
    assert clean_captions(texts[:0]).to_pylist() == []
    assert clean_captions(pa.array([None], pa.string())).to_pylist() == [None]
    assert clean_captions(texts.cast(pa.large_string())).type == pa.large_string()


def test_blanks_are_those_of_str_split():
    text = "".join(f"a{blank}" for blank in BLANKS)
    assert collapse_blanks(pa.array([text])).to_pylist() == [" ".join(text.split())]
    others = [c for c in map(chr, range(0x30000)) if not c.isspace() and not 0xD800 <= ord(c) < 0xE000]
    assert collapse_blanks(pa.array(["".join(others)])).to_pylist() == ["".join(others)]
    assert BLANK.isascii() and UNCHANGEABLE  # the classes are plain text in the source
