"""Entries from WordNets: Princeton's data files, and the Open Multilingual Wordnet's tab files and LMF XML."""

import gzip
import re
import string
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import fsspec
import pyarrow as pa
from lxml import etree

from curation.errors import RecipeError, SchemaError
from curation.files import join
from curation.methods.ngrams import is_punctuation

PARTS_OF_SPEECH = ("noun", "verb", "adj", "adv")  # WordNet's data files (wndb(5WN))
NUMBERS = 100  # MetaCLIP adds the numbers 0 to 99 (arXiv:2309.16671, table of metadata sources)
MARKER = re.compile(r"\((?:a|p|ip)\)$")  # syntactic marker of an adjective (wndb(5WN)), no part of the word


class Wordnet(NamedTuple):
    """The words of a file, its licence as the file names it, and how many lines were `lemmas`, or bad."""

    words: set[str]
    licence: str
    read: Counter


def numbers() -> list[str]:
    """The numbers "0" to "99" in the order of strings; MetaCLIP, table of metadata sources."""
    return sorted(str(number) for number in range(NUMBERS))


def build_wordnet(folder: str) -> pa.Table:
    """Entries from WordNet's data.noun, .verb, .adj and .adv: columns `source` and `entry`, sorted by both.

    The first word of every synset in lower case, cut at the first full stop, underscores as spaces, without the empty
    ones and single ASCII punctuation; and the numbers 0 to 99. WordNet 3.0 gives the 86,654 of MetaCLIP
    (arXiv:2309.16671, table of metadata sources); 3.1 has the same form and other words. RecipeError where a file is
    missing.
    """
    names = synset_names(folder).difference(numbers())
    rows = [("numbers", number) for number in numbers()] + [("wordnet", name) for name in sorted(names)]
    return pa.table({"source": [source for source, _ in rows], "entry": [entry for _, entry in rows]})


def synset_names(folder: str) -> set[str]:
    """The names of all synsets of a WordNet, as `build_wordnet` makes them."""
    return {name for part in PARTS_OF_SPEECH for name in _synset_names(join(folder, f"data.{part}"))}


def _synset_names(path: str) -> Iterator[str]:
    try:
        with fsspec.open(path, "rt", encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError as error:
        raise RecipeError(f"metadata: no file {path}; wanted WordNet's data.{{noun,verb,adj,adv}}") from error
    for line in lines:
        if line.startswith("  "):  # the licence at the head of each file
            continue
        fields = line.split(" ", 5)  # offset, file, part of speech, number of words, first word (wndb(5WN))
        if len(fields) < 6:
            raise SchemaError(f"{path}: wanted lines of WordNet's data files (wndb(5WN)), found {line[:80]!r}")
        name = MARKER.sub("", fields[4].lower()).split(".")[0].replace("_", " ")
        if name and name not in string.punctuation:
            yield name


def read_omw(uri: str) -> Wordnet:
    """The lemmas of a file of the Open Multilingual Wordnet: a tab file, or WN-LMF where it ends in .xml or .xml.gz.

    Case stays, underscores are spaces, punctuation alone is left out; of several lexicons in a file all are read. Our
    own rule: MetaCLIP 2 names the WordNets, not what it takes of them. RecipeError where there is no file, SchemaError
    where it is of another form; a bad line of a tab file is left out and counted.
    """
    try:
        with fsspec.open(uri, "rb") as file:
            plain = gzip.GzipFile(fileobj=file) if uri.endswith(".gz") else file
            found = _lmf(plain) if uri.removesuffix(".gz").endswith(".xml") else _tab(plain)
    except FileNotFoundError as error:
        raise RecipeError(f"metadata: no file {uri}; wanted a wordnet, .tab or .xml") from error
    except (etree.XMLSyntaxError, gzip.BadGzipFile, EOFError) as error:
        raise SchemaError(f"{uri}: wanted WN-LMF or a tab file of the Open Multilingual Wordnet: {error}") from error
    if not found.words:
        raise SchemaError(f"{uri}: wanted a wordnet, found no lemma in it")
    return found


def _tab(file: Iterator[bytes]) -> Wordnet:
    """Lines `SYNSET TAB TYPE TAB LEMMA`; the first is `# NAME TAB LANGUAGE TAB URL TAB LICENCE`."""
    words, licence, read = set(), "", Counter()
    for line in file:
        try:
            fields = line.decode().rstrip("\r\n").split("\t")
        except UnicodeDecodeError:
            read["bad_row"] += 1
            continue
        if line.startswith(b"#"):
            licence = licence or (fields[3] if len(fields) > 3 else "")
        elif len(fields) < 3:
            read["bad_row"] += bool(line.strip())
        elif fields[1].rpartition(":")[2] == "lemma":  # `lemma` or `fra:lemma`; others are glosses and examples
            read["lemmas"] += 1
            words |= _entry(fields[2])
    return Wordnet(words, licence, read)


def _lmf(file: Iterator[bytes]) -> Wordnet:
    """`Lemma` elements of `Lexicon` elements, read without holding the file."""
    words, licences, read = set(), [], Counter()
    events = etree.iterparse(file, ("start", "end"), resolve_entities=False, load_dtd=False, no_network=True)
    for event, element in events:
        name = etree.QName(element).localname
        if event == "start" and name == "Lexicon":
            licences.append(element.get("license", ""))
        elif event == "end" and name == "Lemma":
            read["lemmas"] += 1
            words |= _entry(element.get("writtenForm", ""))
        elif event == "end" and name in ("LexicalEntry", "Synset"):
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]
    return Wordnet(words, ", ".join(filter(None, licences)), read)


def _entry(lemma: str) -> set[str]:
    entry = " ".join(lemma.replace("_", " ").split())
    return set() if is_punctuation(entry) else {entry}
