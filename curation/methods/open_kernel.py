"""The compiled loops for entries that need no blank on one side or both; `match_kernel` has the others.

Such entries (of scripts written without blanks, or edged by punctuation) are a trie over characters. Its edges are one
open-addressing table, 2 words a slot: node and character (the key), flags and the entry id plus one. A node is the slot
of the edge that leads to it plus one, the root is 0. A walk starts at every character of a caption and ends at the
first missing edge, for most characters at once.
"""

import numpy as np

from curation.methods.compiled import compiled

BLANK, MARK = 1, 2  # as in match_kernel, which gives the kinds of bytes
SPACE, MALFORMED = 0x20, 0xFFFD
ID, MORE = 0xFFFFFFFF, 1 << 32  # of the second word: the entry id plus one; longer entries go on from here
MIX = -7046029254386353131  # 2^64 / golden ratio as int64 (Knuth, TAOCP 6.4)


@compiled
def slot_of(key, edges):
    """Slot of an edge, or minus one minus the free slot where it belongs."""
    last = edges.size // 2 - 1
    slot = ((key * MIX) >> 20) & last
    while edges[2 * slot] != 0:
        if edges[2 * slot] == key:
            return slot
        slot = (slot + 1) & last
    return -1 - slot


@compiled
def fill_open(points, offsets, numbers, edges):
    """Enter each entry, points[offsets[n]:offsets[n + 1]] being its characters and blanks, under the id numbers[n]."""
    for number in range(offsets.size - 1):
        node = 0
        for k in range(offsets[number], offsets[number + 1]):
            if node:
                edges[2 * node - 1] |= MORE
            slot = slot_of(((node + 1) << 32) | points[k], edges)
            if slot < 0:
                slot = -1 - slot
                edges[2 * slot] = ((node + 1) << 32) | points[k]
            node = slot + 1
        edges[2 * node - 1] |= numbers[number] + 1


@compiled
def character(text, place, high):
    """(code point, place of the next one) of UTF-8; a byte that begins none is a character of its own."""
    first = np.int64(text[place])
    size = 1 if first < 0xC0 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    if size == 1 or place + size > high:
        return (first if first < 0x80 else MALFORMED), place + 1
    point = first & (0x7F >> size)
    for k in range(place + 1, place + size):
        point = (point << 6) | (np.int64(text[k]) & 0x3F)
    return point, place + size


@compiled
def spaced(text, low, high, kind, points):
    """Write the characters of text[low:high], spaces around it and each mark and for each blank; returns how many."""
    points[0], count, place = SPACE, 1, low
    while place < high:
        found = kind[text[place]]
        if found == MARK:
            points[count] = SPACE
            count += 1
        points[count], place = character(text, place, high)
        if found == BLANK:
            points[count] = SPACE
        count += 1
        if found == MARK:
            points[count] = SPACE
            count += 1
    points[count] = SPACE
    return count + 1


@compiled
def walk(points, start, count, edges, out, total):
    """Append the ids of the entries that begin at points[start]; returns the new total."""
    node = 0
    for k in range(start, count):
        slot = slot_of(((node + 1) << 32) | points[k], edges)
        if slot < 0:
            return total
        info = edges[2 * slot + 1]
        if info & ID:
            out[total] = (info & ID) - 1
            total += 1
        if not info & MORE:
            return total
        node = slot + 1
    return total


@compiled
def match_open(text, offsets, valid, edges, kind, depth):
    """Ids of the entries that occur in each caption, once per occurrence: (ends int64 of shape (n + 1,), ids int32)."""
    count = offsets.size - 1
    longest = 0
    for k in range(count):
        longest = max(longest, offsets[k + 1] - offsets[k] if valid[k] else 0)
    points = np.empty(3 * longest + 2, np.int64)
    out = np.empty(8 * count + 64, np.int32)
    ends = np.zeros(count + 1, np.int64)
    total = 0
    for k in range(count):
        size = spaced(text, offsets[k], offsets[k + 1], kind, points) if valid[k] else 0
        if total + size * depth > out.size:
            grown = np.empty(2 * out.size + size * depth, np.int32)
            grown[:total] = out[:total]
            out = grown
        for place in range(size):
            total = walk(points, place, size, edges, out, total)
        ends[k + 1] = total
    return ends, out[:total]
