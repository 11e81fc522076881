"""What every row curates: drawn pictures in a TSV, with the cases that order, case and ties could decide."""

import csv
import random
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.drawing import COLOURS, COUNT, SHAPES, draw, draw_pool

PICTURES = 72  # several shards of EASED's size, and more groups than shuffle partitions of any row but one
SIZE = (240, 200)  # where `draw` still places the highest number
# Upper case that a Turkish, a C or a German locale turns into something else, spaces and signs of two widths.
TRICKY = [
    "a TITLE IN CAPITALS with an I and an i, drawing {}",
    "İstanbul ISPARTA ILIK: a drawing with dotted and dotless i, number {}",
    "Straße and STRASSE, ǅ and ß, a drawing with sharp letters, number {}",
    "a caf\u00e9 and a cafe\u0301, composed and not, drawing number {}",
    "a 画像 with an ideographic\u3000space and 1.234,5 and 1,234.5, drawing number {}",
]
TABLE = "pictures.tsv"
HEAD = ("path", "caption", "key", "license")
LICENSES = ("CC BY 4.0", "CC0")
SEED = 11  # of the shuffle: any number, it only has to move the rows
PARTS = 3  # files that the shuffled table is cut into


def draw_sources(folder: Path) -> Path:
    """Draw the pictures and write `pictures.tsv` into a new folder; the folder.

    Besides the odd pictures of tests.drawing: rows given twice, also with another licence, one caption on several
    pictures, one picture under several captions, captions that differ in case alone.
    """
    folder.mkdir(parents=True)
    draw_pool(folder)
    rows = read_table(folder / TABLE)
    for number in range(COUNT, PICTURES):
        image, caption = draw(number, SIZE)
        name = f"{number:02d}.{'png' if number % 3 else 'jpg'}"
        image.save(folder / name, quality=95)
        if number % 6 == 0:
            rows.append([name, "a drawing of a shape on a plain background", f"{number}.same"])
        if number % 3 == 1:  # nothing but frequent words, so that balancing and pruning have something to drop
            caption = caption.rpartition(",")[0]
        if number % 4 == 0:
            rows.append([name, TRICKY[number // 4 % len(TRICKY)].format(number), f"{number}.tricky"])
        rows.append([name, caption.upper() if number % 5 == 0 else caption, f"{number}.0"])
    licensed = [[*row, LICENSES[0]] for row in rows]
    again = [[*row, LICENSES[number % 2]] for number, row in enumerate(rows[::5])]
    write_table(folder / TABLE, licensed + again)
    return folder


def write_table(path: Path, rows: list[list[str]]) -> None:
    """Write rows under their head, in this order."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([HEAD, *rows])


def read_table(path: Path) -> list[list[str]]:
    """The rows of a table, without its head."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter="\t"))[1:]


def shuffle_sources(folder: Path, to: Path) -> list[Path]:
    """The same pictures in another folder, their rows shuffled and cut into three tables; these, last one first."""
    shutil.copytree(folder, to)
    (to / TABLE).unlink()
    tables = []
    for number, rows in enumerate(_shuffled(read_table(folder / TABLE))):
        tables.append(to / f"part {number}.tsv")
        write_table(tables[-1], rows)
    return tables[::-1]


def pack_sources(folder: Path, to: Path, *, shuffled: bool) -> list[Path]:
    """The same rows with the pictures inside: one Parquet table, or three with the rows shuffled, last one first."""
    to.mkdir()
    rows = read_table(folder / TABLE)
    tables = []
    for number, part in enumerate(_shuffled(rows) if shuffled else [rows]):
        packed = [{"image": (folder / row[0]).read_bytes()} | dict(zip(HEAD[1:], row[1:])) for row in part]
        tables.append(to / f"part {number}.parquet")
        pq.write_table(pa.Table.from_pylist(packed), tables[-1])
    return tables[::-1]


def _shuffled(rows: list[list[str]]) -> list[list[list[str]]]:
    mixed = random.Random(SEED).sample(rows, len(rows))
    return [mixed[number::PARTS] for number in range(PARTS)]


def write_own_files(folder: Path) -> None:
    """A model with seeded weights, `model/`, and an entry list, `entries.txt`."""
    from tests.small_clip import write_model  # takes seconds to import

    write_model(folder / "model")
    (folder / "entries.txt").write_text("\n".join([*COLOURS, *SHAPES, "background", "drawing", "画像"]) + "\n", "utf-8")
