"""Entry lists: the query strings that captions are matched against ("metadata" in MetaCLIP's words)."""

import gzip
import importlib.resources
import json
import re
import string
from collections.abc import Iterable
from importlib.resources.abc import Traversable

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from curation.errors import RecipeError, SchemaError, StaleOutputError
from curation.files import committing, join, read_json, write_json
from curation.schema import hex_id

PACKAGED = ".txt.gz"
FORMATS = (".txt", ".txt.gz", ".json", ".parquet")
PARTS_OF_SPEECH = ("noun", "verb", "adj", "adv")  # WordNet's data files (wndb(5WN))
NUMBERS = 100  # MetaCLIP adds the numbers 0 to 99 (arXiv:2309.16671, table of metadata sources)
MARKER = re.compile(r"\((?:a|p|ip)\)$")  # syntactic marker of an adjective (wndb(5WN)), no part of the word
NOTICE = "WORDNET-LICENSE.txt"  # must go with every copy of the list


def load_entries(name_or_path: str = "wordnet30") -> list[str]:
    """The entries of a packaged list or of a file, in its order; an entry's id is its place.

    A path ends in .txt or .txt.gz (an entry a line), .json (a list) or .parquet (column `entry`). RecipeError where
    there is neither list nor file; SchemaError for an empty entry, an entry given twice or another form of file.

    >>> len(load_entries())
    86654
    """
    if not name_or_path.endswith(FORMATS):
        data = _packaged()
        known = sorted(f.name.removesuffix(PACKAGED) for f in data.iterdir() if f.name.endswith(PACKAGED))
        if name_or_path not in known:
            raise RecipeError(f"entries: no list {name_or_path!r}; known: {known}, or a path to {', '.join(FORMATS)}")
        entries = _lines(gzip.decompress((data / (name_or_path + PACKAGED)).read_bytes()))
    else:
        entries = _read(name_or_path)
    return _checked(entries, name_or_path)


def _read(path: str) -> list:
    try:
        with fsspec.open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError as error:
        raise RecipeError(f"entries: no file {path}; wanted an entry list") from error
    if path.endswith(".parquet"):
        return _parquet(path, data)
    if path.endswith(".json"):
        return _json(path, data)
    return _lines(gzip.decompress(data) if path.endswith(".gz") else data)


def _parquet(path: str, data: bytes) -> list:
    table = pq.read_table(pa.BufferReader(data))
    if "entry" not in table.column_names:
        raise SchemaError(f"{path}: no column 'entry'; found {table.column_names}")
    return table.column("entry").to_pylist()


def _packaged() -> Traversable:
    return importlib.resources.files("curation") / "data"


def _lines(data: bytes) -> list[str]:
    text = data.decode("utf-8-sig").replace("\r\n", "\n")  # an entry with a carriage return would never match
    return text.removesuffix("\n").split("\n") if text else []


def _json(path: str, data: bytes) -> list:
    found = json.loads(data)
    if not isinstance(found, list):
        raise SchemaError(f"{path}: found a JSON {type(found).__name__}, wanted a list of strings")
    return found


def _checked(entries: list, where: str) -> list[str]:
    seen: set[str] = set()
    for number, entry in enumerate(entries):
        if not isinstance(entry, str) or not entry or entry in seen:
            fault = "is given twice" if entry in seen else "is empty or no string"
            raise SchemaError(f"{where}: entry {number} ({entry!r}) {fault}; wanted distinct strings")
        seen.add(entry)
    return entries


def build_wordnet(folder: str) -> pa.Table:
    """Entries from WordNet's data.noun, .verb, .adj and .adv: columns `source` and `entry`, sorted by both.

    The first word of every synset in lower case, cut at the first full stop, underscores as spaces, without the empty
    ones and single ASCII punctuation; and the numbers 0 to 99. WordNet 3.0 gives the 86,654 of MetaCLIP
    (arXiv:2309.16671, table of metadata sources). RecipeError where a file is missing.
    """
    names = {name for part in PARTS_OF_SPEECH for name in _synset_names(join(folder, f"data.{part}"))}
    numbers = {str(n) for n in range(NUMBERS)}
    rows = [("numbers", n) for n in sorted(numbers)] + [("wordnet", n) for n in sorted(names - numbers)]
    return pa.table({"source": [source for source, _ in rows], "entry": [entry for _, entry in rows]})


def _synset_names(path: str) -> Iterable[str]:
    try:
        with fsspec.open(path, "rt", encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError as error:
        raise RecipeError(f"metadata: no file {path}; wanted WordNet's data.{{noun,verb,adj,adv}}") from error
    for line in lines:
        if line.startswith("  "):  # the licence at the head of each file
            continue
        word = line.split(" ", 5)[4].lower()  # offset, file, part of speech, number of words, first word (wndb(5WN))
        name = MARKER.sub("", word).split(".")[0].replace("_", " ")
        if name and name not in string.punctuation:
            yield name


def metadata(*, wordnet: str, out: str) -> dict:
    """Build the entry list from WordNet's data files and print its counts.

    WORDNET is the folder with data.noun, data.verb, data.adj and data.adv of WordNet 3.0. OUT gets entries.txt.gz (an
    entry a line), entries.parquet (source, entry) and metadata.json (counts, licence, key); equal input gives equal
    bytes. An OUT that holds another list is refused.

        curate metadata --wordnet /usr/share/wordnet --out entries
    """
    table = build_wordnet(wordnet)
    entries = table.column("entry").to_pylist()
    counted = table.column("source").value_counts().to_pylist()
    counts = {row["values"]: row["counts"] for row in counted}
    licence = (_packaged() / NOTICE).read_text("utf-8")
    record = {"key": hex_id(*entries), "entries": len(entries), "counts": counts, "licence": licence}
    found = read_json(join(out, "metadata.json"))
    if found is not None and found.get("key") != record["key"]:
        raise StaleOutputError(f"{out}: holds entry list {found.get('key')}, this is {record['key']}; name another")
    with committing(join(out, "entries.txt.gz")) as file:
        file.write(packed(entries))
    with committing(join(out, "entries.parquet")) as file:
        pq.write_table(table, file, compression="zstd")
    write_json(join(out, "metadata.json"), record)
    return record


def packed(entries: Iterable[str]) -> bytes:
    """The gzipped text of an entry list, an entry a line: the same bytes for the same entries (no time, no name)."""
    return gzip.compress("".join(f"{entry}\n" for entry in entries).encode(), mtime=0)
