"""Tokenizers of languages written without spaces: loaded only where needed, said where missing."""

import importlib.util
import subprocess
import sys

import pytest

from curation.errors import RecipeError
from curation.metadata.tokenizers import tokenizer
from curation.methods.ngrams import word_runs

WITH_ICU = pytest.mark.skipif(not importlib.util.find_spec("icu4py"), reason="the extra tokenizers is not installed")


def words(language, text):
    return list(word_runs(tokenizer(language).spaced(text)))


@WITH_ICU
@pytest.mark.parametrize(
    ("language", "text", "runs"),
    [
        ("zh", "北京的大熊猫。", [["北京", "的", "大熊猫"]]),
        (
            "ja",
            "犬が公園で遊ぶ",
            [["犬", "が", "公園", "で", "遊ぶ"]],
        ),
        (
            "th",
            "สุนัขวิ่ง",
            [["สุนัข", "วิ่ง"]],
        ),
        ("zh", "iPhone手機, 3.14", [["iPhone", "手機"], ["3"], ["14"]]),
    ],
)
def test_words_of_icu(language, text, runs):
    assert words(language, text) == runs
    assert tokenizer(language).joiner == "" and tokenizer(language).name.startswith("ICU ")


@WITH_ICU
@pytest.mark.parametrize(
    ("language", "text", "least"),
    [
        ("lo", "ສະບາຍດີ", 1),
        (
            "km",
            "ខ្ញុំស្រឡាញ់ភាសាខ្មែរ",
            3,
        ),
        ("my", "ကျွန်တော်မြန်မာ", 2),
    ],
)
def test_scripts_with_marks_are_cut_at_words_and_nothing_is_lost(language, text, least):
    found = [word for run in words(language, text) for word in run]
    assert "".join(found) == text and least <= len(found) < len(text) / 2


def test_tibetan_is_cut_at_syllables():
    text = "བོད་སྐད། སྐད་"
    assert words("bo", text) == [["བོད", "སྐད"], ["སྐད"]]
    assert tokenizer("dz").joiner == "་"


def test_other_languages_need_no_library():
    script = (
        "import sys; sys.modules['icu4py'] = None\n"
        "from curation.metadata.tokenizers import tokenizer\n"
        "print(tokenizer('de').spaced('ein Hund'), tokenizer('ko').joiner == ' ', tokenizer('bo').name)\n"
        "tokenizer('zh-min-nan'); tokenizer('zh_Hant')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "ein Hund True syllables\n"
    assert "RecipeError: metadata: zh_Hant is written without spaces: pip install 'curation[tokenizers]'" in done.stderr


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "icu4py", None)
    tokenizer.cache_clear()
    with pytest.raises(RecipeError, match=r"curation\[tokenizers\]"):
        tokenizer("th")
    tokenizer.cache_clear()
