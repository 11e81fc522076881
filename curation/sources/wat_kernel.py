"""The compiled cut of a WAT record: its images' texts as a JSON list; imports numba, so it is imported only there.

It goes over the JSON once, 32 bytes at a time, and looks closer only where two or four bytes in a row are those that it
looks for; the plain loop over a block is what the compiler turns into vector instructions.
"""

import numpy as np

from curation.methods.compiled import compiled
from curation.sources.found import CAPTION_CHARS

BLOCK = 32
REL_BYTES = 64  # of a rel in which a licence is looked for
MARGIN = 4  # bytes behind a block that are looked at
QUOTE, BACKSLASH, COMMA, COLON, BRACE, OPEN, SHUT = map(ord, '"\\,:}[]')
G, AT, C, E, N, LOW_I, LOW_M, LOW_O = map(ord, "G@cenimo")
DOT, PERCENT, TWO = map(ord, ".%2")
NAMES = (b"url", b"alt", b"title")
# How a URL is made absolute: it is that, by a scheme, a host or a folder in front; or it must be looked at.
URL, HOSTED, ROOTED, RELATIVE, ODD = b"USHF-"
SLASH, ASK = b"/?"


def _classes() -> np.ndarray:
    """What each byte may be in: flags as below."""
    alphanumeric = bytes(range(48, 58)) + LETTERS
    path = alphanumeric + b"!$%&'()*+,.=@_~-"
    found = np.zeros(256, np.uint8)
    for flag, members in (
        (LETTER, LETTERS),
        (HOST, LETTERS[26:] + bytes(range(48, 58)) + b".-"),
        (IN_URL, path + b"/:;?[]"),
        (IN_PATH, path + b"/"),
        (IN_QUERY, path + b"/:"),
        (STEP, path.replace(b".", b"")),
    ):
        found[list(members)] |= flag
    return found


LETTERS = bytes(range(65, 91)) + bytes(range(97, 123))
LETTER, HOST, IN_URL, IN_PATH, IN_QUERY, STEP = 1, 2, 4, 8, 16, 32
CLASSES = _classes()


@compiled
def next_block(body, i, end):
    """The first block from i on that may hold an image link or part of a licence's name: "G@", "icen", "mmon"."""
    i = max(i, 0)
    while i + BLOCK + MARGIN <= end:
        block = body[i : i + BLOCK + MARGIN]  # its indices need no check for negative ones, which would not be vectors
        hit = False
        for k in range(BLOCK):
            first, second, third, fourth = block[k] | 32, block[k + 1] | 32, block[k + 2] | 32, block[k + 3] | 32
            hit |= (
                ((block[k] == G) & (block[k + 1] == AT))
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
    """Whether the rest of an object at i is of strings; SPANS are then the values of its url, alt and title."""
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
def is_caption(body, first, end):
    """Whether a string is a caption as it stands: a letter in it, no escape, not too long."""
    lettered = False
    for i in range(first, end):
        if body[i] == BACKSLASH:
            return False
        lettered |= CLASSES[body[i]] & LETTER != 0
    return lettered and end - first <= CAPTION_CHARS


@compiled
def is_dot(body, i, end):
    """Whether a dot stands at i, as such or encoded: a path segment that begins so may be a dot segment."""
    if body[i] == PERCENT:
        return i + 2 < end and body[i + 1] == TWO and body[i + 2] | 32 == E
    return body[i] == DOT


@compiled
def sort_of_url(body, i, end):
    """What is to be put in front of a URL that `urls.absolute_url` takes as it stands; ODD for others."""
    scheme = 5 if is_text(body, i, end, b"http://") else 6 if is_text(body, i, end, b"https://") else 0
    if is_text(body, i + scheme, end, b"//"):
        host = i = i + scheme + 2
        while i < end and CLASSES[body[i]] & HOST:
            i += 1
        if i in (host, end) or body[i] != SLASH:  # a port is odd enough
            return ODD
        while i < end and CLASSES[body[i]] & IN_URL and not (body[i - 1] == SLASH and is_dot(body, i, end)):
            i += 1
        return ODD if i < end else URL if scheme else HOSTED
    sort = ROOTED if i < end and body[i] == SLASH else RELATIVE
    i += 1 if sort == ROOTED else 0
    after = SLASH
    while i < end and body[i] != ASK:
        if not CLASSES[body[i]] & (STEP if after == SLASH else IN_PATH) or (after == SLASH and is_dot(body, i, end)):
            return ODD
        after = body[i]
        i += 1
    if i < end and (after == SLASH or i + 1 == end):
        return ODD
    while i + 1 < end:
        i += 1
        if not CLASSES[body[i]] & IN_QUERY:
            return ODD
    return ODD if body[end - 1] == SLASH else sort


@compiled
def written(body, spans, out, size):
    """OUT with the three strings of an image and how they may be taken added, a comma behind each; its new size."""
    sort = sort_of_url(body, spans[0, 0], spans[0, 1]) if spans[0, 1] > spans[0, 0] else ODD
    if not is_caption(body, spans[1, 0], spans[1, 1]):
        sort = ODD
    if spans[2, 1] > spans[2, 0] and not is_caption(body, spans[2, 0], spans[2, 1]):
        sort = ODD
    for k in range(len(NAMES)):
        out[size] = QUOTE
        size += 1
        for i in range(spans[k, 0], spans[k, 1]):
            out[size] = body[i]
            size += 1
        out[size] = QUOTE
        out[size + 1] = COMMA
        size += 2
    out[size], out[size + 1], out[size + 2], out[size + 3] = QUOTE, sort, QUOTE, COMMA
    return size + 4


@compiled
def is_word(body, i, end, word):
    """Whether WORD, lower-case, stands at i in letters of either case; other signs may pass for its signs."""
    if i + len(word) > end:
        return False
    for k in range(len(word)):
        if body[i + k] | 32 != word[k]:
            return False
    return True


@compiled
def names_license(body, i, end):
    """Whether it may be a licence link: a host's "mmons.org/" at i, or "icen" within the value of a rel."""
    if is_word(body, i, end, b"mmons.org/"):
        return True
    if not is_word(body, i, end, b"icen"):
        return False
    first = i
    while first > 0 and i - first < REL_BYTES and body[first] != QUOTE:
        first -= 1
    return is_text(body, first - 6, end, b'"rel":"')


@compiled
def looked_at(body, i, end, spans, out, size):
    """The new size of OUT after a closer look at what may be an image link at i; -1 if in doubt."""
    if not is_text(body, i - 2, end, b'IMG@/src"'):
        return -1 if is_text(body, i - 2, end, b"IMG@\\") else size
    if not is_text(body, i - 11, end, b'{"path":"') or not fields_of(body, i + 7, end, spans):
        return -1
    if spans[1, 0] == spans[1, 1] and spans[2, 0] == spans[2, 1]:
        return size
    return written(body, spans, out, size)


@compiled
def images_of(body, out, spans, licences):
    """(bytes of OUT, how many LICENCES), OUT a JSON list of url, alt, title and the letter of a sort of each image
    with a text, LICENCES places within links that may name one.

    The strings are as they stand in the JSON. Bytes are -1 where the JSON is laid out in another way.
    """
    out[0] = OPEN
    size, count, i, end = 1, 0, 0, len(body)
    while i < end:
        i = next_block(body, i, end)
        for j in range(i, min(i + BLOCK, end)):
            if body[j] == G:
                size = looked_at(body, j, end, spans, out, size)
            elif body[j] | 32 in (LOW_I, LOW_M) and names_license(body, j, end):
                licences[count % len(licences)] = j
                count += 1
            if size < 0 or count > len(licences):
                return -1, 0
        i += BLOCK
    size -= 1 if size > 1 else 0  # the last comma
    out[size] = SHUT
    return size + 1, count
