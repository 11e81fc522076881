"""The compiled scan of a page's tags; imports numba, so it is imported only where pages are read.

It follows the tokenizer of the HTML Standard (13.2.5) to the letter, with as much of tree construction (13.2.6) as
decides where tags are text; where that is in doubt it says so.
"""

from curation.methods.compiled import compiled
from curation.sources.tag_kinds import (
    BLANK, BYTES, EQUALS, FACTOR, FIGURE, FLAGS, FOREIGN, GREATER, HTML_ONLY, KEYS, LAST, LINK, META, OF_ITSELF,
    PICTURE, RAW, SLASH, SLOTS, TEXTUAL, UNSURE, number_of,
)  # fmt: skip

LT, GT, LEAN, BANG, ASK, DASH, QUOTE, APOSTROPHE, AND, HASH = map(ord, "<>/!?-\"'&#")
LOW_B, LOW_C, LOW_D, LOW_E, LOW_I, LOW_L, LOW_M, LOW_O, LOW_T = map(ord, "bcdeilmot")
SCRIPT, MATH = number_of("script"), number_of("math")
FULL = -2  # there are more tags than rows
END, START, CLOSE = 0, 1, 2  # of the page, of an element, of an element's content
# Parts of licen[cs]e, creativecommons, robots, tdm-reservation and content-language.
HINTS = tuple(int.from_bytes(hint, "big") for hint in (b"icen", b"mmon", b"obot", b"tdm-", b"nt-l"))
BLOCK = 32


@compiled
def is_letter(byte):
    """Whether a tag's name may begin with it."""
    return 97 <= byte <= 122 or 65 <= byte <= 90


@compiled
def flags_of(name):
    """The flags of `tag_kinds` for the number of a name; 0 for names that are not there."""
    slot = name & SLOTS - 1
    while KEYS[slot] != 0:
        if KEYS[slot] == name:
            return FLAGS[slot]
        slot = slot + 1 & SLOTS - 1
    return 0


@compiled
def name_at(page, i, end):
    """The number of the name that begins at i, and the byte behind it."""
    name = 1
    while i < end:
        byte = page[i]
        if BYTES[byte] & (BLANK | SLASH | GREATER):
            break
        name = name * FACTOR + (byte + 32 if 65 <= byte <= 90 else byte)
        i += 1
    return name, i


@compiled
def close_of_tag(page, i, end):
    """The byte behind the tag whose name ends at i, and whether it closes itself; (-1, False) where it does not end."""
    while True:
        while i < end and BYTES[page[i]] & (BLANK | SLASH):
            i += 1
        if i >= end:
            return -1, False
        if page[i] == GT:
            return i + 1, BYTES[page[i - 1]] & SLASH != 0
        i += 1  # a first "=" is part of the attribute's name
        while i < end and BYTES[page[i]] == 0:
            i += 1
        while i < end and BYTES[page[i]] & BLANK:
            i += 1
        if i >= end:
            return -1, False
        if not BYTES[page[i]] & EQUALS:
            continue
        i = close_of_value(page, i + 1, end)
        if i < 0 or i >= end:
            return -1, False
        if page[i] == GT:
            return i + 1, False


@compiled
def close_of_value(page, i, end):
    """The byte behind the attribute value that comes after i; -1 where it does not end."""
    while i < end and BYTES[page[i]] & BLANK:
        i += 1
    if i >= end:
        return -1
    mark = page[i]
    if mark not in (QUOTE, APOSTROPHE):
        while i < end and not BYTES[page[i]] & (BLANK | GREATER):
            i += 1
        return i
    i += 1
    while i < end and page[i] != mark:
        i += 1
    return i + 1 if i < end else -1


@compiled
def past_markup(page, i, end, foreign):
    """The byte behind the comment, declaration or stray sign that the "<" at i begins."""
    second = page[i + 1]
    if second == LEAN:
        if i + 2 >= end:
            return end
    elif second == BANG and i + 3 < end and page[i + 2] == DASH and page[i + 3] == DASH:
        return past_comment(page, i + 4, end)
    elif second == BANG and foreign and is_text(page, i + 2, end, b"[CDATA["):
        while i < end and not is_text(page, i, end, b"]]>"):
            i += 1
        return i + 3
    elif second not in (BANG, ASK):
        return i + 1
    while i < end and page[i] != GT:
        i += 1
    return i + 1


@compiled
def past_comment(page, i, end):
    """The byte behind a comment whose content begins at i."""
    if i < end and page[i] == GT:
        return i + 1
    if i + 1 < end and page[i] == DASH and page[i + 1] == GT:
        return i + 2
    while i + 2 < end:
        if page[i] == DASH and page[i + 1] == DASH:
            if page[i + 2] == GT:
                return i + 3
            if page[i + 2] == BANG and i + 3 < end and page[i + 3] == GT:
                return i + 4
        i += 1
    return end


@compiled
def is_text(page, i, end, text):
    """Whether TEXT stands at i."""
    if i + len(text) > end:
        return False
    for k in range(len(text)):
        if page[i + k] != text[k]:
            return False
    return True


@compiled
def next_tag(page, i, end, foreign):
    """(sort, name, first byte, byte behind, closes itself) of the next tag from i on."""
    while i < end:
        while i < end and page[i] != LT:
            i += 1
        if i + 1 >= end:
            break
        sort = CLOSE if page[i + 1] == LEAN else START
        if i + sort < end and is_letter(page[i + sort]):
            name, behind = name_at(page, i + sort, end)
            behind, closed = close_of_tag(page, behind, end)
            return (END, 0, end, end, False) if behind < 0 else (sort, name, i, behind, closed)
        i = past_markup(page, i, end, foreign)
    return END, 0, end, end, False


@compiled
def close_of_raw(page, i, end, name):
    """Where the end tag of a raw text element stands whose content begins at i; `end` for none, -1 if in doubt."""
    commented = False
    while i + 1 < end:
        if page[i] != LT:
            i += 1
            continue
        if page[i + 1] == LEAN:
            found, behind = name_at(page, i + 2, end)
            if found == name and behind < end:
                return i
        elif name == SCRIPT and commented and name_at(page, i + 1, end)[0] == SCRIPT:
            return -1  # 13.2.5.18: a script within a comment within a script
        commented = commented or is_text(page, i, end, b"<!--")
        i += 1
    return end


@compiled
def past_foreign(page, i, end, root, stack):
    """The byte behind the end tag of an svg or math element whose content begins at i; -1 if in doubt."""
    stack[0] = root
    depth = 1
    while True:
        sort, name, first, i, closed = next_tag(page, i, end, True)
        flags = flags_of(name)
        if sort == END or flags & HTML_ONLY or (root == MATH and flags & RAW):
            return -1
        if sort == CLOSE:
            if stack[depth - 1] != name:
                return -1
            depth -= 1
            if depth == 0:
                return i
        elif flags_of(stack[depth - 1]) & TEXTUAL or depth == len(stack) or (flags & LINK and hints(page, first, i)):
            return -1
        elif not closed:
            stack[depth] = name
            depth += 1


@compiled
def may_hint(page, i, end):
    """Whether the bytes may hold one of HINTS, by two or three letters of each: false is sure, as for most links."""
    while i < end and i + BLOCK + 2 <= len(page):
        block = page[i : i + BLOCK + 2]  # its indices need no check for negative ones, which would not be vectors
        hit = False
        for k in range(BLOCK):
            one, two, three = block[k] | 32, block[k + 1] | 32, block[k + 2] | 32
            hit |= (
                ((one == LOW_I) & (two == LOW_C) & (three == LOW_E))
                | ((one == LOW_M) & (two == LOW_M))
                | ((one == LOW_O) & (two == LOW_B) & (three == LOW_O))
                | ((one == LOW_D) & (two == LOW_M) & (three == DASH))
                | ((one == LOW_T) & (two == DASH) & (three == LOW_L))
                | ((one == AND) & (two == HASH))
            )
        if hit:
            return True
        i += BLOCK
    return i < end


@compiled
def hints(page, i, end):
    """Whether a link or meta tag may be of use: it has part of such a word, or what may stand for one."""
    if not may_hint(page, i, end):
        return False
    last = 0
    for k in range(i, end):
        last = (last << 8 | page[k] | 32) & 0xFFFFFFFF
        if last in HINTS or (last & 0xFFFF) == 0x2623:  # "&#"
            return True
    return False


@compiled
def tags_of(page, tags, stack):
    """The tags of a page, a row of TAGS each: sort, name, flags, first byte, byte behind. How many, or -1 if in doubt, or FULL.

    What svg and math elements hold is left out, as are tags in raw text, and up to the first figure or picture what
    matters only in one. LINK and META are set on what hints at a use only.
    """
    i, count, end, in_part = 0, 0, len(page), False
    while True:
        sort, name, first, i, closed = next_tag(page, i, end, False)
        flags = flags_of(name)
        if sort == END or flags & LAST:
            return count
        if sort == START and flags & (LINK | META) and not hints(page, first, i):
            flags &= ~(LINK | META)
        if sort == START and flags & FOREIGN:
            i = i if closed else past_foreign(page, i, end, name, stack)
        elif in_part or flags & OF_ITSELF:
            if count == len(tags):
                return FULL
            in_part |= flags & (FIGURE | PICTURE) != 0
            tags[count, 0], tags[count, 1], tags[count, 2], tags[count, 3], tags[count, 4] = sort, name, flags, first, i
            count += 1
        if sort == START and flags & RAW:
            i = close_of_raw(page, i, end, name)
        if i < 0 or flags & UNSURE:
            return -1
