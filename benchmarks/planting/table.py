"""The planted table: clean pairs with a known share of each fault, as a Parquet table and a folder of pictures.

Which pair gets which fault depends on its key and the seed alone, and no pair gets two. Faults in REPLACING take the
place of their pair; those in ADDING are further pairs, in a group with the one they copy.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.schema import hex_id
from planting import captions, pictures
from planting.pairs import Pair, keyed

CLEAN = "clean"
CAPTIONS = {"digits": captions.stuffed, "empty": captions.empty, "placeholder": captions.placeholder}
PICTURES = {"drawn_text": pictures.lettered, "solid": pictures.solid, "broken": pictures.broken}
REPLACING = ("language", "swapped", *CAPTIONS, *PICTURES)
ADDING = ("duplicate_exact", "duplicate_edited", "evaluation")
FAULTS = (*REPLACING, *ADDING)


class Row(NamedTuple):
    """A row of the planted table; `group` is the number of the pair that it copies, else its own."""

    number: int
    fault: str
    how: str
    group: int
    caption: str
    path: str


class Planted(NamedTuple):
    """The table, its rows by number, and the folder of the held-out evaluation pictures."""

    table: Path
    rows: dict[int, Row]
    evaluation: Path


def chosen(pairs: Sequence[Pair], rate: float, seed: int) -> dict[str, list[Pair]]:
    """The pairs of each fault, `rate` of all for each, disjoint; those left are clean.

    Translations come first, since few pairs may have one; where none has, there is no such fault.
    """
    left = sorted(pairs, key=lambda pair: keyed(seed, "fault", pair.key))
    count, found = round(rate * len(pairs)), {}
    for fault in FAULTS:
        able = [pair for pair in left if pair.translations] if fault == "language" else left
        found[fault] = able[:count]
        taken = {pair.key for pair in found[fault]}
        left = [pair for pair in left if pair.key not in taken]
    return found | {CLEAN: left}


def plant(pairs: Sequence[Pair], rate: float, seed: int, folder: Path) -> Planted:
    """Write the planted table and its pictures, or find them there; SystemExit where others are."""
    mark = folder / "_done.json"
    wanted = json.dumps([hex_id(*(f"{pair.key}\0{pair.caption}" for pair in pairs)), rate, seed])
    if mark.is_file() and mark.read_text() == wanted:
        return found(folder)
    if folder.exists():
        raise SystemExit(f"{folder} holds other planted pairs, or some of them: name another --work, or remove it")
    _write(chosen(pairs, rate, seed), seed, folder)
    mark.write_text(wanted)
    return found(folder)


def found(folder: Path) -> Planted:
    """The table that was written into a folder."""
    named = [name.removeprefix("planted_") for name in pq.read_schema(folder / "planted.parquet").names]
    rows = pq.read_table(folder / "planted.parquet").rename_columns(named).to_pylist()
    return Planted(folder / "planted.parquet", {row["number"]: Row(**row) for row in rows}, folder / "evaluation")


def _write(by_fault: dict[str, list[Pair]], seed: int, folder: Path) -> None:
    (folder / "pictures").mkdir(parents=True)
    (folder / "evaluation").mkdir()
    rows: list[Row] = []
    for number, pair in enumerate(by_fault["evaluation"]):
        (folder / "evaluation" / f"{number:06d}").write_bytes(pair.read())

    def add(fault: str, how: str, caption: str, data: bytes, group: int | None = None) -> int:
        number = len(rows)
        path = f"pictures/{number:06d}"
        (folder / path).write_bytes(data)
        rows.append(Row(number, fault, how, number if group is None else group, caption, path))
        return number

    for fault in (CLEAN, *REPLACING):
        for _, how, caption, data in faulty(fault, by_fault[fault], seed):
            add(fault, how, caption, data)
    for fault in ADDING:
        for pair, how, caption, data in faulty(fault, by_fault[fault], seed):
            group = None if fault == "evaluation" else add(CLEAN, "copied", pair.caption, pair.read())
            add(fault, how, caption, data, group)
    columns = ["fault", "how", "group", "number"]
    table = pa.Table.from_pylist([row._asdict() for row in rows])
    table = table.rename_columns([f"planted_{name}" if name in columns else name for name in table.column_names])
    pq.write_table(table, folder / "planted.parquet")


def faulty(fault: str, pairs: Sequence[Pair], seed: int) -> list[tuple[Pair, str, str, bytes]]:
    """Each pair with what was done to it, its caption and its picture as they are then."""
    others = captions.swapped([pair.caption for pair in pairs]) if fault == "swapped" else []
    made = []
    for place, pair in enumerate(pairs):
        draw = np.random.default_rng(keyed(seed, fault, pair.key))
        how, caption, data = "", pair.caption, pair.read()
        if fault == "swapped":
            caption = others[place]
        elif fault == "language":
            how, caption = pair.translations[int(draw.integers(len(pair.translations)))]
        elif fault in CAPTIONS:
            how, caption = CAPTIONS[fault](caption, draw)
        elif fault in COPIES:
            how, caption, data = COPIES[fault](data, caption, draw)
        elif fault in PICTURES:
            how, data = PICTURES[fault](data, caption, draw)
        made.append((pair, how, caption, data))
    return made


def _copied(data: bytes, caption: str, draw: np.random.Generator) -> tuple[str, str, bytes]:
    """The same pair again, or with other blanks between its words."""
    if draw.random() < 0.5:
        return "same", caption, data
    return "other blanks", captions.respaced(caption, draw), data


def _edited(data: bytes, caption: str, draw: np.random.Generator) -> tuple[str, str, bytes]:
    how, edited = pictures.edited(data, caption, draw)
    return how, caption, edited


def _leaked(data: bytes, caption: str, draw: np.random.Generator) -> tuple[str, str, bytes]:
    """An evaluation picture as it is, or edited."""
    return ("same", caption, data) if draw.random() < 0.5 else _edited(data, caption, draw)


COPIES: dict[str, Callable[..., tuple[str, str, bytes]]] = {
    "duplicate_exact": _copied,
    "duplicate_edited": _edited,
    "evaluation": _leaked,
}
