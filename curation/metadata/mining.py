"""Entries mined on Spark from text and page views, language by language."""

from collections.abc import Collection
from typing import Any, NamedTuple

import fsspec
import pyarrow as pa

from curation.errors import RecipeError
from curation.metadata import choosing
from curation.metadata.choosing import Thresholds
from curation.metadata.corpora import units
from curation.metadata.counting import count_ngrams, summed
from curation.metadata.titles import count_views
from curation.metadata.tokenizers import tokenizer
from curation.session import spark_session
from curation.stage import cached

ROW_BYTES = 20  # assumption: of packed input to a row of counts, of which the number of partitions follows


class Inputs(NamedTuple):
    """The files of each kind, with their languages; null where the rows of a file tell them."""

    wordnet: str | None
    omw: list[tuple[str, str]]
    dumps: list[tuple[str, str]]
    corpora: list[tuple[str | None, str]]
    pageviews: list[str]

    def languages(self) -> set[str]:
        """Those that the sources are named for."""
        named = {language for language, _ in (*self.omw, *self.dumps, *self.corpora) if language}
        return named | ({"en"} if self.wordnet else set())


class Mined(NamedTuple):
    """What was chosen: a DataFrame of source, language, entry, count and lift; the languages that were looked for.

    `tokenizers` has the name of each that was used; `read` what was read of each file and what was skipped.
    """

    frame: Any
    languages: set[str]
    tokenizers: dict[str, str]
    read: dict[str, dict[str, int]]

    def table(self, language: str) -> pa.Table:
        """Columns source, entry, count and lift of one language."""
        return self.frame.where(self.frame.language == language).drop("language").toArrow()


def mined(inputs: Inputs, wanted: Collection[str] | None, rules: Thresholds) -> Mined:
    """The uni-grams, bi-grams and titles that become entries, of the languages wanted, or of all.

    RecipeError where page views are given and no language is known, or a tokenizer is missing.
    """
    from pyspark.sql import functions as F

    texts = units(inputs.dumps, inputs.corpora)
    for language, _ in (*inputs.dumps, *inputs.corpora):
        tokenizer(language or "en")  # where its library is missing, that is said before any work
    if not (wanted or texts or inputs.languages()):
        raise RecipeError("metadata: --pageviews: wanted --languages, or a source that names its language")
    files = {unit["uri"] for unit in texts} | set(inputs.pageviews)
    spark = spark_session(sum(map(_file_bytes, files)) // ROW_BYTES)
    languages = set(wanted or inputs.languages())
    frames, read, total = {}, [], {}
    if texts:
        counts = summed(spark, texts, count_ngrams(rules.longest, wanted))
        total = choosing.totals(counts)
        languages |= set(total)
        frames["unigrams"] = choosing.unigrams(counts, rules)
        frames["bigrams"] = choosing.bigrams(counts, total, rules)
        read.append(counts)
    if inputs.pageviews:
        first = {language for language in languages if rules.is_first(language)}
        least = {language: rules.row_views if language in first else 1 for language in sorted(languages)}
        views = summed(spark, [{"uri": uri} for uri in inputs.pageviews], count_views(least, first, rules.longest))
        frames["titles"] = choosing.titles(views, rules)
        read.append(views)
    chosen = None
    for source, frame in frames.items():
        frame = frame.withColumn("source", F.lit(source))
        chosen = frame if chosen is None else chosen.unionByName(frame)
    names = {language: tokenizer(language).name for language in sorted(total)}
    return Mined(cached(chosen.repartition("language")), languages, names, _read(read))


def _read(counts: list[Any]) -> dict[str, dict[str, int]]:
    """What the tasks read and skipped, by file and reason."""
    found: dict[str, dict[str, int]] = {}
    for frame in counts:
        for row in sorted(frame.where("language is null").collect()):
            found.setdefault(row.word, {})[row.next] = row["count"]
    return found


def _file_bytes(uri: str) -> int:
    file_system, path = fsspec.core.url_to_fs(uri)
    if not file_system.exists(path):
        raise RecipeError(f"metadata: no file {uri}; wanted a file of page views or of text")
    return file_system.size(path) or 0
