"""Words of the caption that say something: none in a file name, a placeholder or the furniture of a page."""

import pyarrow as pa
import pyarrow.compute as pc

from curation.methods.blanks import BLANK
from curation.signal import signal

# Lower case. What stands for a picture without saying what is in it, and what pages print around one; ours, from the
# most frequent alt texts of web archives. Some say something elsewhere: only captions of nothing else are found so.
FURNITURE = (
    "ad|add|advertisement|alt|am|amet|attachment|avatar|back|background|banner|blank|bullet|button|caption|carousel|"
    "click|close|coming|contain|contains|copyright|cover|default|description|design|dolor|download|empty|enlarge|"
    "enlarged|enter|expand|featured|fig|figure|file|filename|found|full|fullsize|gallery|graphic|header|here|hero|"
    "home|icon|illustration|image|images|img|insert|ipsum|item|larger|link|loading|logo|lorem|main|menu|missing|more|"
    "n/a|na|nan|new|next|nil|no|none|null|open|original|page|photo|photograph|photos|pic|pics|pict|picture|pictures|"
    "placeholder|pm|post|prev|preview|previous|product|profile|read|reserved|rights|screen|screenshot|search|see|"
    "share|shot|show|sit|site|size|slide|slider|slideshow|soon|spacer|sponsored|stock|story|tab|tap|tbd|text|thumb|"
    "thumbnail|title|unavailable|undefined|unknown|unnamed|untitled|upload|uploaded|user|version|view|website|"
    "whatsapp|zoom"
)
LITTLE = "a|all|an|and|at|available|by|for|from|in|is|it|not|of|on|or|our|the|this|to|with|your"  # words of no content
TYPES = "avif|bmp|gif|heic|html?|jpe?g|pdf|php|png|psd|svg|tiff?|webp"
EMPTY = (
    rf" [^\p{{L}} ]*(?:{FURNITURE}|{LITTLE})[^\p{{L}} ]* ",
    rf" [^ ]*(?:://|www\.|\.(?:{TYPES})\b)[^ ]* ",  # links and names of files
    r" (?:[^ 0-9]*[0-9]){3}[^ ]* ",  # numbers of cameras, products and sizes: dsc00123, 1280x1024
)


@signal(pa.int32(), version=2, stored=False)
def caption_content_words(caption: pa.Array) -> pa.Array:
    """Words of each caption that say something, int32, at least 0; null stays null.

    A word is a piece between blanks that holds a letter. Not counted: file names and links, pieces of three or more
    digits, words that stand for any picture ("image", "untitled", "click to enlarge"), and a few of no content ("the"),
    all in English. A text without blanks (Chinese, Japanese) is one word. The list is ours.

    >>> captions = ["IMG_2041.JPG", "Click to enlarge the photo", "Untitled 3", "a red dog", "Logo of Linux", "\\u732b"]
    >>> caption_content_words(pa.array(captions)).to_pylist()
    [0, 0, 0, 2, 1, 1]
    """
    # Two blanks between words: one for either, so that neighbours are both found.
    apart = pc.replace_substring_regex(pc.utf8_lower(caption), f"[{BLANK}]+", "  ")
    left = pc.binary_join_element_wise("", apart, "", " ")
    for words in EMPTY:
        left = pc.replace_substring_regex(left, words, " ")
    return pc.count_substring_regex(left, r" [^ ]*\p{L}[^ ]* ").cast(pa.int32())
