"""Text to count n-grams of, as units of work: dumps of Wikipedia, text files, Parquet tables and pools of captions."""

import glob
import os
import re
from collections.abc import Iterator
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.errors import RecipeError, SchemaError
from curation.files import absolute, join, local_path
from curation.metadata.wikipedia import Range, Skipped, articles, ranges
from curation.pool import POOL, Pool
from curation.sources.found import Reject
from curation.sources.lines import open_text, read_lines

NAMED = re.compile(r"(?P<language>[a-z]{2,12}(?:[-_][a-zA-Z]+)*)=(?P<path>.+)", re.DOTALL)
TEXT_COLUMNS = ("caption", "text")  # of a table, the first that is there
ROWS = 1 << 10  # read at a time
GLOB = re.compile(r"[*?\[]")


def named(flag: str, values: list[str], *, needed: bool = True) -> list[tuple[str | None, str]]:
    """Language and URI of each file that the values LANG=FILE of a flag name, globs expanded, in order.

    RecipeError for one without LANG= where that is needed, and for a glob that matches nothing.

    >>> named("corpus", ["pool", "de=a.txt"], needed=False)[1][0]
    'de'
    """
    found = []
    for value in values:
        match = NAMED.fullmatch(value)
        if needed and not match:
            raise RecipeError(f"metadata: --{flag} {value}: wanted LANG=FILE, such as en={value}")
        path = match["path"] if match else value
        found += [(match["language"] if match else None, uri) for uri in _expanded(flag, path)]
    return found


def _expanded(flag: str, path: str) -> list[str]:
    path = absolute(path)
    if not GLOB.search(path) or (local_path(path) and os.path.exists(local_path(path))):
        return [path]
    if local_path(path):
        uris = sorted(glob.glob(local_path(path)))
    else:
        file_system, inner = fsspec.core.url_to_fs(path)
        uris = [file_system.unstrip_protocol(each) for each in sorted(file_system.glob(inner))]
    if not uris:
        raise RecipeError(f"metadata: --{flag} {path}: no file matches")
    return uris


def units(dumps: list[tuple[str, str]], corpora: list[tuple[str | None, str]]) -> list[dict[str, Any]]:
    """What the tasks read, each a JSON object: a range of a dump, a text file, a row group of a table.

    RecipeError where a file is missing or of no known form, SchemaError for a table without text.
    """
    found = [
        {"kind": "dump", "language": language, **part._asdict()} for language, uri in dumps for part in ranges(uri)
    ]
    for language, uri in corpora:
        found += [{"language": language, **unit} for unit in _corpus(uri, language)]
    return found


def _corpus(uri: str, language: str | None) -> list[dict[str, Any]]:
    file_system, path = fsspec.core.url_to_fs(uri)
    if file_system.exists(join(path, POOL)):
        return [
            {**unit, "pool": uri}
            for folder, parts in Pool.open(uri).tables()
            for part in parts
            for unit in _table(join(folder, part["name"]), language)
        ]
    if not file_system.isfile(path):
        raise RecipeError(f"metadata: no file {uri}; wanted a text file, a Parquet table or a pool")
    return _table(uri, language) if uri.endswith(".parquet") else [{"kind": "text", "uri": uri}]


def _table(uri: str, language: str | None) -> list[dict[str, Any]]:
    """A unit per row group; the column `language` is read where no language was given."""
    try:
        with fsspec.open(uri, "rb") as file:
            table = pq.ParquetFile(file)
            names, groups = table.schema_arrow.names, table.num_row_groups
    except (pa.ArrowInvalid, OSError) as error:
        raise SchemaError(f"metadata: {uri} is no Parquet table: {error}") from error
    column = next((name for name in TEXT_COLUMNS if name in names), None)
    if column is None:
        raise SchemaError(f"{uri}: wanted a column of {list(TEXT_COLUMNS)}, found {names}")
    columns = [column] if language or "language" not in names else [column, "language"]
    return [{"kind": "table", "uri": uri, "group": group, "columns": columns} for group in range(groups)]


def documents(unit: dict[str, Any]) -> Iterator[tuple[str, str] | Skipped]:
    """Language and text of each document of a unit, and what was skipped."""
    if unit["kind"] == "dump":
        part = Range(unit["uri"], unit["start"], unit["stop"], tuple(unit["namespaces"]))
        for article in articles(part):
            yield article if isinstance(article, Skipped) else (unit["language"], article.text)
        return
    read = _lines(unit["uri"]) if unit["kind"] == "text" else _rows(unit)
    for batch in read:
        if isinstance(batch, Skipped):
            yield batch
            continue
        for language, text in zip(_languages(unit, *batch), batch[0]):
            yield (language, text) if language else Skipped("no_language")


def _lines(uri: str) -> Iterator[tuple[list[str], None] | Skipped]:
    """The lines of a text file, each a document."""
    held: list[str] = []
    with open_text(uri) as file:
        for line in read_lines(file):
            if isinstance(line, Reject):
                yield Skipped(line.error, line.detail or "")
                continue
            held.append(line)
            if len(held) == ROWS:
                yield held, None
                held = []
    if held:
        yield held, None


def _rows(unit: dict[str, Any]) -> Iterator[tuple[list[str], list[str | None] | None] | Skipped]:
    """The texts of a row group, with their languages where the table has them; null texts are left out, and what the
    pool of the table has forgotten.
    """
    forgotten = Pool.open(unit["pool"]).forgotten_pairs()["uid"].combine_chunks() if "pool" in unit else ()
    columns = [*unit["columns"], *(["uid"] if len(forgotten) else [])]
    try:
        with fsspec.open(unit["uri"], "rb") as file:
            for batch in pq.ParquetFile(file).iter_batches(ROWS, [unit["group"]], columns):
                if len(forgotten):
                    out = pc.is_in(batch["uid"], forgotten)
                    yield from [Skipped("forgotten")] * pc.sum(out).as_py()
                    batch = batch.filter(pc.invert(out))
                batch = batch.select(unit["columns"])
                batch = batch.filter(batch.column(0).is_valid())
                texts = batch.column(0).cast(pa.string()).to_pylist()
                yield texts, batch.column(1).cast(pa.string()).to_pylist() if batch.num_columns > 1 else None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        yield Skipped("bad_file", f"row group {unit['group']}: {error}")


def _languages(unit: dict[str, Any], texts: list[str], languages: list[str | None] | None) -> list[str | None]:
    """The language of each text: as given, as the table has it, or as the signal `caption_language` says."""
    if unit["language"]:
        return [unit["language"]] * len(texts)
    if languages is None:
        from curation.signals import SIGNALS

        predicted = SIGNALS["language_prediction"](pa.array([text.rstrip("\n") for text in texts], pa.string()))
        return SIGNALS["caption_language"](predicted).to_pylist()
    return languages
