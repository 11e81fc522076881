"""The first synset of a word by WordNet's morphology, and DataComp's text-based rule, which looks words up by it.

WordNet: wndb(5WN), morphy(7WN). The rule: arXiv:2304.14108, section 4, as mlfoundations/datacomp applies it through
NLTK's reader: what NLTK does differently from WordNet's own program is done so here. NLTK until 3.8.1 took endings off
again and again; later ones, WordNet and this take off one (10 of 35,464 words of real captions differ, such as "less").
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.methods.blanks import collapse_blanks

PARTS = ("noun", "verb", "adj", "adv")  # in the order in which NLTK asks: a noun's synset comes first if there is one

# Part of speech -> ending and what to put in its place. morphy(7WN), "Rules of Detachment"; "ves" is NLTK's own.
ENDINGS = {
    "noun": (
        ("s", ""), ("ses", "s"), ("ves", "f"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"),
        ("men", "man"), ("ies", "y"),
    ),
    "verb": (
        ("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", ""),
    ),
    "adj": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "adv": (),
}  # fmt: skip


@dataclass(frozen=True)
class WordNet:
    """`synsets`: part of speech -> lemma in lower case -> offsets of its synsets, the most frequent sense first.

    `irregular`: part of speech -> inflected form -> its base forms.
    """

    synsets: dict[str, dict[str, tuple[int, ...]]]
    irregular: dict[str, dict[str, tuple[str, ...]]]

    def first_synset(self, word: str) -> tuple[str, int] | None:
        """(part of speech, offset) of the first synset of a word in any form, None where WordNet has none.

        Case is ignored, marks are not taken off. Of the parts of speech the first counts in which the word, or what the
        exceptions or the endings of that part make of it, is a lemma: so "a" is the angstrom.

        >>> known = {"noun": {"dog": (2084071, 10114209), "a": (13658027,)}, "verb": {"run": (1926311,)}}
        >>> small = WordNet({"adj": {}, "adv": {}} | known, dict.fromkeys(PARTS, {}))
        >>> [small.first_synset(word) for word in ("Dogs", "a", "runs", "dog.")]
        [('noun', 2084071), ('noun', 13658027), ('verb', 1926311), None]
        """
        form = word.lower()
        for part in PARTS:
            base = self._base_form(form, part)
            if base is not None:
                return part, self.synsets[part][base][0]
        return None

    def _base_form(self, form: str, part: str) -> str | None:
        """The first lemma among the form and its base forms: of the exceptions, else with one ending off."""
        bases = self.irregular[part].get(form)
        if bases is None:
            bases = [form[: -len(old)] + new for old, new in ENDINGS[part] if form.endswith(old)]
        return next((base for base in (form, *bases) if base in self.synsets[part]), None)


def parse_index(text: str) -> dict[str, tuple[int, ...]]:
    """Lemma -> offsets of its synsets, from the text of WordNet's index file of one part of speech.

    >>> parse_index("  1 licence\\ndog n 2 1 @ 2 1 02084071 10114209  \\n")
    {'dog': (2084071, 10114209)}
    """
    found = {}
    for line in text.splitlines():
        if not line.startswith(" "):  # the licence at the head is indented
            fields = line.split()
            found[fields[0]] = tuple(int(offset) for offset in fields[-int(fields[2]) :])
    return found


def parse_exceptions(text: str) -> dict[str, tuple[str, ...]]:
    """Inflected form -> base forms, from the text of WordNet's exception file of one part of speech.

    >>> parse_exceptions("mice mouse\\naxes ax axis\\n")
    {'mice': ('mouse',), 'axes': ('ax', 'axis')}
    """
    lines = (line.split() for line in text.splitlines())
    return {fields[0]: tuple(fields[1:]) for fields in lines if fields}


def synset_words(captions: pa.Array, wordnet: WordNet, synsets: frozenset[int]) -> pa.Array:
    """Words of each caption whose first synset has an offset in `synsets`, int32, at least 0; null stays null.

    Words are the pieces of Python's str.split(). DataComp's text-based filter keeps captions with at least 1, in
    English, the synsets being ImageNet-21k's. As there, offsets of all parts of speech are compared as plain numbers.

    >>> small = WordNet(dict.fromkeys(PARTS, {"dog": (2084071,), "a": (13658027,)}), dict.fromkeys(PARTS, {}))
    >>> synset_words(pa.array(["a dog", "dogs, dog.", "", None]), small, frozenset([2084071])).to_pylist()
    [1, 0, 0, None]
    """
    words = pc.split_pattern(collapse_blanks(captions), " ")
    flat = words.flatten().dictionary_encode()
    found = [wordnet.first_synset(word) for word in flat.dictionary.to_pylist()]
    listed = np.array([synset is not None and synset[1] in synsets for synset in found], np.int64)
    totals = np.concatenate([[0], np.cumsum(listed[np.asarray(flat.indices)])])
    sizes = np.asarray(words.value_lengths().fill_null(0), np.int64)
    ends = np.cumsum(sizes)
    return pa.array(totals[ends] - totals[ends - sizes], pa.int32(), mask=np.asarray(words.is_null()))
