"""Words, uni-grams and bi-grams of text, and which become entries (MetaCLIP, arXiv:2309.16671 and 2507.22062)."""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import regex

from curation.methods.scripts import PUNCTUATION, UNSPACED

UNSPACED_CHARACTER = re.compile(f"[{UNSPACED}]")  # each a token of its own (MetaCLIP 2)
BREAK = regex.compile(rf"[\n\r{PUNCTUATION}]+")
TOKEN = regex.compile(rf"[{PUNCTUATION}]|[^\s{PUNCTUATION}]+")
UNIGRAMS = 251_465  # uni-grams of MetaCLIP's list (arXiv:2309.16671, table of metadata sources); MetaCLIP 2's cap
BIGRAMS = 100_646  # bi-grams, the same
TITLES = 61_235  # article titles, the same
UNIGRAM_SHARE = 0.1  # MetaCLIP 2, metadata: of a language's different uni-grams
TITLE_SHARE = 0.76  # the same, of its titles


def spaced(text: str) -> str:
    """`text` with blanks around each character of a script written without spaces.

    >>> spaced("a 狗 dog")
    'a  狗  dog'
    """
    return UNSPACED_CHARACTER.sub(r" \g<0> ", text) if UNSPACED_CHARACTER.search(text) else text


def ngram_tokens(text: str) -> list[str]:
    """The tokens of a text in order: cut at blanks, with every sign of punctuation, and every character of a script
    written without spaces, a token of its own. Case counts. MetaCLIP 2, metadata. Ours: every sign of Unicode; their
    code knows those of ASCII and 26 more.

    >>> ngram_tokens("A red car, a dog's.")
    ['A', 'red', 'car', ',', 'a', 'dog', "'", 's', '.']
    """
    return TOKEN.findall(spaced(text))


def word_runs(text: str) -> Iterator[list[str]]:
    """The words of a text that is spaced already, a list for each stretch without punctuation or end of a line.

    >>> list(word_runs("A red car, a dog's\\nbike"))
    [['A', 'red', 'car'], ['a', 'dog'], ['s'], ['bike']]
    """
    for run in BREAK.split(text):
        words = run.split()
        if words:
            yield words


def is_punctuation(entry: str) -> bool:
    """Whether an entry holds nothing but punctuation and blanks; such are dropped (MetaCLIP 2).

    >>> [is_punctuation(entry) for entry in ("C++", "+", "« ! »", "")]
    [False, True, True, True]
    """
    return not any(word_runs(entry))


def ngram_counts(texts: Iterable[str], joiner: str = " ") -> tuple[dict[str, int], dict[str, int]]:
    """How often each uni-gram and each bi-gram occurs: two dicts of counts, at least 1.

    Punctuation is no uni-gram and breaks the chain of bi-grams, as the end of a line does (our own rule: the words
    before and after it are no phrase). `joiner` stands between the words of a bi-gram. MetaCLIP 2, metadata.

    >>> ngram_counts(["A red car, a red bike."])[1]
    {'A red': 1, 'red car': 1, 'a red': 1, 'red bike': 1}
    """
    words, pairs = Counter(), Counter()
    for text in texts:
        for run in word_runs(spaced(text)):
            words.update(run)
            pairs.update(map(joiner.join, itertools.pairwise(run)))
    return dict(words), dict(pairs)


def lift(pair: np.ndarray, first: np.ndarray, second: np.ndarray, total: float) -> np.ndarray:
    """How much more often two words stand together than by chance, float64, above 0: n_ij N / (n_i n_j).

    PMI is its log2. Thresholds are applied to it, not to the PMI: the products are exact below 2^53, so that 2^30 is
    met exactly, on every machine.

    >>> lift(np.array([8, 2, 12]), np.array([20, 2, 500]), np.array([10, 2, 30]), 1000).tolist()
    [40.0, 500.0, 0.8]
    """
    pair, first, second = (np.asarray(counts, np.float64) for counts in (pair, first, second))
    return pair * total / (first * second)


def pmi(pair: np.ndarray, first: np.ndarray, second: np.ndarray, total: float) -> np.ndarray:
    """Pointwise mutual information of bi-grams in bits, float64: log2(n_ij N) - log2(n_i n_j), N all uni-gram tokens.

    As n_ij is at most the smaller of n_i and n_j, a PMI of 30 needs N of at least 2^30 times the larger: a corpus of a
    billion words. MetaCLIP (arXiv:2309.16671) takes PMI >= 30, MetaCLIP 2 PMI > 30.

    >>> pmi(np.array([8, 2, 12]), np.array([20, 2, 500]), np.array([10, 2, 30]), 1000).round(3).tolist()
    [5.322, 8.966, -0.322]
    """
    return np.log2(lift(pair, first, second, total))


def worldwide_caps(
    unigrams: int,
    bigrams: int,
    titles: int,
    *,
    unigram_share: float = UNIGRAM_SHARE,
    max_unigrams: int = UNIGRAMS,
    max_bigrams: int = BIGRAMS,
    title_share: float = TITLE_SHARE,
    max_titles: int = TITLES,
) -> tuple[int, int, int]:
    """How many uni-grams, bi-grams and titles a language gets, of so many: MetaCLIP 2 (arXiv:2507.22062), metadata.

    Uni-grams by frequency: a tenth of the different ones, at most 251,465. Bi-grams by PMI: all above the threshold, at
    most 100,646. Titles by views: 76 %, at most 61,235. Ours: of all; their code does not count what another source
    gave already.

    >>> worldwide_caps(10, 5, 2), worldwide_caps(10**7, 10**6, 10**5)
    ((1, 5, 1), (251465, 100646, 61235))
    """
    return (
        min(max_unigrams, int(unigram_share * unigrams)),
        min(max_bigrams, bigrams),
        min(max_titles, int(title_share * titles)),
    )
