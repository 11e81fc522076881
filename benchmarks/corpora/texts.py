"""Captions for `text.py`: real ones from shared/data, in a seeded order; made ones where there are none."""

import gzip
import itertools
import random
from pathlib import Path

import pyarrow.parquet as pq
from scaling.captions import FILE_ROWS, table, vocabulary

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
ALT_TEXTS = DATA / "tables" / "laion-style-10k.parquet"  # column TEXT: what pages of the web say of images
DESCRIPTIONS = sorted((DATA / "captions").glob("multi30k-*.gz"))  # in English (six of nine), German, French, Czech
SEED = 7  # any number: it only has to stay the same


def captions(count: int) -> tuple[list[str], str]:
    """(`count` captions, what they are); of the real ones each is there once before any is there again."""
    if not ALT_TEXTS.is_file():
        words = vocabulary()
        made = [t for number in range(-(-count // FILE_ROWS)) for t in table(words, number)["caption"].to_pylist()]
        return made[:count], "made captions"
    found = dict.fromkeys(pq.read_table(ALT_TEXTS)["TEXT"].drop_null().to_pylist())  # a dict keeps the order
    for path in DESCRIPTIONS:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            found |= dict.fromkeys(line.rstrip("\n") for line in file)
    texts = list(found)
    random.Random(SEED).shuffle(texts)
    source = f"real captions ({len(texts)} distinct ones: alt-texts, and descriptions in en, de, fr, cs)"
    return list(itertools.islice(itertools.cycle(texts), count)), source
