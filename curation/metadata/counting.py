"""Counting on Spark: each task counts what its units hold, in a table of bounded size, and the sums are taken of these.

So neither the order of the units nor how they are spread over tasks changes a count.
"""

import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import pyarrow as pa

from curation.metadata.corpora import documents
from curation.metadata.tokenizers import tokenizer
from curation.metadata.wikipedia import Skipped
from curation.methods.ngrams import word_runs
from curation.stage import cached

HELD = 1 << 19  # different words, bi-grams or titles that a task holds before it passes their counts on: about 150 MB
BATCH_ROWS = 1 << 15
# A uni-gram or title has no `next`; how many documents of a file were read or skipped (`word` its name, `next` the
# reason) has no `language`.
COUNTS = pa.schema([("language", pa.string()), ("word", pa.string()), ("next", pa.string()), ("count", pa.int64())])
Unit = dict[str, Any]


def summed(spark: Any, units: list[Unit], count: Callable[[Unit], Iterator[pa.RecordBatch]]) -> Any:
    """A DataFrame of COUNTS, cached: what `count` gives for each unit, summed."""
    from pyspark.sql import functions as F

    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for unit in batch.column("unit").to_pylist():
                yield from count(json.loads(unit))

    rows = [(number, json.dumps(unit)) for number, unit in enumerate(units)]
    laid = spark.createDataFrame(rows, "number int, unit string").repartitionById(max(1, len(units)), "number")
    counted = laid.mapInArrow(task, "language string, word string, next string, count long")
    return cached(counted.groupBy("language", "word", "next").agg(F.sum("count").alias("count")))


def count_ngrams(longest: int, wanted: Collection[str] | None = None) -> Callable[[Unit], Iterator[pa.RecordBatch]]:
    """A function that counts the uni-grams and bi-grams of a unit in the languages wanted, or in all: rows of COUNTS.

    A word of more than `longest` characters is left out and breaks the chain as punctuation does.

    Words are those of `curation.methods.ngrams.word_runs` after the tokenizer of the language.
    """

    def count(unit: Unit) -> Iterator[pa.RecordBatch]:
        held: dict[str, tuple[Counter, Counter]] = {}
        read = Counter()
        for document in documents(unit):
            if isinstance(document, Skipped):
                read[document.code] += 1
                continue
            language, text = document
            if wanted is not None and language not in wanted:
                read["other_language"] += 1
                continue
            read["documents"] += 1
            words, pairs = held.setdefault(language, (Counter(), Counter()))
            runs = list(_runs(word_runs(tokenizer(language).spaced(text)), longest))
            words.update(itertools.chain.from_iterable(runs))
            pairs.update(itertools.chain.from_iterable(map(itertools.pairwise, runs)))
            if sum(len(words) + len(pairs) for words, pairs in held.values()) >= HELD:
                yield from _flushed(held)
        yield from _flushed(held)
        yield from tallies(unit["uri"], read)

    return count


def _runs(runs: Iterable[list[str]], longest: int) -> Iterator[list[str]]:
    """Runs of words, cut at the words that are too long."""
    for run in runs:
        if max(map(len, run)) <= longest:
            yield run
            continue
        for is_short, words in itertools.groupby(run, lambda word: len(word) <= longest):
            if is_short:
                yield list(words)


def _flushed(held: dict[str, tuple[Counter, Counter]]) -> Iterator[pa.RecordBatch]:
    for language, (words, pairs) in held.items():
        yield from batches((language, word, None, count) for word, count in words.items())
        yield from batches((language, *pair, count) for pair, count in pairs.items())
    held.clear()


def tallies(uri: str, read: Counter) -> Iterator[pa.RecordBatch]:
    """Rows that say what was read of a file and what was skipped, by its name alone."""
    yield from batches((None, os.path.basename(uri), code, count) for code, count in read.items())


def batches(rows: Iterable[tuple[str | None, str, str | None, int]]) -> Iterator[pa.RecordBatch]:
    """Rows of COUNTS as record batches of bounded size; none without rows."""
    held: list[tuple] = []
    for row in rows:
        held.append(row)
        if len(held) == BATCH_ROWS:
            yield _batch(held)
            held = []
    if held:
        yield _batch(held)


def _batch(rows: list[tuple]) -> pa.RecordBatch:
    columns = [pa.array(column, field.type) for column, field in zip(zip(*rows), COUNTS)]
    return pa.RecordBatch.from_arrays(columns, schema=COUNTS)
