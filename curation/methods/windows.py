"""Windows over the tokens of a caption that is longer than a text tower's context."""

from curation.errors import unknown

CONTEXT = 77  # CLIP's context length in tokens (arXiv:2103.00020, section 2.4)
OVERLAP = 7  # tokens that two windows share: windows of 77, step 70 (ClipMD's ClipMDModel.py)


def caption_windows(n_tokens: int, mode: str, context: int = CONTEXT) -> list[tuple[int, int]]:
    """(start, end) of each window over a caption's tokens, half-open, in order, at least one.

    Places count in the whole stream of `n_tokens` (at least 2): start token, content, end token. "content": windows of
    75 of the content tokens, each to be put between a start and an end token of its own, sharing 7 with the one before;
    the last has at least one that no other has. "clipmd": as ClipMD has them, windows of 77 of the whole stream, of
    which only the first holds the start and only the last the end token; where (n_tokens - 77) % 70 is 0 the last holds
    7 tokens that are covered already. `context`: another length than 77. RecipeError for another mode.

    >>> caption_windows(77, "content"), caption_windows(78, "content")
    ([(1, 76)], [(1, 76), (69, 77)])
    >>> caption_windows(78, "clipmd"), caption_windows(147, "clipmd")
    ([(0, 77), (70, 78)], [(0, 77), (70, 147), (140, 147)])
    """
    if mode == "content":
        first, end, size = 1, n_tokens - 1, context - 2
        starts = range(first, max(first + 1, end - OVERLAP), size - OVERLAP)
    elif mode == "clipmd":
        first, end, size = 0, n_tokens, context
        starts = range(first, max(first + 1, end - OVERLAP + (n_tokens > context)), size - OVERLAP)
    else:
        raise unknown("mode", [mode], ["content", "clipmd"], "caption_windows")
    return [(start, min(start + size, end)) for start in starts]
