"""A pool made by hand in two parts: hostile captions, small drawn pictures, some of them broken. No Spark."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from curation import tables
from curation.files import join
from curation.parts import write_part
from curation.pool import Pool
from curation.schema import PAIRS, hex_id

HOSTILE = [
    "<script>alert(1)</script> a red house",
    '"><img src=x onerror="alert(2)"> a blue house',
    "\x1b[31ma green\x1b[0m house\nwith a second line",
    "a \u202ehouse\u202c turned round {{ 7 * 7 }} $\\frac{1}{2}$",
    "</style><style>*{display:none}</style> a white house",
    "a house \ud55c\uad6d\uc5b4 \u0627\u0644\u0639\u0631\u0628\u064a\u0629 and '=HYPERLINK(\"http://evil.example\")'",
]
ENTRIES = ["house", "red", "blue", "green", "number"]
SECRET_URL = "https://me:hunter2@example.com/a.jpg?w=1&token=t0ps3cret"


def encoded(number: int) -> bytes:
    """A small picture; every 13th is cut short, every 17th no picture at all."""
    if number % 17 == 16:
        return b"<html>not found</html>"
    pixels = np.full((40 if number % 11 else 20, 60 + number % 5, 3), (number * 37 % 256, 90, 200), np.uint8)
    pixels[: number % 20] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, ("JPEG", "PNG", "WEBP")[number % 3])
    return file.getvalue()[: 300 if number % 13 == 12 else None]


def caption(number: int) -> str:
    if number % 10 == 9:
        return ("x", "ein Haus am See im Wald", "  ")[number // 10 % 3]
    if number % 3 == 1:
        return HOSTILE[number // 3 % len(HOSTILE)]
    return f"a {ENTRIES[1 + number % 3]} house with the number {number}"


def make_pool(folder: Path, size: int, first: int, digits: int) -> list[dict]:
    """The rows of a pool in two parts, pictures end to end in one file."""
    folder.mkdir(parents=True, exist_ok=True)
    data = [encoded(n) for n in range(first, first + size)]
    images = folder / "images" / "made.tar"
    images.parent.mkdir()
    images.write_bytes(b"".join(data))
    offsets = np.cumsum([0, *map(len, data)])
    rows = []
    for place, number in enumerate(range(first, first + size)):
        pointer = {"uri": str(images), "offset": int(offsets[place]), "length": len(data[place])}
        url = ("javascript:alert(3)", SECRET_URL, f"https://example.com/{number}.jpg")[min(number % 7, 2)]
        row = dict.fromkeys(PAIRS.names) | {"image": pointer, "caption": caption(number), "url": url}
        row |= {"uid": hex_id(f"made:{number}", caption(number)), "image_id": hex_id(f"made:{number}")}
        row |= {"caption_kind": "alt", "source": "made", "kind": "table", "source_uri": "/data/made.parquet"}
        row |= {"document": f"row {number}", "repeats": 1 + number % 2, "extra": [("views", str(number))]}
        rows.append(row)
    pool = Pool(str(folder))
    for half in (rows[::2], rows[1::2]):
        key = hex_id(*(r["uid"] for r in half))
        write_table(join(str(folder), "pairs", key), half, PAIRS.arrow, digits, {})
        pool = pool.with_part({"key": key, "content": key, "rows": len(half)})
    return rows


def write_table(folder: str, rows: list[dict], schema: pa.Schema, digits: int, record: dict) -> list[dict]:
    """A committed table in parts by uid prefix, each sorted by uid; the records of the parts."""
    starts = sorted({r["uid"][:digits] for r in rows}) if digits else [""]
    parts = []
    for start in starts:
        here = sorted((r for r in rows if r["uid"].startswith(start)), key=lambda r: r["uid"])
        batch = pa.RecordBatch.from_pylist(here, schema)
        parts.append(write_part(folder, start or "all", [batch], schema).record())
    tables.write_done(folder, record | {"parts": parts, "columns": schema.names})
    return parts
