"""What a filter did to planted pairs: shares removed and lost, and how well a score tells faults from clean pairs."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from planting.table import CLEAN, Row

COPIES = ("duplicate_exact", "duplicate_edited")


def shares(rows: Mapping[int, Row], kept: set[int]) -> dict[str, float]:
    """Share of each fault that is gone, and under `clean` that of the clean pairs, by number of the rows that stayed.

    Of a pair and its copy one has to stay, whichever: the copy counts as removed unless both are there, the clean pair
    as lost only if neither is.
    """
    members = defaultdict(list)
    for row in rows.values():
        members[row.group].append(row.number)
    staying = {group: sum(number in kept for number in numbers) for group, numbers in members.items()}
    gone: dict[str, list[bool]] = defaultdict(list)
    for row in rows.values():
        stays = staying[row.group]
        gone[row.fault].append(stays < 2 if row.fault in COPIES else stays == 0 if row.fault == CLEAN else not stays)
    return {fault: float(np.mean(each)) for fault, each in gone.items()}


def by_kind(rows: Mapping[int, Row], kept: set[int], fault: str) -> dict[str, float]:
    """The share removed of each kind of a fault."""
    kinds = sorted({row.how for row in rows.values() if row.fault == fault})
    found = {}
    for kind in kinds:
        groups = {row.group for row in rows.values() if row.fault == fault and row.how == kind}
        some = {number: row for number, row in rows.items() if row.group in groups}
        found[kind] = round(shares(some, kept)[fault], 4)
    return found


def by_words(rows: Mapping[int, Row], kept: set[int], fault: str) -> dict[str, dict[str, float]]:
    """By words of the caption: how many pairs there are, and the shares of faulty and of clean ones that went."""
    found = {}
    for least, most in ((1, 1), (2, 2), (3, 3), (4, 5), (6, 99)):
        some = {n: r for n, r in rows.items() if r.fault in (fault, CLEAN) and least <= len(r.caption.split()) <= most}
        told = {name: round(share, 4) for name, share in shares(some, kept).items()} if some else {}
        counts = Counter(row.fault for row in some.values())
        name = str(least) if least == most else f"{least} to {most}" if most < 99 else f"{least} and more"
        found[name] = {f"{f}_pairs": counts[f] for f in (fault, CLEAN)} | told
    return found


def reasons(verdicts: Sequence[dict[str, Any]], rows: Mapping[int, Row], numbers: Mapping[str, int]) -> dict[str, int]:
    """Why clean pairs went, by step and reason, most frequent first; not those whose copy stays."""
    kept = {rows[numbers[v["uid"]]].group for v in verdicts if v["keep"]}
    found: Counter = Counter()
    for verdict in verdicts:
        row = rows[numbers[verdict["uid"]]]
        if row.fault == CLEAN and row.group not in kept:
            found[f"{verdict['drop_stage']}: {verdict['drop_reason']}"] += 1
    return dict(found.most_common())


def auc(clean: np.ndarray, fault: np.ndarray) -> float:
    """Chance that a clean pair scores above a faulty one, ties counting half.

    >>> auc(np.array([0.9, 0.5]), np.array([0.5, 0.1]))
    0.875
    """
    ordered = np.sort(fault)
    below, upto = (np.searchsorted(ordered, clean, side) for side in ("left", "right"))
    return float((below + upto).mean() / 2 / len(fault))


def best_threshold(clean: np.ndarray, fault: np.ndarray) -> tuple[float, float, float]:
    """(threshold, share of faults below it, share of clean below it) with the largest difference of the two shares.

    >>> best_threshold(np.array([0.5, 0.8, 0.9]), np.array([0.1, 0.2, 0.6]))
    (0.5, 0.6666666666666666, 0.0)
    """
    marks = np.unique(np.concatenate([clean, fault]))
    removed = np.searchsorted(np.sort(fault), marks) / len(fault)
    lost = np.searchsorted(np.sort(clean), marks) / len(clean)
    best = int(np.argmax(removed - lost))
    return float(marks[best]), float(removed[best]), float(lost[best])


def curve(clean: np.ndarray, fault: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of clean pairs lost and share of faults removed at every threshold, both ascending."""
    marks = np.append(np.unique(np.concatenate([clean, fault])), np.inf)
    lost = np.searchsorted(np.sort(clean), marks) / len(clean)
    return lost, np.searchsorted(np.sort(fault), marks) / len(fault)
