"""The compiled loop of `curation.methods.words`; imports numba, so it is imported only where words are cut."""

import numpy as np

from curation.methods.compiled import compiled

SPACE, LETTER, DIGIT, OTHER = 0, 1, 2, 3
QUOTE = ord("'")


@compiled
def kind_of(byte):
    """What an ASCII byte is to CLIP's pattern; the space is the only blank besides tab and newline here."""
    if byte in (9, 10, 32):
        return SPACE
    if 97 <= byte <= 122 or 65 <= byte <= 90:
        return LETTER
    return DIGIT if 48 <= byte <= 57 else OTHER


@compiled
def lower(byte):
    """The byte in lower case."""
    return byte + 32 if 65 <= byte <= 90 else byte


@compiled
def contraction(text, low, high):
    """Bytes of the 's 't 're 've 'm 'll 'd that begins at `low`, or 0."""
    if text[low] != QUOTE or low + 1 >= high:
        return 0
    first = lower(text[low + 1])
    if first in (ord("s"), ord("t"), ord("m"), ord("d")):
        return 2
    second = lower(text[low + 2]) if low + 2 < high else 0
    if first in (ord("r"), ord("v")) and second == ord("e"):
        return 3
    return 3 if first == ord("l") and second == ord("l") else 0


@compiled
def word_end(text, low, high):
    """Where the word that begins at `low` (no blank) ends: a contraction, letters, one digit, or other signs."""
    size = contraction(text, low, high)
    if size:
        return low + size
    kind = kind_of(text[low])
    stop = low + 1
    while kind != DIGIT and stop < high and kind_of(text[stop]) == kind:
        stop += 1
    return stop


@compiled
def cut_words(text, offsets):
    """Lower-case words of each ASCII text: (list offsets int32 (n + 1,), word offsets int32, bytes uint8)."""
    size = offsets[-1] - offsets[0]
    out, ends = np.empty(size, np.uint8), np.zeros(size + 1, np.int32)
    lists = np.zeros(offsets.size, np.int32)
    words, total = 0, 0
    for k in range(offsets.size - 1):
        low = offsets[k]
        while low < offsets[k + 1]:
            if kind_of(text[low]) == SPACE:
                low += 1
                continue
            stop = word_end(text, low, offsets[k + 1])
            for at in range(low, stop):
                out[total + at - low] = lower(text[at])
            total += stop - low
            words += 1
            ends[words] = total
            low = stop
        lists[k + 1] = words
    return lists, ends[: words + 1], out[:total]
