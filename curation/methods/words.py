"""Words as CLIP's tokenizer cuts them, and pruning by their frequency (WFPP, arXiv:2410.10879)."""

import functools
import html
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.methods.clean import fixer
from curation.methods.matching import string_buffers

# Texts of these characters only, without an entity or a special token, need no repair: they are cut by compiled code.
SPECIAL = "<start_of_text>|<end_of_text>"
NOT_PLAIN = rf"[^ -%'-~\t\n]|(?i:{SPECIAL})"
PATTERN = rf"{SPECIAL}|'s|'t|'re|'ve|'m|'ll|'d|[\p{{L}}]+|[\p{{N}}]|[^\s\p{{L}}\p{{N}}]+"  # CLIP, simple_tokenizer.py
ENDLESS = re.compile(r"&#\d{8,};?")  # no character: html.unescape gives it none, and fails above 4,300 digits
WORDS_USED = 30  # WFPP, sorting_data.py: the score looks at the first 30 words


def wfpp_words(captions: pa.Array) -> pa.ListArray:
    """Words of each caption, list<string>, in order, in the byte-level form of CLIP's tokenizer; null stays null.

    Mojibake repaired (ftfy's defaults), HTML unescaped twice, blanks collapsed, lower case, then CLIP's pattern:
    contractions, runs of letters, single digits, runs of other signs. Byte-level: one letter per UTF-8 byte, so that
    only ASCII reads as usual. WFPP, arXiv:2410.10879.

    >>> wfpp_words(pa.array(["The dog's 42 toys!", "\\u2014", None])).to_pylist()
    [['the', 'dog', "'s", '4', '2', 'toys', '!'], ['âĢĶ'], None]
    """
    from curation.methods.words_kernel import cut_words  # imports numba

    if isinstance(captions, pa.ChunkedArray):
        captions = captions.combine_chunks()
    odd = pc.match_substring_regex(captions, NOT_PLAIN).fill_null(False)
    plain = captions.filter(pc.invert(odd)).drop_null()
    lists, starts, data = cut_words(*string_buffers(plain))
    strings = pa.StringArray.from_buffers(len(starts) - 1, pa.py_buffer(starts), pa.py_buffer(data))
    words = pa.ListArray.from_arrays(pa.array(lists), strings)
    others = [_words(text) for text in captions.filter(odd).to_pylist()]
    words = pa.concat_arrays([words, pa.array(others, words.type)])
    places = np.empty(len(captions), np.int64)
    present, odd = np.asarray(captions.is_valid()), np.asarray(odd)
    places[present & ~odd] = np.arange(len(plain))
    places[odd] = len(plain) + np.arange(len(others))
    return words.take(pa.array(places, mask=~present))


def word_probabilities(counts: Mapping[str, int], t: float = 1e-7, min_count: int = 1) -> dict[str, float]:
    """Probability of each word to be discarded, in [0, 1], from its count over the corpus: 1 - sqrt(t / f).

    f is the share of a word among the counts of words seen at least `min_count` times; rarer ones are not in the
    result. A negative value becomes 1, as in the reference, where a word too rare to be discarded counts like an
    unknown one. WFPP, arXiv:2410.10879; its code (MingliangLiang3/WFPP f7aa78c) has t = 1e-7, min_count = 5.

    >>> word_probabilities({"a": 64, "b": 36, "c": 1}, t=0.01, min_count=2)
    {'a': 0.875, 'b': 0.8333333333333333}
    """
    words = [word for word, count in counts.items() if count >= min_count]
    kept = np.array([counts[word] for word in words], np.int64)
    p = 1.0 - np.sqrt(t / (kept / kept.sum()))
    return dict(zip(words, np.where(p < 0, 1.0, p).tolist()))


def word_frequency_scores(words: pa.ListArray, probabilities: Mapping[str, float]) -> pa.Array:
    """Score of each caption, float64, at least 0: (1 - prod P) / n over its first 30 words, repeats counted.

    A word that is not in `probabilities` has P = 1. High scores are kept first; nothing is drawn. Null for a caption
    without words (the reference divides by zero) and for null. WFPP, arXiv:2410.10879.

    >>> words = pa.array([["a", "b"], ["a", "a"], ["a", "z"], []])
    >>> pc.round(word_frequency_scores(words, {"a": 0.9, "b": 0.8}), 3).to_pylist()
    [0.14, 0.095, 0.05, None]
    """
    first = pc.list_slice(words, 0, WORDS_USED)
    sizes = np.asarray(first.value_lengths().fill_null(0), np.int64)
    flat = first.flatten().dictionary_encode()
    table = np.array([probabilities.get(word, 1.0) for word in flat.dictionary.to_pylist()], np.float64)
    filled = sizes > 0
    scores = np.zeros(len(words))
    if filled.any():
        starts = (np.cumsum(sizes) - sizes)[filled]
        scores[filled] = (1.0 - np.multiply.reduceat(table[np.asarray(flat.indices)], starts)) / sizes[filled]
    return pa.array(scores, mask=~filled)


def word_scores(captions: Sequence[str | None] | pa.Array, t: float = 1e-7, min_count: int = 5) -> np.ndarray:
    """The score of each caption from the counts over these captions, float64, shape (n,); NaN without words.

    `wfpp_words`, one count per word, `word_probabilities`, `word_frequency_scores`: WFPP, arXiv:2410.10879.

    >>> word_scores(["a dog", "a dog", "a cat", ""], t=0.01, min_count=2).round(3).tolist()
    [0.133, 0.133, 0.065, nan]
    """
    words = wfpp_words(pa.array(captions, pa.string()))
    counted = words.flatten().value_counts()
    counts = dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist()))
    return word_frequency_scores(words, word_probabilities(counts, t, min_count)).to_numpy(zero_copy_only=False)


def _words(text: str) -> list[str]:
    """Words of one text, by the libraries that CLIP's tokenizer uses."""
    text = html.unescape(html.unescape(ENDLESS.sub("", fixer("auto")(text))))
    return [_byte_level(word) for word in _pattern().findall(" ".join(text.split()).lower())]


@functools.cache
def _pattern():
    import regex

    return regex.compile(PATTERN, regex.IGNORECASE)


def _byte_level(word: str) -> str:
    return word if word.isascii() and word.isprintable() else "".join(_alphabet()[byte] for byte in word.encode())


@functools.cache
def _alphabet() -> tuple[str, ...]:
    """One visible letter per byte: itself where it is visible in Latin-1, else the next letter from U+0100 on."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}  # CLIP and GPT-2, bytes_to_unicode
    hidden = [byte for byte in range(256) if byte not in visible]
    return tuple(chr(byte if byte in visible else 256 + hidden.index(byte)) for byte in range(256))
