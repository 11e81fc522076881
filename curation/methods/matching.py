"""Substring matching of captions against entries, exact and compiled.

MetaCLIP (arXiv:2309.16671), section 3.2; for languages written without blanks MetaCLIP 2 (arXiv:2507.22062).
"""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import SchemaError, unknown
from curation.methods.scripts import EDGE_MARKS, UNSPACED

MARKS = ",.;:?!`"  # MetaCLIP, substr_matching: these get one space on either side
# These become a space too; NBSP stays a letter.
BLANKS = {"metaclip1": "\t\n\r", "worldwide": "\t\n\r", "normalised": ""}
OPEN = f"[{UNSPACED}{EDGE_MARKS}]"  # an entry edged by one of these needs no blank there (MetaCLIP 2)
Mode = Literal["metaclip1", "worldwide", "normalised"]


def match(captions: Sequence[str | None] | pa.Array, entries: Sequence[str], mode: Mode = "metaclip1") -> list[list]:
    """Sorted ids (positions in `entries`) of the entries that each caption holds; a null caption has none.

    metaclip1: put a space before and after the caption, a space on either side of each of , . ; : ? ! and the
    backtick, and a space for each tab, newline and carriage return; an entry matches where it occurs between two
    spaces. Case counts, blanks are not collapsed, nothing is normalised. So an entry of several characters that holds
    one of the seven marks never matches. MetaCLIP, arXiv:2309.16671, section 3.2.

    worldwide: the same, but an entry needs no space where it begins (ends) with a character of `OPEN`: Han, Thai, Lao,
    Burmese, Khmer, Tibetan or punctuation, that of ASCII and the 25 signs that the published code names. Kana and
    Hangul are not among them. All overlapping entries match. MetaCLIP 2, arXiv:2507.22062.

    normalised: captions and entries alike are brought to NFC, the seven marks get a space on either side, and each run
    of blanks (any that Unicode knows) becomes one space; an entry matches between two spaces. So "St. Louis" matches
    and line ends and double spaces do no harm. No published counts were made so.

    SchemaError on a null entry, RecipeError for another mode.

    >>> match(["a red dog, barking", "(dog)", None], ["dog", "red dog", "a", "St. Louis"])
    [[0, 1, 2], [], []]
    >>> match(["\u5927\u718a\u732b"], ["\u718a\u732b", "\u72d7", "\u732b"], "worldwide")
    [[0, 2]]
    >>> match(["in St.  Louis"], ["St. Louis"], "normalised")
    [[0]]
    """
    return Matcher(entries, mode).match(pa.array(captions, pa.string())).to_pylist()


class Matcher:
    """Entries compiled once (a fraction of a second and about 35 MB for 500,000) to match many captions.

    Every match is verified byte by byte, so the ids equal those of the plain rule of `match`. Entries given twice
    match under both ids.
    """

    def __init__(self, entries: Sequence[str] | pa.Array, mode: Mode = "metaclip1") -> None:
        if mode not in get_args(Mode):
            raise unknown("mode", [mode], get_args(Mode), "match")
        strings = pa.array(entries, pa.string())
        if strings.null_count:
            raise SchemaError(f"entries: {strings.null_count} of {len(strings)} are null, wanted strings")
        self.mode = mode
        distinct = (_normalised(strings) if mode == "normalised" else strings).dictionary_encode()
        self._repeats: list[list[int]] = []  # all ids of each distinct entry, if any is given twice
        if len(distinct.dictionary) < len(strings):
            self._repeats = [[] for _ in distinct.dictionary]
            for number, place in enumerate(distinct.indices.to_pylist()):
                self._repeats[place].append(number)
        ids = np.arange(len(distinct.dictionary))
        is_open = np.asarray(pc.match_substring_regex(distinct.dictionary, f"^{OPEN}|{OPEN}$"), bool)
        is_open &= mode == "worldwide"
        self._tables = _tables(distinct.dictionary.filter(pa.array(~is_open)), ids[~is_open], mode)
        self._open = (
            _open_tables(distinct.dictionary.filter(pa.array(is_open)), ids[is_open]) if is_open.any() else None
        )

    def match(self, captions: pa.Array | pa.ChunkedArray) -> pa.ListArray:
        """Ids of the entries in each caption: list<int32>, ascending, each once; null and no match give an empty list.

        >>> Matcher(["dog", "red dog"]).match(pa.array(["red dog!", None])).to_pylist()
        [[0, 1], []]
        """
        from curation.methods.match_kernel import match_all  # imports numba

        text, offsets = string_buffers(_normalised(captions) if self.mode == "normalised" else captions)
        valid = np.asarray(pc.is_valid(captions))
        ends, ids = match_all(text, offsets, valid, self._tables)
        if self._open is not None:
            ends, ids = self._with_open(ends, ids, text, offsets, valid)
        found = pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), pa.array(ids))
        if not self._repeats:
            return found
        rows = [sorted(number for place in row for number in self._repeats[place]) for row in found.to_pylist()]
        return pa.array(rows, found.type)

    def _with_open(self, ends: np.ndarray, ids: np.ndarray, *captions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lists of ids, those of the open entries taken in."""
        from curation.methods.open_kernel import match_open  # imports numba

        both = [(ends, ids), match_open(*captions, *self._open)]
        rows = np.arange(len(ends) - 1, dtype=np.int64)
        keys = np.unique(np.concatenate([np.repeat(rows, np.diff(e)) << 32 | i for e, i in both]))
        return np.searchsorted(keys, np.arange(len(ends), dtype=np.int64) << 32), (keys & 0xFFFFFFFF).astype(np.int32)


def _normalised(strings: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """NFC, a space on either side of each mark, one space for each run of blanks, none at the ends."""
    marked = pc.replace_substring_regex(pc.utf8_normalize(strings, "NFC"), f"([{MARKS}])", r" \1 ")
    return pc.utf8_trim(pc.replace_substring_regex(marked, r"[\s\p{Z}\x{85}\x{0b}]+", " "), " ")


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


def _tables(entries: pa.Array, numbers: np.ndarray, mode: Mode) -> tuple:
    """Tables of the entries that need a space on both sides; `numbers` are their ids."""
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
        kind=_byte_kinds(BLANKS[mode], MARKS if mode != "normalised" else ""),
        depth=int(np.diff(offsets).max(initial=0)),
    )
    fill_edges(ids, offsets, numbers, tables)
    return tables


def _open_tables(entries: pa.Array, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """(edges, kinds of bytes, longest entry) of the entries that need no space on at least one side."""
    from curation.methods.open_kernel import fill_open  # imports numba

    left = pc.if_else(pc.match_substring_regex(entries, f"^{OPEN}"), "", " ")
    right = pc.if_else(pc.match_substring_regex(entries, f"{OPEN}$"), "", " ")
    bounded = pc.binary_join_element_wise(left, entries, right, "")
    sizes = np.asarray(pc.utf8_length(bounded), np.int64)
    points = np.frombuffer("".join(bounded.to_pylist()).encode("utf-32-le"), "<u4").astype(np.int64)
    edges = np.zeros(2 * _slots(len(points)), np.int64)
    fill_open(points, np.concatenate([[0], np.cumsum(sizes)]), numbers, edges)
    return edges, _byte_kinds(BLANKS["worldwide"], MARKS), int(sizes.max())


def _slots(items: int) -> int:
    return 1 << max(4, (2 * items).bit_length())  # a power of two, at most half full


def _byte_kinds(blanks: str, marks: str) -> np.ndarray:
    from curation.methods.match_kernel import BLANK, MARK

    kinds = np.zeros(256, np.uint8)
    kinds[[ord(c) for c in blanks + " "]] = BLANK
    kinds[[ord(c) for c in marks]] = MARK
    return kinds
