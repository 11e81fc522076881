"""What a report keeps beside the page: in OUT/report/ a Parquet file of numbers and a PNG of the same name.

Numbers before and after stand in one row. Each file's own metadata (`pyarrow.parquet.read_schema(FILE).metadata`) says
recipe and release, and `pairs` of how many (`of`) were looked at: numbers of fewer are of those with the smallest uids.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from curation.files import committing, join
from curation.parts import write_part
from curation.schema import Column, Table

if TYPE_CHECKING:
    from curation.report.drawing import Picture

FOLDER = "report"
STEP = Column("step", pa.string(), "name of the step in the recipe")
PAIRS = Column("pairs", pa.int64(), "pairs that came to the step")
PAIRS_KEPT = Column("pairs_kept", pa.int64(), "of these, the pairs kept")
ENTRY_COUNTS = Table(
    "entry_counts",
    (
        Column("entry_id", pa.int32(), "number of the entry in the list; ascending"),
        Column("language", pa.string(), "of the entry; empty for a list without languages"),
        Column("entry", pa.string(), "the entry"),
        Column("count", pa.int64(), "captions that hold it; entries never seen are left out"),
        Column("count_kept", pa.int64(), "kept captions that hold it"),
    ),
)
WORD_FREQUENCIES = Table(
    "word_frequencies",
    (
        Column("word", pa.string(), "run of letters and digits, in lower case; the most frequent first"),
        Column("count", pa.int64(), "uses in the pool's captions as ingested"),
        Column("count_kept", pa.int64(), "uses in the kept captions"),
    ),
)
CAPTION_LENGTHS = Table(
    "caption_lengths",
    (
        Column("of", pa.string(), "pool: captions as ingested; kept: the kept ones"),
        Column("language", pa.string(), "as the packaged model predicts it, und where it does not; null: all", True),
        Column("captions", pa.int64(), "captions of this language"),
        Column("beyond", pa.int64(), "of these, those of more than 77 tokens, start and end included"),
        Column("beyond_share", pa.float64(), "beyond / captions"),
        Column("tokens_p50", pa.int32(), "tokens that half of these captions do not exceed"),
        Column("tokens_p90", pa.int32(), "the same for 90 % of them"),
        Column("tokens_p99", pa.int32(), "the same for 99 % of them"),
        Column("tokens_max", pa.int32(), "tokens of the longest"),
    ),
)
LANGUAGE_SHARES = Table(
    "language_shares",
    (
        STEP,
        Column("language", pa.string(), "as matched, or as predicted, then und where there is no prediction"),
        PAIRS,
        PAIRS_KEPT,
        Column("share", pa.float64(), "of this language among the pairs that came to the step"),
        Column("share_kept", pa.float64(), "of this language among the pairs kept; null where none is", True),
        Column("kept_share", pa.float64(), "pairs_kept / pairs; null without pairs", True),
        Column("t", pa.int64(), "head/tail threshold; null but for balance_worldwide, like all that follows", True),
        Column("tail_share", pa.float64(), "share of the matches that falls to entries seen fewer than t times", True),
        Column("tail_share_kept", pa.float64(), "the same among the matches of the kept pairs", True),
    ),
)
SOURCES = Table(
    "sources",
    (
        STEP,
        Column("source", pa.string(), "as in the pool"),
        Column("weight", pa.float64(), "as the recipe gives it"),
        PAIRS,
        PAIRS_KEPT,
        Column("share", pa.float64(), "of this source among the pairs that came to the step"),
        Column("share_kept", pa.float64(), "of this source among the pairs kept; null where none is", True),
    ),
)
ASSOCIATIONS = Table(
    "associations",
    (
        STEP,
        Column("attribute", pa.string(), "name of the attribute"),
        Column("label", pa.string(), "name of the label; empty for all pairs"),
        Column("pairs", pa.int64(), "pairs that have the label"),
        Column("target", pa.float64(), "share of these that should have the attribute"),
        Column("share", pa.float64(), "share of these that have it; null where there are none", True),
        Column("share_kept", pa.float64(), "the same by expected numbers after sampling", True),
    ),
)
TABLES = (WORD_FREQUENCIES, CAPTION_LENGTHS, ENTRY_COUNTS, LANGUAGE_SHARES, SOURCES, ASSOCIATIONS)


class Plot(NamedTuple):
    """Rows of one of TABLES with their picture, if any; made from `pairs` of the `of` pairs that there are."""

    table: Table
    batches: Iterable[pa.RecordBatch]
    picture: "Picture | None"
    pairs: int
    of: int

    @staticmethod
    def of_rows(table: Table, rows: list[dict[str, Any]], picture: "Picture", pairs: int, of: int) -> "Plot":
        """A plot of few rows."""
        return Plot(table, [pa.RecordBatch.from_pylist(rows, table.arrow)], picture, pairs, of)


def write_plot(out: str, plot: Plot, mark: dict[str, Any]) -> str:
    """Commit the files of a plot of the release in `out`, whose release.json holds `mark`; their name."""
    said = {"recipe": mark["recipe"], "release": mark["key"], "pairs": str(plot.pairs), "of": str(plot.of)}
    folder = join(out, FOLDER)
    write_part(folder, plot.table.name, plot.batches, plot.table.arrow.with_metadata(said))
    if plot.picture is not None:
        with committing(join(folder, f"{plot.table.name}.png")) as file:
            file.write(plot.picture.png())
    return plot.table.name
