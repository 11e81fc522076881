"""The compiled scan of a page's tags; imports numba, so it is imported late.

It follows the tokenizer of the HTML Standard (13.2.5) to the letter, with as much of tree construction (13.2.6) as
decides where tags are text; where that is in doubt it says so.
"""

from curation.methods.compiled import compiled
from curation.sources import tag_kinds as kinds
from curation.sources.tag_kinds import number_of

LT, GT, LEAN, BANG, ASK, DASH, QUOTE, APOSTROPHE, AND, HASH = map(ord, "<>/!?-\"'&#")
SCRIPT, MATH = number_of("script"), number_of("math")
FULL = -2  # there are more tags than rows
END, START, CLOSE = 0, 1, 2  # of the page, of an element, of an element's content
# Parts of licen[cs]e, creativecommons, robots, tdm-reservation and content-language.
HINTS = tuple(int.from_bytes(hint, "big") for hint in (b"icen", b"mmon", b"obot", b"tdm-", b"nt-l"))


@compiled
def is_letter(byte):
    """Whether a tag's name may begin with it."""
    return 97 <= byte <= 122 or 65 <= byte <= 90


@compiled
def flags_of(name):
    """The flags of `tag_kinds` for the number of a name; 0 for names that are not there."""
    slot = name & kinds.SLOTS - 1
    while kinds.KEYS[slot] != 0:
        if kinds.KEYS[slot] == name:
            return kinds.FLAGS[slot]
        slot = slot + 1 & kinds.SLOTS - 1
    return 0


@compiled
def name_at(page, i, end):
    """The number of the name that begins at i, and the byte behind it."""
    name = 1
    while i < end:
        byte = page[i]
        if kinds.BYTES[byte] & (kinds.BLANK | kinds.SLASH | kinds.GREATER):
            break
        name = name * kinds.FACTOR + (byte + 32 if 65 <= byte <= 90 else byte)
        i += 1
    return name, i


@compiled
def close_of_tag(page, i, end):
    """The byte behind the tag whose name ends at i, and whether it closes itself; (-1, False) where it does not end."""
    while True:
        while i < end and kinds.BYTES[page[i]] & (kinds.BLANK | kinds.SLASH):
            i += 1
        if i >= end:
            return -1, False
        if page[i] == GT:
            return i + 1, kinds.BYTES[page[i - 1]] & kinds.SLASH != 0
        i += 1  # a first "=" is part of the attribute's name
        while i < end and kinds.BYTES[page[i]] == 0:
            i += 1
        while i < end and kinds.BYTES[page[i]] & kinds.BLANK:
            i += 1
        if i >= end:
            return -1, False
        if not kinds.BYTES[page[i]] & kinds.EQUALS:
            continue
        i = close_of_value(page, i + 1, end)
        if i < 0 or i >= end:
            return -1, False
        if page[i] == GT:
            return i + 1, False


@compiled
def close_of_value(page, i, end):
    """The byte behind the attribute value that comes after i; -1 where it does not end."""
    while i < end and kinds.BYTES[page[i]] & kinds.BLANK:
        i += 1
    if i >= end:
        return -1
    mark = page[i]
    if mark not in (QUOTE, APOSTROPHE):
        while i < end and not kinds.BYTES[page[i]] & (kinds.BLANK | kinds.GREATER):
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
        if sort == END or flags & kinds.HTML_ONLY or (root == MATH and flags & kinds.RAW):
            return -1
        if sort == CLOSE:
            if stack[depth - 1] != name:
                return -1
            depth -= 1
            if depth == 0:
                return i
        elif (
            flags_of(stack[depth - 1]) & kinds.TEXTUAL
            or depth == len(stack)
            or (flags & kinds.LINK and hints(page, first, i))
        ):
            return -1
        elif not closed:
            stack[depth] = name
            depth += 1


@compiled
def hints(page, i, end):
    """Whether a link or meta tag may be of use: it has part of such a word, or what may stand for one."""
    last = 0
    for k in range(i, end):
        last = (last << 8 | page[k] | 32) & 0xFFFFFFFF
        if last in HINTS or (last & 0xFFFF) == 0x2623:  # "&#"
            return True
    return False


@compiled
def tags_of(page, tags, stack):
    """How many tags a page has, -1 if in doubt, or FULL; in TAGS sort, name, flags, first byte, byte behind of each.

    What svg and math elements hold is left out, as are tags in raw text, and up to the first figure or picture what
    matters only in one. LINK and META are set on what hints at a use only.
    """
    i, count, end, in_part = 0, 0, len(page), False
    while True:
        sort, name, first, i, closed = next_tag(page, i, end, False)
        flags = flags_of(name)
        if sort == END or (sort == START and flags & kinds.LAST):
            return count
        if sort == START and flags & (kinds.LINK | kinds.META) and not hints(page, first, i):
            flags &= ~(kinds.LINK | kinds.META)
        if sort == START and flags & kinds.FOREIGN:
            i = i if closed else past_foreign(page, i, end, name, stack)
        elif in_part or flags & kinds.OF_ITSELF:
            if count == len(tags):
                return FULL
            in_part |= flags & (kinds.FIGURE | kinds.PICTURE) != 0
            tags[count, 0], tags[count, 1], tags[count, 2], tags[count, 3], tags[count, 4] = sort, name, flags, first, i
            count += 1
        if sort == START and flags & kinds.RAW:
            i = close_of_raw(page, i, end, name)
        if i < 0 or flags & kinds.UNSURE:
            return -1
