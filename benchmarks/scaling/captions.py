"""Made captions with URLs, as tables that `curate ingest` reads: any number of them, seeded, in constant memory.

Word frequencies follow the double power law of English (Gerlach and Altmann, 2013, doi:10.1103/PhysRevX.3.021006), so
the vocabulary grows with the corpus as a real one does: what holds one entry a word shows itself. The other shares are
those of 10,000 real alt-texts (LAION's) or said to be assumptions.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.entries import load_entries

SEED = 7  # any number: it only has to stay the same
FILE_ROWS = 50_000  # rows of a table; a longer corpus begins with the tables of a shorter one
KNEE, TAIL = 7873, 1.77  # Gerlach and Altmann: where the second power law begins, and its exponent; the first is 1
RANKS = 4_000_000  # words in all; 0.1 % of the text would be rarer ones
MADE_FROM = 2_000  # from this rank on every second word is a made one: names, products, misspellings
WORDS, SPREAD = 7.7, 0.57  # of a caption: median and log-normal sigma; real quantiles 10, 50, 90, 99 are 3, 8, 16, 39
LONG, LONG_WORDS = 0.008, (30, 170)  # share of texts instead of captions, and their words: up to some 1,000 characters
TITLES = 0.4  # captions whose words all begin with a capital letter
MARKS = 0.07  # words that a comma follows
NUMBERS = 0.05  # words that are numbers
ODD = 0.04  # captions that hold an entity, mojibake or a character of no use
FOREIGN = 0.2  # captions in another language; an assumption: a pool selected by language has few, a raw crawl half
STOCK = 0.03  # captions that many pictures share: `logo`, file names
SAME_IMAGE, SAME_PAIR = 0.02, 0.01  # rows with the URL of the row before; those whose caption is the same, too

# The commonest words of real alt-texts, in their order: half of a text.
HEAD = """the of in and a for with by to on photo stock at black new white free image from set is shirt blue red vector
art design women print home cover dress green wedding men gold you top best sale book light bag up world royalty case
background christmas how your day high house logo silver this mm color are as photos long city love an car card all
leather ideas game it fashion my photography wall kitchen pink baby star collection kids style one or images party table
beach vintage full sleeve series video that box yellow"""
OTHER_TONGUES = (
    """der die und mit von für auf ein eine im zu den das aus Haus Hund Straße schöne Küche grün weiß Bild Stadt Wand
    Kinder Mädchen alte neue Tisch Fenster Garten Kleid schwarz""",
    """le la les de des et un une pour avec dans sur maison chien femme robe noir blanc été ville photo cuisine jardin
    enfant fenêtre petite grand nouveau rouge plage mariage""",
    """el la los de y en un una para con por casa perro mujer vestido negro blanco niño ciudad foto cocina jardín mesa
    playa boda pequeño grande nuevo rojo español""",
    """и в на с для из по дом собака женщина платье чёрный белый город фото кухня сад ребёнок окно маленький большой
    новый красный пляж свадьба картина стол дерево""",
    """白い 黒い 犬 猫 写真 東京 の 家 庭 海 夏 新しい 料理 子供 花 桜 駅 旅行 人気 無料""",
)
ENTITIES = ("&amp;", "&quot;", "&#39;", "&nbsp;", "&lt;b&gt;", "R&amp;B", "100&#37;", "&eacute;")
MOJIBAKE = ("caf\u00c3\u00a9", "don\u00e2\u20ac\u2122t", "na\u00c3\u00afve", "\u00e2\u20ac\u0153", "\u00c2\u00a9")
STRANGE = (
    "\u00a0",
    "\u200b",
    "\u00ad",
    "\ufffd",
    "\ufb01ne",
    "\uff26\uff55\uff4c\uff4c",
)  # not seen, or in an odd form
ODDITIES = (*ENTITIES, *MOJIBAKE, *STRANGE)
STOCK_CAPTIONS = ("logo", "image", "Profile photo", "Product image 1", "IMG_2034.jpg", "click to enlarge", "thumbnail")
CONSONANTS, VOWELS = "bcdfghjklmnprstvwxyz", "aeiou"


class Words(NamedTuple):
    """What captions are made of: `words` by rank, `shares` the cumulative probability of each rank."""

    words: pa.Array
    shares: np.ndarray
    tongues: tuple[pa.Array, ...]


def vocabulary() -> Words:
    """Real words first, then the entries of the packaged list, the shorter the earlier, mixed with made words."""
    draw = np.random.default_rng(SEED)
    head = HEAD.split()
    known = set(head)
    entries = np.array([e for e in load_entries() if e not in known])
    entries = entries[np.argsort(np.char.str_len(entries) * draw.random(len(entries)), kind="stable")]
    entries, made = pa.array(entries), made_words(RANKS)
    first, rest = entries[: MADE_FROM - len(head)], entries[MADE_FROM - len(head) :]
    pairs = pa.concat_arrays([rest, made[: len(rest)]])  # in turn: a real one, a made one
    in_turn = np.ravel(np.column_stack([np.arange(len(rest)), len(rest) + np.arange(len(rest))]))
    words = pa.concat_arrays([pa.array(head), first, pairs.take(pa.array(in_turn)), made[len(rest) :]])[:RANKS]
    ranks = np.arange(1, RANKS + 1, dtype=np.float64)
    weights = np.where(ranks <= KNEE, 1 / ranks, KNEE ** (TAIL - 1) * ranks**-TAIL)
    tongues = tuple(pa.array(text.split()) for text in OTHER_TONGUES)
    return Words(words, np.cumsum(weights) / weights.sum(), tongues)


def made_words(count: int) -> pa.Array:
    """`count` distinct words, the first million of three syllables, the others of four."""
    syllables = pa.array([c + v for c in CONSONANTS for v in VOWELS])
    number = np.arange(count)
    # Multiplying by what shares no factor with the modulus permutes: neighbours look unlike.
    number = np.where(number < 100**3, number * 618_033 % 100**3, number * 61_803_399 % 100**4)
    digits = [syllables.take(pa.array(number // 100**place % 100)) for place in range(3)]
    digits.append(pc.if_else(pa.array(np.arange(count) < 100**3), "", syllables.take(pa.array(number // 100**3))))
    return pc.binary_join_element_wise(*digits, "")


def write_tables(folder: Path, count: int) -> list[Path]:
    """Parquet tables `url`, `caption` of `count` rows in all; those that are there already are left as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    words, paths = None, []
    for number, start in enumerate(range(0, count, FILE_ROWS)):
        rows = min(FILE_ROWS, count - start)
        path = folder / f"{number:05d}-{rows}.parquet"
        paths.append(path)
        if path.exists():
            continue
        words = words or vocabulary()
        temporary = path.with_suffix(".tmp")
        pq.write_table(table(words, number).slice(0, rows), temporary, compression="zstd")
        temporary.replace(path)
    return paths


def table(words: Words, number: int) -> pa.Table:
    """FILE_ROWS rows of table `number`, which depends on the seed and its number alone."""
    draw = np.random.default_rng([SEED, number])
    captions, urls = made_captions(words, draw, FILE_ROWS), _urls(draw, number, FILE_ROWS)
    before = np.arange(FILE_ROWS) - 1
    chance = draw.random(FILE_ROWS)
    chance[0] = 1
    image = np.where(chance < SAME_IMAGE, before, np.arange(FILE_ROWS))
    text = np.where(chance < SAME_PAIR, before, np.arange(FILE_ROWS))
    spaced = pa.array(chance < SAME_PAIR / 2)  # equal once cleaned
    captions = captions.take(pa.array(text))
    captions = pc.if_else(spaced, pc.binary_join_element_wise(captions, "", " "), captions)
    return pa.table({"url": urls.take(pa.array(image)), "caption": captions})


def made_captions(words: Words, draw: np.random.Generator, count: int, foreign: float = FOREIGN) -> pa.Array:
    """`count` captions, a share of `foreign` in other languages."""
    sizes = np.maximum(1, np.rint(np.exp(np.log(WORDS) + SPREAD * draw.standard_normal(count)))).astype(np.int32)
    sizes = np.where(draw.random(count) < LONG, draw.integers(*LONG_WORDS, count), sizes).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    total = int(offsets[-1])
    flat = words.words.take(pa.array(np.searchsorted(words.shares, draw.random(total))))
    numbers = pc.cast(pa.array(np.exp(9 * draw.random(total)).astype(np.int32)), pa.string())  # up to 8,000
    flat = pc.if_else(pa.array(draw.random(total) < NUMBERS), numbers, flat)
    flat = _foreign(words, draw, flat, sizes, foreign)
    odd = (offsets[:-1] + draw.integers(0, sizes))[draw.random(count) < ODD]
    flat = _at(flat, odd, pa.array(ODDITIES).take(pa.array(draw.integers(0, len(ODDITIES), len(odd)))))
    marked = pa.array(draw.random(total) < MARKS)
    flat = pc.if_else(marked, pc.binary_join_element_wise(flat, ",", ""), flat)
    captions = pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), flat), " ")
    captions = pc.if_else(pa.array(draw.random(count) < TITLES), pc.utf8_title(captions), captions)
    stock = pa.array(STOCK_CAPTIONS).take(pa.array(draw.integers(0, len(STOCK_CAPTIONS), count)))
    return pc.if_else(pa.array(draw.random(count) < STOCK), stock, captions)


def _foreign(words: Words, draw: np.random.Generator, flat: pa.Array, sizes: np.ndarray, share: float) -> pa.Array:
    """Words of whole captions replaced by those of one other language each."""
    tongue = draw.integers(0, len(words.tongues), len(sizes))
    tongue = np.repeat(np.where(draw.random(len(sizes)) < share, tongue, -1), sizes)
    for number, tongue_words in enumerate(words.tongues):
        places = np.flatnonzero(tongue == number)
        chosen = (len(tongue_words) * draw.random(len(places)) ** 2).astype(np.int64)  # the first are the commonest
        flat = _at(flat, places, tongue_words.take(pa.array(chosen)))
    return flat


def _at(values: pa.Array, places: np.ndarray, new: pa.Array) -> pa.Array:
    """`values` with `new` at the places."""
    index = np.arange(len(values))
    index[places] = len(values) + np.arange(len(new))
    return pa.concat_arrays([values, new]).take(pa.array(index))


def _urls(draw: np.random.Generator, number: int, count: int) -> pa.Array:
    """Distinct URLs: a few hosts hold many of the pictures. `.example` is nobody's (RFC 2606)."""
    host = pc.cast(pa.array(np.exp(11 * draw.random(count)).astype(np.int32)), pa.string())
    name = pc.cast(pa.array(draw.integers(10**11, 10**12, count)), pa.string())
    place = pc.cast(pa.array(number * FILE_ROWS + np.arange(count)), pa.string())
    return pc.binary_join_element_wise("https://cdn.shop", host, ".example/images/", name, "-", place, ".jpg", "")
