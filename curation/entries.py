"""Entry lists: the query strings that captions are matched against ("metadata" in MetaCLIP's words)."""

import contextlib
import gzip
import importlib.resources
import json
from collections.abc import Iterable, Iterator
from importlib.resources.abc import Traversable

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.errors import RecipeError, SchemaError, unknown

PACKAGED = ".txt.gz"
FORMATS = (".txt", ".txt.gz", ".json", ".parquet")
NOTICE = "WORDNET-LICENSE.txt"  # must go with every copy of the list


def load_entries(name_or_path: str = "wordnet30") -> list[str]:
    """The entries of a packaged list or of a file, in its order; an entry's id is its place.

    A path ends in .txt or .txt.gz (an entry a line), .json (a list) or .parquet (column `entry`). RecipeError where
    there is neither list nor file; SchemaError for an empty entry, an entry given twice or another form of file. A file
    with entries of several languages is read by `load_language`.

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
    if path.endswith(".parquet"):
        return _parquet(path)
    try:
        with fsspec.open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError as error:
        raise RecipeError(f"entries: no file {path}; wanted an entry list") from error
    if path.endswith(".json"):
        return _json(path, data)
    return _lines(gzip.decompress(data) if path.endswith(".gz") else data)


def _parquet(path: str) -> list:
    ids = languages(path)
    if len(ids) > 1:
        raise SchemaError(
            f"{path}: wanted one list, found one per language ({', '.join(map(str, ids))}); "
            "match_entries takes it with mode = 'worldwide'"
        )
    with _open_parquet(path) as table:
        return table.read(["entry"]).column("entry").to_pylist()


def _packaged() -> Traversable:
    return importlib.resources.files("curation") / "data"


def wordnet_licence() -> str:
    """The notice of WordNet, which goes with every copy of a list made from it."""
    return (_packaged() / NOTICE).read_text("utf-8")


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


def languages(name_or_path: str) -> dict[str | None, range]:
    """The languages of an entry list, each with the ids of its entries, in the order of the list.

    An id is the place of an entry in the whole list. A list without languages (a packaged one, a text or JSON file, a
    Parquet file without the column `language`) is one for all: its only key is None. Reads the column `language` alone.
    RecipeError where there is no such list; SchemaError where the rows of a language do not stand together.
    """
    if not name_or_path.endswith(".parquet"):
        return {None: range(len(load_entries(name_or_path)))}
    with _open_parquet(name_or_path) as table:
        if "language" not in table.schema_arrow.names:
            return {None: range(table.metadata.num_rows)}
        found: dict[str | None, range] = {}
        row = 0
        for language, rows in _runs(table):
            before = found.get(language, range(row, row))
            if language is None or before.stop != row:
                raise SchemaError(f"{name_or_path}: row {row} is {language}; wanted rows sorted by language")
            found[language] = range(before.start, row + rows)
            row += rows
    return found


def load_language(name_or_path: str, language: str) -> tuple[int, list[str]]:
    """The id of a language's first entry, and its entries in order; the entries of no other language are read.

    A list without languages is one for all: 0 and all its entries. RecipeError where the list has no such language.
    """
    ids = languages(name_or_path)
    if None in ids:
        return 0, load_entries(name_or_path)
    if language not in ids:
        raise unknown("language", [language], map(str, ids), name_or_path)
    wanted = ids[language]
    columns, row = [], 0
    with _open_parquet(name_or_path) as table:
        for group in range(table.num_row_groups):
            rows = range(row, row + table.metadata.row_group(group).num_rows)
            row = rows.stop
            start, stop = max(rows.start, wanted.start), min(rows.stop, wanted.stop)
            if start < stop:
                column = table.read_row_group(group, ["entry"]).column("entry")
                columns += column.slice(start - rows.start, stop - start).to_pylist()
    return wanted.start, _checked(columns, f"{name_or_path}, language {language}")


@contextlib.contextmanager
def _open_parquet(path: str) -> Iterator[pq.ParquetFile]:
    try:
        with fsspec.open(path, "rb") as file:
            try:
                table = pq.ParquetFile(file)
            except pa.ArrowInvalid as error:
                raise SchemaError(f"{path}: wanted a Parquet file: {error}") from error
            if "entry" not in table.schema_arrow.names:
                raise SchemaError(f"{path}: no column 'entry'; found {table.schema_arrow.names}")
            yield table
    except FileNotFoundError as error:
        raise RecipeError(f"entries: no file {path}; wanted an entry list") from error


def _runs(table: pq.ParquetFile) -> Iterator[tuple[str | None, int]]:
    """Each language as often as its rows begin again, with how many there are."""
    for group in range(table.num_row_groups):
        for chunk in table.read_row_group(group, ["language"]).column("language").chunks:
            encoded = pc.run_end_encode(chunk.cast(pa.string()))
            ends = encoded.run_ends.to_pylist()
            yield from zip(encoded.values.to_pylist(), (end - start for start, end in zip([0, *ends], ends)))


def packed(entries: Iterable[str]) -> bytes:
    """The gzipped text of an entry list, an entry a line: the same bytes for the same entries (no time, no name)."""
    return gzip.compress("".join(f"{entry}\n" for entry in entries).encode(), mtime=0)
