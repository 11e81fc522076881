"""Which words a release has more or less of than its pool."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import regex

from curation.report.charts import curves
from curation.report.pairs import Pairs
from curation.report.plots import WORD_FREQUENCIES, Plot
from curation.shown import cut

WORD = regex.compile(r"[\p{L}\p{N}][\p{L}\p{M}\p{N}]*(?:['’][\p{L}\p{N}][\p{L}\p{M}\p{N}]*)*")
SHOWN = 14  # words in each of the two tables
FEWEST = 5  # uses of a word on one side; an assumption: below that a share is noise
LEAST = 0.005  # change per 1,000 words that is still shown: less would read as 0.00


def word_counts(captions: Iterable[str | None]) -> Counter[str]:
    """How often each word is used: runs of letters, with their marks, and digits, in lower case.

    >>> word_counts(["A dog's dog, a-b हिन्दी", None]).most_common(4)
    [('a', 2), ("dog's", 1), ('dog', 1), ('b', 1)]
    """
    return Counter(word for caption in captions if caption for word in WORD.findall(caption.lower()))


def word_changes(sample: Pairs) -> dict[str, Any] | None:
    """The words whose share changed most from the pool's captions to the kept ones, with the `plot` of all; None where
    one side has none.
    """
    before = word_counts(sample.column("caption", 0).to_pylist())
    after = word_counts(sample.column("caption").filter(sample.kept).to_pylist())
    total, total_after = before.total(), after.total()
    if not total or not total_after:
        return None
    rows = [
        {"word": cut(word, 40), "before": 1000 * before[word] / total, "after": 1000 * after[word] / total_after}
        for word in before.keys() | after.keys()
        if before[word] >= FEWEST or after[word] >= FEWEST
    ]
    rows.sort(key=lambda r: (r["before"] - r["after"], r["word"]))
    more = [r for r in rows[:SHOWN] if r["after"] - r["before"] >= LEAST]
    less = [r for r in reversed(rows[-SHOWN:]) if r["before"] - r["after"] >= LEAST]
    plot = _plot(sample, before, after)
    return {"more": more, "less": less, "words": total, "words_after": total_after, "plot": plot}


def _plot(sample: Pairs, before: Counter[str], after: Counter[str]) -> Plot:
    words = sorted(before.keys() | after.keys(), key=lambda word: (-before[word], -after[word], word))
    rows = [{"word": word, "count": before[word], "count_kept": after[word]} for word in words]
    of = sample.release.mark["counts"]["pool"]
    told = "uses" + (f" in {len(sample):,} of {of:,} pairs" if len(sample) < of else "")
    counts = (np.array([row[side] for row in rows]) for side in ("count", "count_kept"))
    picture = curves(*counts, None, ("pool", "kept"), ("rank of the word", told))
    return Plot.of_rows(WORD_FREQUENCIES, rows, picture, len(sample), of)
