"""What WordNet says of a word, read from its own files: is it English, is it a thing, what is its plural.

Files and fields are those of WordNet's wndb(5) manual page.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = "usr/share/wordnet"

# Lexicographer file numbers of lexnames(5): the kind of thing that a noun's sense is.
THINGS = {
    "05": "animal", "06": "artifact", "08": "body", "13": "food", "17": "object", "18": "person", "20": "plant",
}  # fmt: skip

PLURAL_END = re.compile(r"(?<![sui])s$")  # "scissors", but not "glass", "cactus", "tennis"

# WordNet lists no plural of these, or one that is hardly used.
PLURALS = {
    "fish": "fishes", "potato": "potatoes", "tomato": "tomatoes", "deer": "deer", "sheep": "sheep", "bus": "buses",
    "camera": "cameras", "echidna": "echidnas", "rhinoceros": "rhinoceroses",
}  # fmt: skip
MASSES = {
    "bacon", "bamboo", "beer", "bread", "butter", "cheese", "coffee", "fondue", "gps", "honey", "jupiter", "knitting",
    "lasagna", "lemonade", "mars", "milk", "pasta", "salami", "saturn", "soup", "toast", "venus",
}  # fmt: skip


@dataclass(frozen=True)
class WordNet:
    """`words`: lemmas of all parts of speech; `things`: noun lemma -> kinds of its senses, the usual first; plurals."""

    words: frozenset[str]
    things: dict[str, tuple[str, ...]]
    plurals: dict[str, str]

    def knows(self, word: str) -> bool:
        """Whether the word or its singular is a lemma."""
        return word in self.words or word.rstrip("s") in self.words

    def plural(self, noun: str) -> str:
        """Plural of a noun of one or more words, by its last word; "" where it is one already, or a mass.

        >>> WordNet(frozenset(), {}, {"mouse": "mice"}).plural("computer mouse")
        'computer mice'
        """
        *rest, word = noun.split()
        if word not in self.plurals and (word in MASSES or word in self.plurals.values() or PLURAL_END.search(word)):
            return ""
        if word in self.plurals:
            last = self.plurals[word]
        elif word.endswith(("s", "x", "z", "ch", "sh")):
            last = word + "es"
        elif word.endswith("man"):
            last = word[:-2] + "en"
        elif word.endswith("y") and word[-2:-1] not in "aeiou":
            last = word[:-1] + "ies"
        else:
            last = word + "s"
        return " ".join([*rest, last])


@cache
def load(root: Path) -> WordNet:
    """WordNet from the unpacked package at `root`."""
    folder = root / FOLDER
    words = {lemma for part in ("noun", "verb", "adj", "adv") for lemma, _ in index(folder / f"index.{part}")}
    kinds = synset_kinds(folder / "data.noun")
    things = {lemma: tuple(kinds[synset] for synset in synsets) for lemma, synsets in index(folder / "index.noun")}
    plurals = dict(PLURALS)
    for line in (folder / "noun.exc").read_text().splitlines():
        plural, *singulars = line.split()
        for singular in singulars:
            plurals.setdefault(singular, plural)
    return WordNet(frozenset(words), things, plurals)


def index(path: Path) -> list[tuple[str, list[str]]]:
    """(lemma, synset offsets, the usual sense first) of each line of an index file."""
    rows = []
    for line in path.read_text().splitlines():
        if not line.startswith(" "):  # the licence at the head is indented
            fields = line.split()
            rows.append((fields[0].replace("_", " "), fields[-int(fields[2]) :]))
    return rows


def synset_kinds(path: Path) -> dict[str, str]:
    """Synset offset -> kind of thing; "" for what cannot be drawn."""
    lines = (line.split(" ", 3) for line in path.read_text().splitlines() if not line.startswith(" "))
    return {fields[0]: THINGS.get(fields[1], "") for fields in lines}
