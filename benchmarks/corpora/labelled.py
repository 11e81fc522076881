"""Captions whose language is known: Multi30k's translations, and Tux Paint's stamps in all their languages."""

import csv
import gzip
import json
import random
from pathlib import Path

import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
STAMPS = ROOT / "work" / "sample" / "inputs" / "stamps.tsv"  # made by `make sample`
SEED = 7  # any number: it only has to stay the same
MULTI30K = ("en", "de", "fr", "cs")
LANGUAGES = {"nb": "no"}  # Bokmål is what the models call Norwegian


def multi30k(count: int) -> list[tuple[str, str]]:
    """(caption, language) of `count` captions in each of four languages; none where the corpus is absent."""
    found = []
    for code in MULTI30K:
        path = DATA / "captions" / f"multi30k-task1-train.{code}.gz"
        if path.is_file():
            with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
                found += [(text, code) for text in random.Random(SEED).sample(file.read().splitlines(), count)]
    return found


def stamps(path: Path) -> list[tuple[str, str]]:
    """(caption, language) of the table of stamps: regions are left off, other scripts of a language left out."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(row["caption"], row["language"]) for row in csv.DictReader(file, dialect="excel-tab")]
    named = [(text, code.partition("_")[0]) for text, code in rows if "@" not in code]
    return [(text, LANGUAGES.get(code, code)) for text, code in dict.fromkeys(named)]


def real_captions() -> list[list[str]]:
    """All captions at hand, one list per corpus: web alt texts, Conceptual Captions, Multi30k, ImageInWords."""
    alts = pq.read_table(DATA / "tables" / "laion-style-10k.parquet")["TEXT"].drop_null().to_pylist()
    found = [alts, [line.split("\t")[0] for line in _lines(DATA / "tables" / "cc3m-validation-first10500.tsv.gz")]]
    for path in sorted((DATA / "captions").glob("*.gz")):
        if path.name.endswith(".jsonl.gz"):
            found.append([v for line in _lines(path) for v in json.loads(line).values() if isinstance(v, str)])
        else:
            found.append(_lines(path))
    return found


def _lines(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        return file.read().removesuffix("\n").split("\n")
