"""Length of the caption in tokens of CLIP."""

import functools
import gzip
import heapq
import importlib.util
import pathlib

import numpy as np
import pyarrow as pa

from curation.errors import MissingModelError
from curation.methods.words import wfpp_words
from curation.signal import signal

MERGES = 49152 - 256 - 2  # CLIP, simple_tokenizer.py: the vocabulary without the 256 bytes and the two special tokens
SPECIAL = ("<start_of_text>", "<end_of_text>")


@signal(pa.int32(), version=2)
def caption_tokens(caption: pa.Array) -> pa.Array:
    """Tokens of each caption by CLIP's byte-pair encoding, int32, at least 2: with start and end, not cut at 77.

    The vocabulary is the one in open_clip's wheel, read as a file: counting needs no torch. Equal to the length of
    open_clip's SimpleTokenizer.encode plus 2 (arXiv:2103.00020). Null stays null; MissingModelError where open_clip is
    not installed.

    >>> caption_tokens(pa.array(["a photo of a dog", "", None])).to_pylist()
    [7, 2, None]
    """
    words = wfpp_words(caption)
    sizes = np.asarray(words.value_lengths().fill_null(0), np.int64)
    flat = words.flatten().dictionary_encode()
    pieces = np.array([_pieces(word) for word in flat.dictionary.to_pylist()], np.int64)
    totals = np.concatenate([[0], np.cumsum(pieces[np.asarray(flat.indices)])])
    ends = np.cumsum(sizes)
    counts = totals[ends] - totals[ends - sizes] + len(SPECIAL)
    return pa.array(counts, pa.int32(), mask=np.asarray(words.is_null()))


@functools.lru_cache(maxsize=1 << 18)  # an assumption: the words of a batch, and the frequent ones of all
def _pieces(word: str) -> int:
    """Into how many tokens the merges turn a byte-level word: always the earliest merge first, leftmost first.

    No two merges of the vocabulary make the same symbol, so merging one pair at a time gives what merging all equal
    pairs at once does, in n log n steps: a caption may be one word of a million letters.
    """
    if word in SPECIAL:
        return 1
    symbols = [*word[:-1], word[-1] + "</w>"]
    end = len(symbols)
    after, before = list(range(1, end + 1)), list(range(-1, end - 1))
    heap = [(rank, k) for k in range(end - 1) if (rank := _rank(symbols, k, k + 1)) is not None]
    heapq.heapify(heap)
    merged = 0
    while heap:
        rank, k = heapq.heappop(heap)
        right = after[k]
        if rank != _rank(symbols, k, right):
            continue  # one of the two has been merged since
        symbols[k], symbols[right] = symbols[k] + symbols[right], ""
        merged += 1
        after[k] = after[right]
        if after[k] < end:
            before[after[k]] = k
        for left in (before[k], k):
            rank = _rank(symbols, left, after[left])
            if rank is not None:
                heapq.heappush(heap, (rank, left))
    return end - merged


def _rank(symbols: list[str], left: int, right: int) -> int | None:
    """Rank of the merge of two symbols, None where there is none or either place is outside the word."""
    if left < 0 or right >= len(symbols):
        return None
    return _ranks().get((symbols[left], symbols[right]))


@functools.cache
def _ranks() -> dict[tuple[str, ...], int]:
    spec = importlib.util.find_spec("open_clip")  # finds the folder without importing torch
    if spec is None:
        raise MissingModelError("caption_tokens: CLIP's vocabulary comes with open_clip_torch, which is not installed")
    path = pathlib.Path(spec.submodule_search_locations[0]) / "bpe_simple_vocab_16e6.txt.gz"
    merges = gzip.decompress(path.read_bytes()).decode().split("\n")[1 : MERGES + 1]
    return {tuple(merge.split()): rank for rank, merge in enumerate(merges)}
