"""Lists of values in files, for bounds: text, a value a line, or DataComp's subset files."""

from collections.abc import Iterator
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa

from curation.errors import RecipeError, SchemaError
from curation.files import absolute
from curation.sources.lines import open_text

TASK_VALUES = 1 << 21  # 32 MB of a subset file, a task
BATCH_VALUES = 1 << 16


def listed(spark: Any, path: str) -> Any:
    """The different values in a file as a DataFrame of one column, `value`, string.

    A .npy holds uids as DataComp writes them, pairs of unsigned 64-bit words, high and low, and gives 32 hex each; how
    often one is listed does not count. Any other file is text, also gzipped or zstd, a value a line, without the blanks
    around it. Raises SchemaError for a .npy of another type.
    """
    path = absolute(path)
    if not path.endswith(".npy"):
        return spark.createDataFrame([(path,)], "path string").mapInArrow(_lines, "value string").distinct()
    place, count = _npy(path)
    numbers = spark.range(0, count, 1, 1 + count // TASK_VALUES)
    return numbers.mapInArrow(_words(path, place), "value string").distinct()


def read_listed(path: str) -> Iterator[tuple[int, str]]:
    """The values in a file as `listed` reads them, here and one by one: number of the line, from 1, and value.

    RecipeError where there is no such file.
    """
    path = absolute(path)
    try:
        if path.endswith(".npy"):
            place, count = _npy(path)
            with fsspec.open(path, "rb") as file:
                file.seek(place)
                words = np.frombuffer(file.read(16 * count), "<u8").astype(">u8").tobytes().hex()
            yield from ((n + 1, words[32 * n : 32 * n + 32]) for n in range(count))
            return
        with open_text(path) as file:
            yield from ((n, line.strip()) for n, line in enumerate(file, 1) if line.strip())
    except FileNotFoundError as error:
        raise RecipeError(f"no file {path}; wanted a list, a value a line, or DataComp's .npy of uids") from error


def _lines(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for path in batch.column("path").to_pylist():
            with open_text(path) as file:
                while lines := file.readlines(1 << 22):
                    values = [line.strip() for line in lines]
                    yield pa.RecordBatch.from_pydict({"value": [value for value in values if value]})


def _npy(path: str) -> tuple[int, int]:
    """Where the values of a subset file begin, and how many there are."""
    with fsspec.open(path, "rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, by_column, kind = read(file)
        except ValueError as error:
            raise SchemaError(f"{path}: wanted a .npy of DataComp's uids: {error}") from error
        words = [kind[name] for name in kind.names or ()] or [kind] * (shape[1] if len(shape) == 2 else 1)
        by_column = by_column and len(shape) == 2
        if words != [np.dtype("<u8")] * 2 or by_column:
            found = f"{kind} of shape {shape}{', column by column' if by_column else ''}"
            raise SchemaError(f"{path}: wanted pairs of unsigned 64-bit words (u8, u8), row by row, found {found}")
        return file.tell(), shape[0]


def _words(path: str, place: int) -> Any:
    """Numbers of values, in runs, -> the values as 32 hex."""

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with fsspec.open(path, "rb") as file:
            for batch in batches:
                for part in range(0, batch.num_rows, BATCH_VALUES):
                    numbers = batch.column(0).slice(part, BATCH_VALUES)
                    file.seek(place + 16 * numbers[0].as_py())
                    words = np.frombuffer(file.read(16 * len(numbers)), "<u8").astype(">u8")
                    text = np.frombuffer(words.tobytes().hex().encode(), "S32")
                    yield pa.RecordBatch.from_arrays([pa.array(text, pa.binary()).cast(pa.string())], ["value"])

    return read
