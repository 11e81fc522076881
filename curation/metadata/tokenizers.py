"""How the words of a language are told apart: blanks, or the word breaker of ICU where it is written without spaces.

MetaCLIP 2 takes another tokenizer for each of these languages; ICU's dictionaries cover all of them but Tibetan and
Dzongkha in one library, loaded only where such a language is asked for. Tibetan's words are not told apart, but its
syllables, by the tsheg that is written between them: the one tokenizer there is fetches its dictionary when it runs.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

from curation.errors import RecipeError
from curation.methods.ngrams import spaced

# By the codes of Wikipedia and of ISO 639, without what follows a hyphen: Chinese (with the classical language,
# Cantonese, Wu and Gan), Japanese and Okinawan, Thai, Lao, Khmer, Burmese.
ICU_LANGUAGES = ("zh", "lzh", "yue", "wuu", "gan", "ja", "ryu", "th", "lo", "km", "my")
LATIN = "zh-min-nan"  # written with Latin letters and blanks
TIBETAN = ("bo", "dz")
TSHEG = "\u0f0b"
SAME = str.maketrans({TSHEG: " ", "\u0f0c": " "})  # the second stands where no line may break


class Tokenizer(NamedTuple):
    """`spaced` gives a text with blanks between its words; `joiner` stands between the words of a bi-gram."""

    spaced: Callable[[str], str]
    joiner: str
    name: str


@functools.cache
def tokenizer(language: str) -> Tokenizer:
    """The tokenizer of a language; RecipeError where it needs the extra `tokenizers` and that is not installed.

    >>> tokenizer("en").spaced("a dog"), tokenizer("bo").spaced("\u0f56\u0f7c\u0f51\u0f0b\u0f66\u0f90\u0f51")
    ('a dog', 'བོད སྐད')
    """
    code = language.lower().replace("_", "-")
    if code in TIBETAN:
        return Tokenizer(lambda text: text.translate(SAME), TSHEG, "syllables")
    if code == LATIN or code.partition("-")[0] not in ICU_LANGUAGES:
        return Tokenizer(spaced, " ", "blanks")
    try:
        from icu4py import icu_version
        from icu4py.breakers import WordBreaker
    except ImportError as error:
        raise RecipeError(
            f"metadata: {language} is written without spaces: pip install 'curation[tokenizers]' for ICU's word breaker"
        ) from error
    return Tokenizer(lambda text: " ".join(WordBreaker(text, code)), "", f"ICU {icu_version}")
