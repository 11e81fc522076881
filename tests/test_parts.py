"""A part altered after its commit is refused by name, or gives the rows it had: never others."""

import random
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation import tables
from curation.errors import BrokenTableError
from curation.failures import spark_failures, told
from curation.parts import find_part, part_uris, write_part
from curation.records import remedy

SCHEMA = pa.schema([("uid", pa.string()), ("keep", pa.bool_()), ("caption", pa.string())])


@pytest.fixture
def folder(tmp_path):
    """A table of one part, larger than the end that has a digest of its own."""
    drawn = random.Random(0)
    rows = {
        "uid": [f"{drawn.getrandbits(128):032x}" for _ in range(6000)],
        "keep": [True] * 6000,
        "caption": [f"{drawn.getrandbits(64):x}" for _ in range(6000)],
    }
    part = write_part(str(tmp_path), "all", pa.table(rows, SCHEMA).to_batches(), SCHEMA, findable=True)
    assert part.bytes > 1 << 17
    return tmp_path


def _parts(folder):
    return [find_part(str(folder), "all").record()]


def test_a_flipped_byte_is_refused_and_the_file_named(folder):
    parts, path = _parts(folder), folder / "all.parquet"
    whole, data = tables.read_arrow(str(folder), parts), path.read_bytes()
    drawn, seen = random.Random(1), Counter()
    for place in [*range(0, len(data), 997), *range(len(data) - 40, len(data))]:
        altered = bytearray(data)
        altered[place] ^= 1 << drawn.randrange(8)
        path.write_bytes(altered)
        try:
            # A byte between the pages may mean nothing: then the rows must be those committed.
            assert tables.read_arrow(str(folder), parts).equals(whole), place
            seen["same"] += 1
        except BrokenTableError as error:
            assert "all.parquet" in str(error)
            seen["refused"] += 1
    assert seen["refused"] > 10 * seen["same"]


def test_spark_refuses_it_too(spark, folder):
    parts, path = _parts(folder), folder / "all.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(spark_failures()) as caught:
        tables.read_spark(spark, str(folder), parts).groupBy("caption", "uid").count().collect()
    error = told(caught.value)
    assert isinstance(error, BrokenTableError) and "all.parquet" in str(error) and "\n" not in str(error)


@pytest.mark.parametrize("harm", ["missing", "shorter", "longer", "other end"])
def test_a_part_that_is_not_as_committed_is_not_opened(folder, harm):
    parts, path = _parts(folder), folder / "all.parquet"
    data = path.read_bytes()
    path.unlink()
    if harm != "missing":
        path.write_bytes({"shorter": data[:-1], "longer": data + b"x", "other end": data[:-1] + b"x"}[harm])
    with pytest.raises(BrokenTableError, match=r"all\.parquet: wanted .* found"):
        part_uris(str(folder), parts)
    assert find_part(str(folder), "all") is None


def test_how_the_rows_come_in_batches_changes_no_byte(tmp_path, monkeypatch):
    monkeypatch.setattr("curation.parts.ROW_GROUP_ROWS", 100)
    drawn = random.Random(0)
    rows = [
        (f"{drawn.getrandbits(128):032x}", drawn.random() < 0.5, drawn.choice(["a dog", None])) for _ in range(1234)
    ]
    table = pa.table(list(map(list, zip(*rows))), SCHEMA)
    written = [
        write_part(str(tmp_path), f"of {size}", table.to_batches(max_chunksize=size), SCHEMA)
        for size in (1, 7, 100, 150, 1234)
    ]
    assert len({(part.sha256, part.rows) for part in written}) == 1 and written[0].rows == 1234
    file = pq.ParquetFile(tmp_path / "of 7.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [100] * 12 + [34]
    assert file.read().equals(table)


def test_only_folders_of_the_store_are_told_to_be_deleted():
    assert remedy(f"/data/store/signals/caption_words-{'0a' * 16}/a.parquet").startswith(
        "delete /data/store/signals/cap"
    )
    assert remedy("/data/signals/mypool/pool.json") == "restore the file"
