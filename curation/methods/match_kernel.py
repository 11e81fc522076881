"""The compiled loops of `curation.methods.matching`; imports numba, so it is imported only where matching happens.

Entries are a trie over tokens, laid out so that a token or an edge costs one cache line:

    tokens  4 words a slot: state and tail (the token itself, see below), info, its number in the vocabulary
    edges   2 words a slot: node and token (the key), info of the node that the edge leads to
    seen    4 bits a slot of `edges`: most edges that a caption asks for do not exist, and this says so from the L2
            cache (measured: 1.5 times the captions per second at 500,000 entries)

The first two are open-addressing tables. A token is known by its slot; a trie node by the slot of its first token or,
deeper, by the number of token slots plus the slot of its edge. `info` holds flags and the entry id plus one, or 0.

No match is a matter of probability: an edge's key *is* node and token; `state` and `tail` together determine a token
of fewer than 16 bytes (mixing is a bijection), and the bytes of longer ones are compared.
"""

from collections import namedtuple

import numpy as np

from curation.methods.compiled import compiled

PART, BLANK, MARK = 0, 1, 2  # what a byte of a caption is to the tokeniser
ID = 0xFFFFFFFF  # the bits of `info` that hold an entry id plus one
MORE = 1 << 32  # longer entries go on from this node
INNER = 1 << 33  # on tokens: some entry holds it after its first place
EXACT = 16  # a token of fewer bytes is determined by state and tail
MIX = -7046029254386353131  # 2^64 / golden ratio as int64, odd, so multiplying is a bijection (Knuth, TAOCP 6.4)
ROWS = 64  # tokens cut before they are looked up, so that the look-ups wait for memory together, not in turn
STATE, TAIL, START, STOP = 0, 1, 2, 3  # columns of `rows`; a look-up replaces the state by the slot

# words, starts: bytes and offsets of the vocabulary; kind: per byte, what it is; depth: tokens of the longest entry
Tables = namedtuple("Tables", "tokens words starts edges seen kind depth")


@compiled
def fold(state, word):
    """A bijection of `word` for a given `state`, and of `state` for a given `word`."""
    value = (state ^ word) * MIX
    return value ^ ((value >> 32) & ID)


@compiled
def same_bytes(text, low, high, words, start, stop):
    """Whether text[low:high] equals words[start:stop]."""
    if high - low != stop - start:
        return False
    for k in range(high - low):
        if text[low + k] != words[start + k]:
            return False
    return True


@compiled
def token_slot(row, text, tokens, words, starts):
    """Slot of the token of `row`, or minus one minus the free slot where it belongs."""
    state, tail, low, high = row[STATE], row[TAIL], row[START], row[STOP]
    last = tokens.size // 4 - 1
    slot = fold(state, tail) & last
    while tokens[4 * slot + 1] != 0:
        if tokens[4 * slot] == state and tokens[4 * slot + 1] == tail:
            number = tokens[4 * slot + 3]
            if high - low < EXACT or same_bytes(text, low, high, words, starts[number], starts[number + 1]):
                return slot
        slot = (slot + 1) & last
    return -1 - slot


@compiled
def edge_bit(key, seen):
    """The bit of `seen` that is set if the edge exists (and, seldom, if another does)."""
    return (fold(0, key) >> 20) & (64 * seen.size - 1)


@compiled
def edge_slot(key, edges):
    """Slot of an edge, or minus one minus the free slot where it belongs."""
    last = edges.size // 2 - 1
    slot = fold(0, key) & last
    while edges[2 * slot] != 0:
        if edges[2 * slot] == key:
            return slot
        slot = (slot + 1) & last
    return -1 - slot


@compiled
def fill_tokens(tokens, words, starts, kind):
    """Enter the vocabulary (distinct tokens) into the empty `tokens`; returns the slot of each, int64.

    `kind` is all PART here: tokens of entries are cut already.
    """
    slots = np.empty(starts.size - 1, np.int64)
    rows = np.empty((2, 4), np.int64)
    for number in range(starts.size - 1):
        cut(words, starts[number], starts[number + 1], kind, rows)
        slot = -1 - token_slot(rows[0], words, tokens, words, starts)
        tokens[4 * slot], tokens[4 * slot + 1], tokens[4 * slot + 3] = rows[0, STATE], rows[0, TAIL], number
        slots[number] = slot
    return slots


@compiled
def fill_edges(ids, offsets, numbers, t):
    """Enter each entry (distinct), ids[offsets[n]:offsets[n + 1]] being its token slots, under the id numbers[n]."""
    capacity = t.tokens.size // 4
    for number in range(offsets.size - 1):
        node = ids[offsets[number]]
        table, place = t.tokens, 4 * node + 2
        for k in range(offsets[number] + 1, offsets[number + 1]):
            table[place] |= MORE
            t.tokens[4 * ids[k] + 2] |= INNER
            slot = add_edge(((node + 1) << 32) | ids[k], t)
            table, place = t.edges, 2 * slot + 1
            node = capacity + slot
        table[place] |= numbers[number] + 1


@compiled
def add_edge(key, t):
    """Slot of an edge, entered where it is new."""
    slot = edge_slot(key, t.edges)
    if slot < 0:
        slot = -1 - slot
        bit = edge_bit(key, t.seen)
        t.edges[2 * slot] = key
        t.seen[bit >> 6] |= 1 << (bit & 63)
    return slot


@compiled
def put(rows, count, state, tail, start, stop):
    """Write one row; returns the new count."""
    rows[count, STATE], rows[count, TAIL], rows[count, START], rows[count, STOP] = state, tail, start, stop
    return count + 1


@compiled
def cut(text, low, high, kind, rows):
    """Write the next tokens of text[low:high] into `rows`; returns (how many, where to go on, past `high` at the end).

    A token ends at each blank and around each mark, so adjacent ones have an empty token between them. A tail is the
    last bytes with the size, never 0, which marks a free slot.
    """
    state, word, start, count = 0, 0, low, 0
    for k in range(low, high + 1):
        byte = np.int64(text[k]) if k < high else -1
        if byte >= 0 and kind[byte] == PART:
            word = (word << 8) | byte
            if (k - start) & 7 == 7:
                state, word = fold(state, word), 0
            continue
        count = put(rows, count, state, (word << 8) | (min(k - start, 254) + 1), start, k)
        if byte >= 0 and kind[byte] == MARK:
            count = put(rows, count, 0, (byte << 8) | 2, k, k + 1)
        state, word, start = 0, 0, k + 1
        if count > rows.shape[0] - 2:
            return count, start
    return count, high + 1


@compiled
def emit(info, out, total):
    """Write the entry that ends at the node of `info`, if any; returns the new total."""
    if info & ID:
        out[total] = (info & ID) - 1
        return total + 1
    return total


@compiled
def extend(token, nodes, count, t, out, total):
    """Follow the edges by `token` from the `count` open `nodes`; returns (how many are open then, total)."""
    kept = 0
    for k in range(count):
        key = ((nodes[k] + 1) << 32) | token
        bit = edge_bit(key, t.seen)
        slot = edge_slot(key, t.edges) if (t.seen[bit >> 6] >> (bit & 63)) & 1 else -1
        if slot < 0:
            continue
        info = t.edges[2 * slot + 1]
        total = emit(info, out, total)
        if info & MORE:
            nodes[kept] = t.tokens.size // 4 + slot
            kept += 1
    return kept, total


@compiled
def match_one(text, low, high, scratch, t, out, total):
    """Append the ids of every entry occurrence in text[low:high]; returns (total, out), out grown where needed."""
    rows, nodes = scratch
    open_nodes = 0
    while low <= high:
        count, low = cut(text, low, high, t.kind, rows)
        if total + count * (t.depth + 1) > out.size:
            grown = np.empty(2 * out.size + count * (t.depth + 1), np.int32)
            grown[:total] = out[:total]
            out = grown
        for k in range(count):
            rows[k, STATE] = token_slot(rows[k], text, t.tokens, t.words, t.starts)
        for k in range(count):
            token = rows[k, STATE]
            info = t.tokens[4 * token + 2] if token >= 0 else 0
            open_nodes, total = extend(token, nodes, open_nodes if info & INNER else 0, t, out, total)
            total = emit(info, out, total)
            if info & MORE:
                nodes[open_nodes] = token
                open_nodes += 1
    return total, out


@compiled
def sort_once(out, start, total):
    """Sort out[start:total] and keep each id once; returns the new total.

    Shell's sort: for the few ids of a caption it is insertion, and it compiles in a tenth of the time of np.sort.
    """
    gap = max(1, (total - start) // 2)
    while gap:
        for k in range(start + gap, total):
            value, place = out[k], k
            while place - gap >= start and out[place - gap] > value:
                out[place] = out[place - gap]
                place -= gap
            out[place] = value
        gap = 1 if gap == 2 else gap * 5 // 11  # the step 2.2 (Gonnet, Handbook of Algorithms, 4.1.5)
    kept = start
    for k in range(start, total):
        if kept == start or out[k] != out[kept - 1]:
            out[kept] = out[k]
            kept += 1
    return kept


@compiled
def match_all(text, offsets, valid, t):
    """Entry ids of each caption, ascending, each once: (list offsets int64, shape (n + 1,); ids int32)."""
    count = offsets.size - 1
    out = np.empty(8 * count + 64, np.int32)
    ends = np.zeros(count + 1, np.int64)
    scratch = np.empty((ROWS, 4), np.int64), np.empty(t.depth + 1, np.int64)
    total = 0
    for k in range(count):
        start = total
        if valid[k]:
            total, out = match_one(text, offsets[k], offsets[k + 1], scratch, t, out, total)
            total = sort_once(out, start, total)
        ends[k + 1] = total
    return ends, out[:total]
