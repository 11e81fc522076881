"""The parts of a page that its images depend on, cut out by a compiled scan, so that a parser need not see the rest."""

import numpy as np

ROWS = 16384  # more than the tags of nearly all pages; room that is taken is only that which is used
OPEN_ELEMENTS = 256  # assumption: what is nested deeper within one figure is left to the parser
START = b"<!doctype html>"


def essence(page: bytes) -> bytes | None:
    """The parts of a UTF-8 page that are parsed as the page would be, as one short page; b"" where it shows no image.

    The images, licence links, html, base and meta elements of the result are those of the page, in the order of its
    text, in the same figures and pictures. Null where that is in doubt and the whole page must be parsed.
    """
    from curation.sources.parts_kernel import parts_of  # imports numba
    from curation.sources.tags_kernel import FULL, tags_of

    data, stack = np.frombuffer(page, np.uint8), np.empty((OPEN_ELEMENTS, 2), np.int64)
    tags = np.empty((ROWS, 5), np.int64)
    count = tags_of(data, tags, np.empty(OPEN_ELEMENTS, np.int64))
    if count == FULL:
        tags = np.empty((page.count(b"<"), 5), np.int64)
        count = tags_of(data, tags, np.empty(OPEN_ELEMENTS, np.int64))
    spans = np.empty((max(count, 0), 2), np.int64)
    found = parts_of(tags, count, stack, spans) if count >= 0 else -1
    if found <= 0:
        return None if found else b""
    parts = [page[first:behind] for first, behind in spans[:found].tolist()]
    return b"".join((START, *parts))
