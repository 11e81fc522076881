"""Substring matching of captions against entries (MetaCLIP, arXiv:2309.16671, section 3.2), exact and compiled."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import SchemaError, unknown

MARKS = ",.;:?!`"  # MetaCLIP, substr_matching: these get one space on either side
BLANKS = "\t\n\r"  # the same: these become one space; nothing else does (NBSP stays a letter)
Mode = Literal["metaclip1"]


def match(captions: Sequence[str | None] | pa.Array, entries: Sequence[str], mode: Mode = "metaclip1") -> list[list]:
    """Sorted ids (positions in `entries`) of the entries that each caption holds; a null caption has none.

    The rule: put a space before and after the caption, a space on either side of each of , . ; : ? ! and the
    backtick, and a space for each tab, newline and carriage return; an entry matches where it occurs between two
    spaces. Case counts, blanks are not collapsed, nothing is normalised. So an entry of several characters that holds
    one of the seven marks never matches. MetaCLIP, arXiv:2309.16671, section 3.2; SchemaError on a null entry.

    >>> match(["a red dog, barking", "(dog)", None], ["dog", "red dog", "a", "St. Louis"])
    [[0, 1, 2], [], []]
    """
    return Matcher(entries, mode).match(pa.array(captions, pa.string())).to_pylist()


class Matcher:
    """Entries compiled once (a fraction of a second and about 35 MB for 500,000) to match many captions.

    Every match is verified byte by byte, so the ids equal those of the plain rule of `match`. Entries given twice
    match under both ids. `mode` is "metaclip1"; RecipeError for another.
    """

    def __init__(self, entries: Sequence[str] | pa.Array, mode: Mode = "metaclip1") -> None:
        if mode not in get_args(Mode):
            raise unknown("mode", [mode], get_args(Mode), "match")
        strings = pa.array(entries, pa.string())
        if strings.null_count:
            raise SchemaError(f"entries: {strings.null_count} of {len(strings)} are null, wanted strings")
        self.mode = mode
        distinct = strings.dictionary_encode()
        self._tables = _tables(distinct.dictionary)
        self._repeats: list[list[int]] = []  # all ids of each distinct entry, if any is given twice
        if len(distinct.dictionary) < len(strings):
            self._repeats = [[] for _ in distinct.dictionary]
            for number, place in enumerate(distinct.indices.to_pylist()):
                self._repeats[place].append(number)

    def match(self, captions: pa.Array | pa.ChunkedArray) -> pa.ListArray:
        """Ids of the entries in each caption: list<int32>, ascending, each once; null and no match give an empty list.

        >>> Matcher(["dog", "red dog"]).match(pa.array(["red dog!", None])).to_pylist()
        [[0, 1], []]
        """
        from curation.methods.match_kernel import match_all  # imports numba

        text, offsets = string_buffers(captions)
        valid = np.asarray(pc.is_valid(captions))
        ends, ids = match_all(text, offsets, valid, self._tables)
        found = pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), pa.array(ids))
        if not self._repeats:
            return found
        rows = [sorted(number for place in row for number in self._repeats[place]) for row in found.to_pylist()]
        return pa.array(rows, found.type)


def string_buffers(strings: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """(bytes uint8, offsets int64 of shape (n + 1,)) of a string column, without copying the bytes.

    What lies between the offsets of a null is undefined.
    """
    if isinstance(strings, pa.ChunkedArray):
        strings = strings.combine_chunks()
    if strings.type not in (pa.string(), pa.large_string()):
        strings = strings.cast(pa.large_string())
    width = np.int32 if strings.type == pa.string() else np.int64
    _, offsets, data = strings.buffers()
    if not len(strings):
        return np.zeros(0, np.uint8), np.zeros(1, np.int64)
    offsets = np.frombuffer(offsets, width)[strings.offset : strings.offset + len(strings) + 1]
    # numba compiles once for read-only bytes; an absent buffer (all strings empty) must have the same type
    return np.frombuffer(data or b"", np.uint8), offsets.astype(np.int64)


def _tables(entries: pa.Array) -> tuple:
    from curation.methods.match_kernel import Tables, fill_edges, fill_tokens  # imports numba

    split = pc.split_pattern(entries, " ")
    vocabulary = pc.list_flatten(split).dictionary_encode()
    words, starts = string_buffers(vocabulary.dictionary)
    tokens = np.zeros(4 * _slots(len(vocabulary.dictionary)), np.int64)
    slots = fill_tokens(tokens, words, starts, np.zeros(256, np.uint8))
    ids, offsets = slots[np.asarray(vocabulary.indices)], np.asarray(split.offsets)
    edges = _slots(len(ids) - len(entries))
    tables = Tables(
        tokens=tokens,
        words=words,
        starts=starts,
        edges=np.zeros(2 * edges, np.int64),
        seen=np.zeros(4 * edges // 64, np.int64),
        kind=_byte_kinds(),
        depth=int(np.diff(offsets).max(initial=0)),
    )
    fill_edges(ids, offsets, tables)
    return tables


def _slots(items: int) -> int:
    return 1 << max(4, (2 * items).bit_length())  # a power of two, at most half full


def _byte_kinds() -> np.ndarray:
    from curation.methods.match_kernel import BLANK, MARK

    kinds = np.zeros(256, np.uint8)
    kinds[[ord(c) for c in BLANKS + " "]] = BLANK
    kinds[[ord(c) for c in MARKS]] = MARK
    return kinds
