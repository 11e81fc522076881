"""MetaCLIP's substring matching: which entries of the metadata each caption holds."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator

from curation.files import state
from curation.methods.matching import Mode
from curation.schema import VERDICT, Column
from curation.stage import cached, stage, verdict

ENTRIES = (
    Column("entries", pa.list_(pa.int32()), "ids of the entries in the caption, ascending, each once"),
    Column("entry_language", pa.string(), "language whose entries were looked for; empty for a list that has none"),
)
COUNTS = (
    Column("entry_id", pa.int32(), "number of the entry in the list"),
    Column("language", pa.string(), "of the entry; empty for a list without languages"),
    Column("entry", pa.string(), "the entry"),
    Column("count", pa.int64(), "captions that hold it; entries never seen are left out"),
)
ALL = ""  # one list for all captions
OTHER = "other"  # the list for languages without one of their own, if there is one (MetaCLIP 2)
# What a task gives: a row for each caption, the caption with it where nothing matched; then, without a uid, one for
# each language, of the entries that its captions hold and how often: Java never takes the lists apart to count them.
FOUND = "uid string, entries array<int>, entry_language string, unmatched string, counts array<long>"
IDS, COUNTED = pa.list_(pa.int32()), pa.list_(pa.int64())
TASK_ROWS = 1 << 17  # captions of one task, all of one language: building its tables is a small part of the work


def _readable(metadata: str) -> str:
    from curation.entries import languages, load_entries

    # An unknown or broken list is refused before any work; lists of many languages are looked into one by one, later.
    if not metadata.endswith(".parquet") or len(languages(metadata)) == 1:
        load_entries(metadata)
    return metadata


EntryList = Annotated[str, AfterValidator(_readable)]


def _columns(settings: dict[str, Any]) -> list[str]:
    return ["caption", *([settings["language"]] if settings["mode"] == "worldwide" else [])]


@stage(output=(*VERDICT.columns, *ENTRIES), tables={"entry_counts": COUNTS}, version=3, pairs=_columns)
def match_entries(
    pairs: Any, *, metadata: EntryList = "wordnet30", mode: Mode = "metaclip1", language: str = "caption_language"
) -> Any:
    """`entries` of each caption, and the table `entry_counts`; drops captions that match nothing (`no_entry`).

    METADATA is a packaged entry list or a file of entries. MODE metaclip1 (arXiv:2309.16671, section 3.2): an entry
    matches where it stands between blanks, after blanks were put around , . ; : ? ! and the backtick; case-sensitive.
    worldwide (arXiv:2507.22062): the entries of the caption's language, which need no blank next to scripts that are
    written without. LANGUAGE is the signal or column that says it; one without entries gets those of its family (zh
    for zh-tw), else of `other`, or is dropped (`no_entry_list`). normalised: NFC, and any run of blanks is one.
    """
    from pyspark.sql import functions as F

    from curation.entries import FORMATS, languages
    from curation.files import absolute

    known = [language or ALL for language in languages(metadata)] if mode == "worldwide" else [ALL]
    metadata = absolute(metadata) if metadata.endswith(FORMATS) else metadata  # tasks run in other folders
    laid = _by_language(pairs, language, known).select("uid", "caption", "entry_language")
    found = cached(laid.mapInArrow(_matching(metadata, mode, set(known)), FOUND))
    held = F.explode(F.arrays_zip(F.col("entries").alias("entry_id"), F.col("counts").alias("count")))
    held = found.where("uid is null").select(F.col("entry_language").alias("language"), held.alias("held"))
    counts = held.groupBy("held.entry_id", "language").agg(F.sum("held.count").alias("count")).repartition("language")
    named = counts.mapInArrow(_naming(metadata), "entry_id int, language string, entry string, count long")
    nothing = F.when(F.col("entry_language").isin(known), F.lit("no_entry")).otherwise(F.lit("no_entry_list"))
    matched = found.where("uid is not null").drop("counts")
    matched = verdict(matched, F.when(F.size("entries") == 0, nothing), F.col("unmatched"))
    return matched, {"entry_counts": named}


def _by_language(pairs: Any, language: str, known: list[str]) -> Any:
    """The pairs with `entry_language`, laid out so that a task has one language."""
    from pyspark.sql import functions as F

    if known == [ALL]:
        return pairs.withColumn("entry_language", F.lit(ALL))
    own = F.lower(F.coalesce(F.col(f"`{language}`"), F.lit("")))
    family = F.element_at(F.split(own, "[-_@]"), 1)
    other = F.lit(OTHER) if OTHER in known else own
    chosen = F.when(own.isin(known), own).when(family.isin(known), family).otherwise(other)
    pairs = pairs.withColumn("entry_language", chosen)
    laid = F.when(F.col("entry_language").isin(known), F.col("entry_language")).otherwise(F.lit(ALL))
    places, tasks = [], 0
    for each, count in sorted(pairs.groupBy(laid).count().collect()):
        share = -(-count // TASK_ROWS)
        places += [F.lit(each), F.struct(F.lit(tasks).alias("first"), F.lit(share).alias("tasks"))]
        tasks += share
    if not tasks:
        return pairs
    place = F.element_at(F.create_map(*places), laid)
    task = place["first"] + F.pmod(F.xxhash64("uid"), place["tasks"]).cast("int")
    return pairs.withColumn("_task", task).repartitionById(tasks, "_task").drop("_task")


def _matching(metadata: str, mode: Mode, known: set[str]) -> Any:
    """Rows of `FOUND`: those of the captions, then one for each language of the task, with what it counted."""

    def match(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        counts: dict[str, np.ndarray] = {}
        for batch in batches:
            for part in _languages_apart(batch):
                language, captions = part.column("entry_language")[0].as_py(), part.column("caption")
                ids = pa.array([[]] * len(part), IDS)
                if language in known:
                    first, size, matcher = _matcher(metadata, mode, language)
                    ids = matcher.match(captions)
                    np.add.at(counts.setdefault(language, np.zeros(size, np.int64)), np.asarray(ids.values), 1)
                    ids = _shifted(ids, first)
                unmatched = pc.if_else(pc.equal(pc.list_value_length(ids), 0), captions, None)
                no_counts = pa.nulls(len(part), COUNTED)
                yield _rows(part.column("uid"), ids, part.column("entry_language"), unmatched, no_counts)
        for language, count in counts.items():
            yield _counted(language, _matcher(metadata, mode, language)[0], count)

    return match


def _counted(language: str, first: int, count: np.ndarray) -> pa.RecordBatch:
    held, nothing = np.flatnonzero(count), pa.nulls(1, pa.string())
    ids, counts = pa.array([held + first], IDS), pa.array([count[held]], COUNTED)
    return _rows(nothing, ids, pa.array([language]), nothing, counts)


def _rows(*columns: pa.Array) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(list(columns), names=["uid", "entries", "entry_language", "unmatched", "counts"])


def _languages_apart(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    languages = batch.column("entry_language")
    known = pc.unique(languages)
    for language in known:
        yield batch if len(known) == 1 else batch.filter(pc.equal(languages, language))


def _shifted(ids: pa.ListArray, by: int) -> pa.ListArray:
    return ids if not by else pa.ListArray.from_arrays(ids.offsets, pc.add(ids.values, pa.scalar(by, pa.int32())))


def _naming(metadata: str) -> Any:
    def name(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for part in _languages_apart(batch.rename_columns(["entry_id", "entry_language", "count"])):
                first, entries = _entries(metadata, part.column("entry_language")[0].as_py())
                names = pa.array(entries).take(pc.subtract(part.column("entry_id"), pa.scalar(first, pa.int32())))
                columns = [part.column("entry_id"), part.column("entry_language"), names, part.column("count")]
                yield pa.RecordBatch.from_arrays(columns, names=["entry_id", "language", "entry", "count"])

    return name


def _matcher(metadata: str, mode: Mode, language: str) -> tuple[int, int, Any]:
    """(first id, number of entries, matcher) of a language, few per worker: building costs more than a batch.

    Each worker has tables of its own, 28 MB for 500,000 entries: little beside the 290 MB of its libraries.
    """
    return _built(metadata, mode, language, state(metadata))


@lru_cache(maxsize=2)
def _built(metadata: str, mode: Mode, language: str, _state: tuple) -> tuple[int, int, Any]:
    from curation.methods import Matcher

    first, entries = _entries(metadata, language)
    return first, len(entries), Matcher(entries, mode)


def _entries(metadata: str, language: str) -> tuple[int, list[str]]:
    from curation.entries import load_entries, load_language

    return (0, load_entries(metadata)) if language == ALL else load_language(metadata, language)
