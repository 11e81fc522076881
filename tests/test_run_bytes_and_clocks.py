"""What a run must not do: carry pictures through Spark's rows, or ask a clock for anything that it writes."""

import io
import itertools
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from curation.ingest import ingest
from curation.run import run
from curation.shards.manifest import Release
from doors.fingerprint import differing, fingerprint
from tests.drawing import draw

RECIPE = """
[[stage]]
run = "dedup_images"

[[stage]]
run = "write_shards"
with.bytes_per_shard = 12_000
with.max_side_px = 40
with.encode = "webp"
with.signals = ["image_aspect"]
with.embeddings = ["image_phash"]
"""
HASH = re.compile(r"image_phash(_[0-9a-f]{12})?")  # 32 bytes; with a key while it is computed
YEAR_S = 31_556_952
FUTURE_S = 130 * YEAR_S  # in 2100


def binaries(schema: Any, name: str = "") -> Iterator[str]:
    """Names of the columns and fields of a Spark type that hold bytes."""
    from pyspark.sql import types

    if isinstance(schema, types.StructType):
        for field in schema:
            yield from binaries(field.dataType, field.name)
    elif isinstance(schema, types.ArrayType):
        yield from binaries(schema.elementType, name)
    elif isinstance(schema, types.MapType):
        yield from itertools.chain(binaries(schema.keyType, name), binaries(schema.valueType, name))
    elif isinstance(schema, types.BinaryType):
        yield name


def curated(pictures: Path, folder: Path, seconds: int | None = None) -> Path:
    """A release of the drawn pictures and of three that stand in a table; all their files written at that time."""
    shutil.copytree(pictures, folder / "pictures")
    files = [io.BytesIO() for _ in range(3)]
    for number, file in enumerate(files, 100):
        draw(number)[0].save(file, "PNG")
    captions = [draw(number)[1] for number in range(100, 103)]
    table = pa.table({"image": [file.getvalue() for file in files], "caption": captions})
    pq.write_table(table, folder / "pictures/inside.parquet")
    (folder / "small.toml").write_text(RECIPE)
    for path in folder.rglob("*") if seconds else ():
        os.utime(path, (seconds, seconds))
    names = ("pictures.tsv", "inside.parquet")
    ingest([str(folder / "pictures" / name) for name in names], out=str(folder / "pool"))
    for path in folder.rglob("*") if seconds else ():
        os.utime(path, (seconds, seconds))
    run(str(folder / "small.toml"), str(folder / "pool"), str(folder / "out"))
    return folder / "out"


@pytest.fixture(scope="module")
def made(spark, pictures, tmp_path_factory) -> tuple[Path, list[Any]]:
    """A release, and the schemas of all rows that went from Spark to Python or back while it was made."""
    frames, schemas = type(spark.range(1)), []
    really = frames.mapInArrow

    def noting(frame, function, *given, **named):
        result = really(frame, function, *given, **named)
        schemas.extend([frame.schema, result.schema])
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "mapInArrow", noting)
        return curated(pictures, tmp_path_factory.mktemp("made")), schemas


def test_no_row_of_spark_holds_a_picture(made):
    """Only pointers to pictures, and hashes of them: the plans have no column for more."""
    out, schemas = made
    assert any({"uid", "image", "shard"} <= {*schema.names} for schema in schemas)  # what write_shards is handed
    found = {name for schema in schemas for name in binaries(schema)}
    assert found and [name for name in found if not HASH.fullmatch(name)] == []
    tables = [path for path in out.parent.rglob("*.parquet") if path.parent.name != "pictures"]
    assert len(tables) > 5
    for table in map(pq.read_table, tables):
        for name in table.column_names:
            if pa.types.is_binary(table[name].type):
                assert pc.max(pc.binary_length(table[name])).as_py() <= 32, name
    assert Release.open(str(out)).mark["counts"]["kept"] > 20


def test_no_clock_has_a_say_in_what_is_written(made, pictures, tmp_path, monkeypatch):
    """All files from the next century, and a clock that is a year further back whenever the driver looks at it."""
    years = itertools.count(1)
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: 2e9 - next(years) * YEAR_S)
        patch.setattr(time, "time_ns", lambda: int(time.time() * 1e9))
        out = curated(pictures, tmp_path, FUTURE_S)
    assert differing(fingerprint(made[0]), fingerprint(out)) == []
