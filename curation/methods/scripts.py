"""Characters next to which words need no blank, as classes of a regular expression (MetaCLIP 2, arXiv:2507.22062)."""

# Han (ideographs, radicals and compatibility forms), Thai, Lao, Tibetan, Burmese, Khmer; not kana or Hangul.
UNSPACED = (
    "\u2e80-\u2fdf\u2ff0-\u2fff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f\U00030000-\U000323af"
    "\u0e00-\u0fff\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f\u1780-\u17ff\u19e0-\u19ff"
)
PUNCTUATION = r"\p{P}$+<=>^`|~"  # that of Unicode, and what ASCII has beside it
EDGE_MARKS = (
    r"!-/:-@\[-`{-~" + "，。、；：？！“”‘’（）【】《》〈〉「」『』～—"
)  # ASCII's and 25: MetaCLIP 2, substr_matching
