"""Clean pairs: real drawings with English captions, from the sample's packages or from a table or pool of the user's.

Left out beforehand, by rules that look at no score: captions that the text bounds of `full` cannot take by design
(below LEAST_WORDS words or LEAST_CHARS characters), captions that the source says are not English, pictures that cannot
be decoded, and those with the same pixels as an earlier one's (white drawings on a transparent ground, say).
"""

import csv
import hashlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from curation.decode import decode
from curation.errors import BadItemError
from curation.files import local_path
from curation.parts import part_uris, read_part
from curation.pool import POOL, Pool

LEAST_WORDS, LEAST_CHARS = 2, 6  # as in the recipe `full`
SAMPLE = Path(__file__).resolve().parents[2] / "sample"
STAMPS, CLIPART = ["tuxpaint-stamps-default"], ["openclipart-png", "openclipart-svg", "wordnet-base"]
STAMP_CAPTIONS = 8  # kept of each stamp: English and seven translations


class Pair(NamedTuple):
    """A caption and where its picture's bytes are; `translations` are real captions of it in other languages."""

    key: str
    caption: str
    path: str
    offset: int = 0
    length: int = -1
    translations: tuple[tuple[str, str], ...] = ()

    def read(self) -> bytes:
        """The encoded picture."""
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return file.read(self.length)


def clean_pairs(source: str | None, sample: Path, limit: int | None, seed: int) -> list[Pair]:
    """The clean pairs in the order of a keyed hash, at most `limit`; `sample` is where the packages are unpacked."""
    if source is None:
        found = [pair for table in sample_tables(sample) for pair in table_pairs(table)]
    else:
        found = pool_pairs(source) if Path(source, POOL).is_file() else table_pairs(Path(source))
    seen: set[bytes] = set()
    kept = []
    for pair in sorted((p for p in found if takeable(p.caption)), key=lambda p: keyed(seed, "order", p.key)):
        pixels = _pixels(pair.read())
        if pixels is not None and pixels not in seen:
            kept.append(pair)
            seen.add(pixels)
        if limit is not None and len(kept) >= limit:
            break
    return kept


def _pixels(data: bytes) -> bytes | None:
    """A digest of the picture as decoded, None where it cannot be."""
    try:
        pixels = decode(data)
    except BadItemError:
        return None
    return hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).digest()


def takeable(caption: str) -> bool:
    """Whether the text bounds of `full` can take such a caption at all."""
    return len(caption.split()) >= LEAST_WORDS and len(caption) >= LEAST_CHARS


def keyed(*parts: object) -> int:
    """64 bits that depend on the parts alone."""
    return int.from_bytes(hashlib.sha256("\0".join(map(str, parts)).encode()).digest()[:8], "big")


def sample_tables(work: Path) -> list[Path]:
    """The tables that sample/fetch.py and sample/build.py make in `work`, made where they are not there yet."""
    tables = [work / "inputs" / name for name in ("openclipart.tsv", "stamps.tsv")]
    if not all(table.is_file() for table in tables):
        work.mkdir(parents=True, exist_ok=True)
        for script, rest in (("fetch.py", [*STAMPS, *CLIPART]), ("build.py", ["stamps", "openclipart"])):
            captions = ["--stamp-captions", str(STAMP_CAPTIONS)] if script == "build.py" else []
            command = [sys.executable, str(SAMPLE / script), "--work", str(work), *captions, *rest]
            subprocess.run(command, check=True, stdout=sys.stderr)
    return tables


def table_pairs(table: Path) -> list[Pair]:
    """The English pairs of a table with the columns path and caption and, where it has one, language.

    Captions in other languages are the translations of the English one with the same picture.
    """
    rows = list(_rows(table))
    other: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        if not _is_english(row):
            other.setdefault(row["path"], []).append((row["language"], row["caption"]))
    pairs, seen = [], set()
    for row in rows:
        if _is_english(row) and row["path"] not in seen:
            seen.add(row["path"])
            # Names and loans ("Tux") are the same in other languages: what is not another text is no translation.
            texts = tuple(sorted((c, t) for c, t in other.get(row["path"], ()) if t.lower() != row["caption"].lower()))
            path = str(table.parent / row["path"])
            pairs.append(Pair(f"{table.stem}/{row['path']}", row["caption"], path, translations=texts))
    return pairs


def _is_english(row: dict) -> bool:
    return (row.get("language") or "en").replace("-", "_").split("_")[0] == "en"


def _rows(table: Path) -> Iterator[dict]:
    if table.suffix == ".parquet":
        yield from pq.read_table(table).to_pylist()
        return
    with table.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, dialect="excel-tab" if table.suffix == ".tsv" else "excel")


def pool_pairs(folder: str) -> list[Pair]:
    """The pairs of a pool that have a picture in a local file."""
    columns = ["uid", "caption", "image", "extra"]
    rows = (row for uri, parts in Pool.open(folder).tables() for row in part_rows(uri, parts, columns))
    pairs = []
    for row in rows:
        if row["image"] is None or not _is_english(dict(row["extra"] or ())):
            continue
        path = local_path(row["image"]["uri"])
        length = -1 if row["image"]["length"] is None else row["image"]["length"]
        pairs.append(Pair(row["uid"], row["caption"], path, row["image"]["offset"] or 0, length))
    return pairs


def part_rows(uri: str, parts: Sequence[dict], columns: list[str]) -> Iterator[dict]:
    for part in part_uris(uri, parts):
        yield from read_part(part, columns, None).to_pylist()
