"""Words of the caption that name a thing of a list of WordNet's synsets."""

import pyarrow as pa

from curation.methods.wordnet import synset_words
from curation.signal import File, signal


@signal(pa.int32())
def caption_synsets(caption: pa.Array, *, wordnet: File = ..., synsets: File = ...) -> pa.Array:
    """Words of each caption whose first WordNet synset is in a list, int32, at least 0; null stays null.

    `wordnet`: the folder of WordNet's own files; `synsets`: a file with one id a line, such as ImageNet-21k's
    (n02084071), of that version of WordNet. Words are parted by blanks alone and not cleaned: "dog." has no synset;
    the first synset of all parts of speech counts: "a" is the angstrom. DataComp's text-based filter keeps captions
    with at least 1, in English (arXiv:2304.14108, section 4). RecipeError where the files do not fit each other.
    """
    from curation.models.wordnet import load, synset_list

    return synset_words(caption, load(wordnet), synset_list(synsets, wordnet))
