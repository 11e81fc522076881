"""Small real releases for the tests of shards and trainer, laid out as the pipeline lays them out."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from curation.records import record_text, sealed
from curation.schema import SAMPLES, SHARDS, SUBSET, hex_id
from curation.shards.tar import Sample, write_shard

COLOURS = {"red": (220, 30, 30), "green": (30, 190, 60), "blue": (40, 60, 220), "white": (240, 240, 240)}
FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}


def picture(number: int, extension: str) -> tuple[bytes, str]:
    """An image of two coloured halves and the caption that tells them."""
    names = list(COLOURS)
    left, right = names[number % 4], names[number // 4 % 4]
    pixels = np.zeros((48, 64 + number % 5, 3), np.uint8)
    pixels[:, :32], pixels[:, 32:] = COLOURS[left], COLOURS[right]
    pixels[number % 48, number % 64] = number % 256
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, FORMATS[extension])
    return file.getvalue(), f"a picture with {left} on the left and {right} on the right, número {number}"


def sample_row(number: int) -> tuple[dict, bytes]:
    extension = list(FORMATS)[number % 3]
    image, caption = picture(number, extension)
    identity = f"sha256:{hashlib.sha256(image).hexdigest()}"
    row = dict.fromkeys(SAMPLES.names)
    row |= {
        "uid": hex_id(identity, caption),
        "image_id": hex_id(identity),
        "caption": caption,
        "width": 64 + number % 5,
        "height": 48,
        "format": extension,
        "sha256": hashlib.sha256(image).hexdigest(),
        "source": "made",
        "kind": "table",
        "document": str(number),
    }
    return row | {"key": row["uid"], "clip_score": 0.25}, image


def part(out: Path, name: str, rows: int) -> dict:
    data = (out / name).read_bytes()
    return {"name": name, "bytes": len(data), "rows": rows, "sha256": hashlib.sha256(data).hexdigest()}


def write_table(out: Path, name: str, rows: list[dict], schema: pa.Schema) -> dict:
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema), out / name, compression="zstd")
    return part(out, name, len(rows))


def write_one_shard(out: Path, shard: int, rows: list[tuple[dict, bytes]]) -> tuple[dict, dict, dict]:
    """Tar, its manifest part and its row of the shards table."""
    name = f"shards/{shard:08d}.tar"
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    left_out = ("shard", "offset", "bytes")
    samples = [
        Sample(row["key"], row["format"], image, row["caption"], {k: v for k, v in row.items() if k not in left_out})
        for row, image in rows
    ]
    with open(out / name, "wb") as file:
        record = write_shard(file, samples)
    full = [
        row | {"shard": shard, "offset": offset, "bytes": size}
        for (row, _), offset, size in zip(rows, record.offsets, record.sizes)
    ]
    schema = SAMPLES.arrow.append(pa.field("clip_score", pa.float32()))
    table = write_table(out, f"manifest/samples/{shard:08d}.parquet", full, schema)
    line = {"shard": shard, "samples": record.samples, "bytes": record.bytes, "sha256": record.sha256}
    return part(out, name, len(rows)), table, line


def write_release(out: Path, *, samples: int = 20, per_shard: int = 8, first: int = 0, step: int = 1) -> Path:
    """A release of `samples` pictures, and as many dropped pairs again in its subset; of one format with `step` 3."""
    rows = sorted((sample_row(n) for n in range(first, first + samples * step, step)), key=lambda pair: pair[0]["uid"])
    shards = [write_one_shard(out, i // per_shard, rows[i : i + per_shard]) for i in range(0, samples, per_shard)]
    verdicts = [{"uid": row["uid"], "keep": True} for row, _ in rows]
    verdicts += [{"uid": f"{n:032x}", "keep": False, "drop_reason": "caption_words<3"} for n in range(samples)]
    mark = {
        "schema_version": 1,
        "counts": {"pool": 2 * samples, "kept": samples, "shards": len(shards)},
        "tars": [tar for tar, _, _ in shards],
        "samples": [table for _, table, _ in shards],
        "shards": [write_table(out, "manifest/shards/00000000.parquet", [r for _, _, r in shards], SHARDS.arrow)],
        "subset": [write_table(out, "subset/0.parquet", verdicts, SUBSET.arrow)],
    }
    (out / "manifest/release.json").write_bytes(record_text(sealed(mark)))
    return out


@pytest.fixture
def make_release(tmp_path: Path) -> Callable[..., Path]:
    """Call with samples=, per_shard=, first=, step=, name= to get the folder of a fresh release."""

    def make(*, name: str | Path = "release", **settings: int) -> Path:
        return write_release(tmp_path / name, **settings)

    return make
