"""Windows over tokens: ClipMD's exactly, ours without what is wrong with them."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import RecipeError
from curation.methods import caption_windows

LENGTHS = st.integers(2, 5000)
CONTEXTS = st.sampled_from([77, 32, 16, 248])


def test_clipmd_is_the_references(shared):
    oracle = json.loads((shared / "oracles" / "clipmd_windows_small.json").read_text())["windows_by_length"]
    assert len(oracle) == 5
    for length, windows in oracle.items():
        assert [list(window) for window in caption_windows(int(length), "clipmd")] == windows


@given(LENGTHS, CONTEXTS)
def test_clipmd_as_the_reference_cuts(length, context):
    """Slices of `context` every context - 7 as torch.unfold gives them, then whatever is left, which always is some."""
    full = (length - context) // (context - 7) + 1 if length > context else 0
    wanted = [(i * (context - 7), i * (context - 7) + context) for i in range(full)]
    wanted.append((full * (context - 7), length))
    assert caption_windows(length, "clipmd", context) == wanted


@given(LENGTHS, CONTEXTS)
def test_ours_cover_each_content_token_and_none_is_redundant(length, context):
    windows = caption_windows(length, "content", context)
    assert windows[0][0] == 1 and windows[-1][1] == length - 1
    assert all(0 <= end - start <= context - 2 for start, end in windows)
    for (_, end), (start, later) in itertools.pairwise(windows):
        assert end - start == 7 and later > end  # seven shared, at least one new
    assert all(end - start == context - 2 for start, end in windows[:-1])
    assert (len(windows) == 1) == (length <= context)


def test_another_mode_is_refused():
    with pytest.raises(RecipeError, match=r"no mode \['off'\]; known: \['clipmd', 'content'\]"):
        caption_windows(100, "off")
