"""The compiled choice of the parts of a page that are parsed; imports numba, so it is imported late.

What is around a part must not change how it is parsed, and the part not what is around it. A single tag is such a part.
A figure or a picture element is one where every element that it holds ends within it, and none closes an element around
it (HTML Standard, 13.2.6.4.7).
"""

from curation.methods.compiled import compiled
from curation.sources import tag_kinds as kinds
from curation.sources.tag_kinds import number_of

START, CLOSE = 1, 2
SORT, NAME, FLAG, FIRST, BEHIND = range(5)  # columns of the table of tags
P, LI, DT, DD = map(number_of, ("p", "li", "dt", "dd"))


@compiled
def closed_by(stack, depth, name, flags):
    """How deep the elements nest after an end tag; -1 if in doubt."""
    if flags & kinds.VOID or (name == P and stack[depth - 1, 0] != P):
        return depth  # ignored, or makes an element of its own, or ends one that another start tag has ended
    while depth > 1 and stack[depth - 1, 0] != name and stack[depth - 1, 1] & kinds.IMPLIED:
        depth -= 1
    return depth - 1 if stack[depth - 1, 0] == name else -1


@compiled
def opened_by(stack, depth, name, flags):
    """How deep the elements nest before the element of a start tag; -1 if in doubt."""
    top, top_flags = stack[depth - 1, 0], stack[depth - 1, 1]
    if flags & kinds.IMPLIED and (top == name or (top in (DT, DD) and name in (DT, DD))):
        return depth - 1
    if flags & kinds.HEADING and top_flags & kinds.HEADING:
        return -1
    if flags & kinds.HOLDER or name in (LI, DT, DD):
        for k in range(depth - 1, -1, -1):
            below, its = stack[k, 0], stack[k, 1]
            if flags & kinds.HOLDER and its & kinds.HOLDER:
                return -1
            if not flags & kinds.HOLDER and its & kinds.LIST:
                return depth
            if below == name or (below in (DT, DD) and name in (DT, DD)):
                return -1
    return depth


@compiled
def part(tags, k, count, held, stack):
    """(row behind the element whose start tag is row k, flags of all that is in it); row -1 if in doubt."""
    stack[0, 0], stack[0, 1] = tags[k, NAME], 0
    is_picture = tags[k, FLAG] & kinds.PICTURE
    depth, seen = 1, 0
    for row in range(k + 1, count):
        name, flags = tags[row, NAME], tags[row, FLAG]
        if tags[row, SORT] == CLOSE:
            depth = closed_by(stack, depth, name, flags)
            if depth <= 0:
                return (row + 1 if depth == 0 else -1), seen
            continue
        seen |= flags
        if flags & kinds.SHIFTING or (held and flags & kinds.HOLDER) or (is_picture and not flags & kinds.PHRASE):
            break
        depth = opened_by(stack, depth, name, flags)
        if depth < 0 or depth == len(stack):
            break
        if not flags & kinds.VOID:
            stack[depth, 0], stack[depth, 1] = name, flags
            depth += 1
    return -1, seen


@compiled
def parts_of(tags, count, stack, spans):
    """How many parts of a page its images depend on, 0 where it shows none, -1 if in doubt.

    Each has its first byte and the byte behind it in SPANS.
    """
    found = row = template = held = doubt = shown = 0
    while row < count:
        flags, k = tags[row, FLAG], row
        row += 1
        if tags[k, SORT] == CLOSE:
            template -= 1 if flags & kinds.TEMPLATE and template else 0
            held -= 1 if flags & kinds.HOLDER and held else 0
            continue
        template += 1 if flags & kinds.TEMPLATE else 0
        held += 1 if flags & kinds.HOLDER else 0
        if template:
            continue
        doubt |= flags & (kinds.FIGCAPTION | kinds.SOURCE)
        is_kept = flags & (kinds.PICTURE_OF_IT | kinds.PAGE | kinds.META | kinds.LINK)
        if flags & (kinds.FIGURE | kinds.PICTURE):
            after, seen = part(tags, k, count, held, stack)
            doubt |= (seen & (kinds.FIGCAPTION | kinds.SOURCE)) | (flags if after < 0 else 0)
            is_kept = (
                after >= 0
                and seen & kinds.PICTURE_OF_IT
                and seen & (kinds.FIGCAPTION if flags & kinds.FIGURE else kinds.SOURCE)
            )
            row = after if is_kept else row
            flags |= seen if is_kept else 0
        shown |= flags & kinds.PICTURE_OF_IT
        if is_kept:
            spans[found, 0], spans[found, 1] = tags[k, FIRST], tags[row - 1, BEHIND]
            found += 1
    figures, pictures = kinds.FIGURE | kinds.FIGCAPTION, kinds.PICTURE | kinds.SOURCE
    if doubt & figures == figures or doubt & pictures == pictures:
        return -1
    return found if shown else 0
