"""Which words and which entries a release has more or less of than its pool."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.files import join
from curation.report.charts import curves
from curation.report.pairs import Pairs
from curation.report.parts import read_where
from curation.shown import cut, plain

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
SHOWN = 14  # words in each of the two tables
FEWEST = 5  # uses of a word on one side; an assumption: below that a share is noise
LEAST = 0.005  # change per 1,000 words that is still shown: less would read as 0.00
ENTRIES = 12  # entries in the table


def word_counts(captions: Iterable[str | None]) -> Counter[str]:
    """How often each word is used: runs of letters and digits, in lower case.

    >>> word_counts(["A dog's dog, a-b", None]).most_common(2)
    [('a', 2), ("dog's", 1)]
    """
    return Counter(word for caption in captions if caption for word in WORD.findall(caption.lower()))


def word_changes(sample: Pairs) -> dict[str, Any] | None:
    """The words whose share changed most from the pool's captions to the kept ones; None where one side has none."""
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
    return {"more": more, "less": less, "words": total, "words_after": total_after}


def entry_changes(sample: Pairs) -> dict[str, Any] | None:
    """Counts of the entries before matching's kept captions were thinned and after; None where nothing was matched."""
    stages = sample.release.mark["stages"]
    number = next((n for n, s in enumerate(stages) if s["run"] == "match_entries"), None)
    if number is None or sample.stage(number) is None:
        return None
    entries = sample.column("entries", number + 1)
    if pa.types.is_null(entries.type):
        return None
    before, after = _counts(entries.filter(sample.reached(number + 1))), _counts(entries.filter(sample.kept))
    t = next((s["settings"]["t"] for s in stages if s["run"] == "balance_entries"), None)
    part = len(sample) / max(1, sample.release.mark["counts"]["pool"])
    level = None if t is None else t * part
    size = max(len(before), len(after))
    before, after = (np.pad(c, (0, size - len(c))) for c in (before, after))
    top = np.lexsort((np.arange(size), -before))[:ENTRIES]
    names = _names(sample, number, top[before[top] > 0].tolist())
    rows = [{"entry": name, "before": int(before[i]), "after": int(after[i])} for i, name in names.items()]
    distinct = {"distinct": int((before > 0).sum()), "distinct_after": int((after > 0).sum())}
    return {"picture": curves(before, after, level), "t": t, "sampled": part < 1, "rows": rows} | distinct


def _counts(entries: pa.Array) -> np.ndarray:
    return np.bincount(entries.flatten().to_numpy(zero_copy_only=False).astype(np.int64))


def _names(sample: Pairs, number: int, ids: list[int]) -> dict[int, str]:
    """The entries behind some ids, in their order, from the step's side table; the number where it is not there."""
    folder = join(sample.release.stage_folder(number), "entry_counts")
    named = {}
    for part in sample.stage(number)["tables"].get("entry_counts", []):
        rows = read_where(folder, part, ["entry_id", "entry"], pc.field("entry_id").isin(ids))
        named |= dict(zip(rows["entry_id"].to_pylist(), map(plain, rows["entry"].to_pylist())))
    return {i: named.get(i, str(i)) for i in ids}
