"""The compiled cut of a WAT record: its images' texts as a JSON list; imports numba, so it is imported only there.

It goes over the JSON once, 32 bytes at a time, and looks closer only where two or four bytes in a row are those that it
looks for; the plain loop over a block is what the compiler turns into vector instructions.
"""

from curation.methods.compiled import compiled

BLOCK = 32
MARGIN = 4  # bytes behind a block that are looked at
QUOTE, BACKSLASH, COMMA, COLON, BRACE, OPEN, SHUT = map(ord, '"\\,:}[]')
G, AT, C, E, N, LOW_I, LOW_M, LOW_O = map(ord, "G@cenimo")
NAMES = (b"url", b"alt", b"title")


@compiled
def next_block(body, i, end):
    """The first block from i on that may hold an image link or part of a licence's name: "G@", "icen", "mmon"."""
    i = max(i, 0)
    while i + BLOCK + MARGIN <= end:
        block = body[i : i + BLOCK + MARGIN]  # its indices need no check for negative ones, which would not be vectors
        hit = False
        for k in range(BLOCK):
            first, second, third, fourth = block[k], block[k + 1], block[k + 2], block[k + 3]
            hit |= (
                ((first == G) & (second == AT))
                | ((first == LOW_I) & (second == C) & (third == E) & (fourth == N))
                | ((first == LOW_M) & (second == LOW_M) & (third == LOW_O) & (fourth == N))
            )
        if hit:
            return i
        i += BLOCK
    return i


@compiled
def is_text(body, i, end, text):
    """Whether TEXT stands at i."""
    if i < 0 or i + len(text) > end:
        return False
    for k in range(len(text)):
        if body[i + k] != text[k]:
            return False
    return True


@compiled
def close_of_string(body, i, end):
    """The quote that ends the string whose content begins at i; -1 for none."""
    while i < end and body[i] != QUOTE:
        i += 2 if body[i] == BACKSLASH else 1
    return i if i < end else -1


@compiled
def fields_of(body, i, end, spans):
    """The values of url, alt and title as SPANS of the rest of an object of strings that goes on at i; false for others."""
    for k in range(len(NAMES)):
        spans[k, 0] = spans[k, 1] = 0
    while i < end and body[i] == COMMA and is_text(body, i + 1, end, b'"'):
        first = i + 2
        close = close_of_string(body, first, end)
        if close < 0 or not is_text(body, close, end, b'":"'):
            return False
        i = close_of_string(body, close + 3, end)
        if i < 0:
            return False
        for k in range(len(NAMES)):
            if close - first == len(NAMES[k]) and is_text(body, first, end, NAMES[k]):
                spans[k, 0], spans[k, 1] = close + 3, i
        i += 1
    return i < end and body[i] == BRACE


@compiled
def written(body, spans, out, size):
    """OUT with the three strings of an image added, each with a comma behind it; its new size."""
    for k in range(len(NAMES)):
        out[size] = QUOTE
        size += 1
        for i in range(spans[k, 0], spans[k, 1]):
            out[size] = body[i]
            size += 1
        out[size] = QUOTE
        out[size + 1] = COMMA
        size += 2
    return size


@compiled
def looked_at(body, i, end, spans, out, size):
    """(new size of OUT, whether a licence is named) after a closer look at i; size -1 if in doubt."""
    if body[i] != G:
        return size, is_text(body, i - 8, end, b'"rel":"license') or is_text(body, i - 10, end, b"creativecommons.org/")
    if not is_text(body, i - 2, end, b'IMG@/src"'):
        return (-1 if is_text(body, i - 2, end, b"IMG@\\") else size), False
    if not is_text(body, i - 11, end, b'{"path":"') or not fields_of(body, i + 7, end, spans):
        return -1, False
    if spans[1, 0] == spans[1, 1] and spans[2, 0] == spans[2, 1]:
        return size, False
    return written(body, spans, out, size), False


@compiled
def images_of(body, out, spans):
    """(bytes of OUT, whether a licence is named), OUT a JSON list of url, alt and title of each image with a text.

    The strings are as they stand in the JSON. Bytes are -1 where the JSON is laid out in another way.
    """
    out[0] = OPEN
    size, licensed, i, end = 1, False, 0, len(body)
    while i < end:
        i = next_block(body, i, end)
        for j in range(i, min(i + BLOCK, end)):
            if body[j] in (G, LOW_I, LOW_M):
                size, names = looked_at(body, j, end, spans, out, size)
                licensed |= names
            if size < 0:
                return -1, licensed
        i += BLOCK
    size -= 1 if size > 1 else 0  # the last comma
    out[size] = SHUT
    return size + 1, licensed
