"""Tables that drift: columns gone, added, renamed or retyped, in sources, in the pool, in the store."""

import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from curation import parts, tables
from curation.errors import CurationError, RecipeError, SchemaError
from curation.graph import Graph
from curation.ingest import ingest
from curation.pool import Pool
from curation.records import read_record, write_record
from curation.rows import Rows
from curation.single import stage_command
from curation.sources import tables as source_tables
from curation.sources import tars as source_tars
from curation.stages import STAGES
from tests.drawing import draw

URL = "http://a.org/{}.jpg"


class Sink:
    def add(self, data: bytes, extension: str) -> dict:
        return {"uri": "sink", "offset": 0, "length": len(data)}


def read(path: Path, **settings: str) -> tuple[list[dict], list[tuple[str, str]]]:
    """The pairs and the (item, error) of the rejects of one table."""
    rows = [row for batch in source_tables.read(str(path), Sink(), **settings) for row in batch.to_pylist()]
    return [r for r in rows if "identity" in r], [(r["item"], r["error"]) for r in rows if "error" in r]


def drifting_set(folder: Path) -> dict[str, tuple[int, str | None]]:
    """Files of one set, no two alike; the rows that each gives and the error of its rejects, where it has some."""

    def parquet(name: str, columns: dict, compression: str) -> None:
        pq.write_table(pa.table(columns), folder / f"{name}.parquet", compression=compression)

    def pairs(name: str, first: str = "url", second: str = "caption") -> dict:
        return {first: [URL.format(f"{name}{n}") for n in range(3)], second: [f"a dog {name} {n}" for n in range(3)]}

    parquet("plain", pairs("plain"), "snappy")
    parquet("reordered", dict(reversed(pairs("reordered").items())) | {"width": [1, 2, 3]}, "gzip")
    parquet("cases", pairs("cases", "URL", "Caption"), "zstd")
    parquet("renamed", pairs("renamed", "image_url", "alt_text"), "brotli")
    parquet("lz4", pairs("lz4") | {"md5": pa.array([b"\xff" * 16] * 3, pa.binary(16))}, "lz4")
    parquet("missing", {"url": [URL.format("missing")], "words": [3]}, "none")
    parquet("retyped", {"url": [1, 2], "caption": ["a dog", "a cat"]}, "snappy")
    parquet("numbers", {"url": [URL.format("numbers")], "caption": [7]}, "snappy")
    parquet("nulls", {"url": [URL.format("n1"), URL.format("n2")], "caption": pa.nulls(2)}, "snappy")
    parquet("nested", {"url": [URL.format("nested")], "caption": [{"en": "a dog"}]}, "snappy")
    text = "".join(f"{','.join(row)}\n" for row in zip(*pairs("csv").values()))
    (folder / "comma.csv.gz").write_bytes(gzip.compress(("url,caption\n" + text).encode()))
    (folder / "renamed.csv").write_text("link,words\n" + text)
    lines = "".join(json.dumps(dict(zip(("caption", "url"), row[::-1]))) + "\n" for row in zip(*pairs("json").values()))
    (folder / "lines.jsonl.zst").write_bytes(zstandard.compress(lines.encode()))
    good = dict.fromkeys(("plain", "reordered", "cases", "renamed", "lz4", "comma", "lines"), (3, None))
    return good | {
        "missing": (0, "no_columns"),
        "retyped": (0, "no_columns"),
        "numbers": (0, "no_columns"),
        "nested": (0, "no_columns"),
        "nulls": (0, "no_caption"),
        "renamed.csv": (0, "no_columns"),
    }


def test_a_set_of_files_that_drift(spark, tmp_path):
    folder = tmp_path / "a set with blanks, e.g. größe"
    folder.mkdir()
    wanted = drifting_set(folder)
    pool = str(tmp_path / "pool")
    result = ingest([str(folder)], out=pool)
    pairs = [row.asDict() for row in Pool.open(pool).pairs(spark).collect()]
    rejects = pa.concat_tables(pq.read_table(p) for p in Path(pool, "rejects").rglob("*.parquet")).to_pylist()
    assert (result["rows"], result["merged"], result["rejected"]) == (21, 0, 7)
    found = {}
    for file in sorted(folder.iterdir()):
        rows = [p for p in pairs if p["source_uri"] == str(file)]
        errors = {r["error"] for r in rejects if r["source_uri"] == str(file)}
        name = file.name if file.name == "renamed.csv" else file.name.split(".")[0]
        found[name] = (len(rows), next(iter(errors), None))
        assert all(p["caption"].startswith("a dog ") and p["url"].startswith("http://a.org/") for p in rows)
    assert found == wanted
    extra = {p["source_uri"].rpartition("/")[2]: p["extra"] for p in pairs if p["document"] == "0"}
    assert extra["reordered.parquet"] == {"width": "1"}
    assert extra["lz4.parquet"] == {"md5": "ff" * 16}
    assert all("wanted" in r["detail"] or "found" in r["detail"] for r in rejects if r["error"] == "no_columns")


@pytest.mark.parametrize(
    "column",
    [
        pa.array([b"\xff\x00" * 8, None], pa.binary(16)),
        pa.array([b"0123456789abcdef", None], pa.binary(16)).cast(pa.uuid()),
        pa.array(['{"a": 1}', None], pa.json_()),
        pa.array([1, None], pa.duration("ns")),
        pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2)),
        pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int8())),
        pa.array([{"raw": b"\xff"}, None]),
        pa.array(["x", None], pa.string_view()),
        pa.array([2**64 - 1, None], pa.uint64()),
        pa.array([float("nan"), float("-inf")]),
    ],
    ids=lambda column: str(column.type)[:12],
)
def test_a_column_of_any_type_beside_the_pairs(tmp_path, column):
    """It is carried as text, as a key and as a licence too; as a path or an image it costs rows, not the file."""
    columns = {"url": [URL.format(1), URL.format(2)], "caption": ["a dog", "a cat"], "odd": column}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    found, rejected = read(tmp_path / "t.parquet")
    assert len(found) == 2 and not rejected and dict(found[0]["extra"])["odd"]
    for role in ("key", "license", "context"):
        found, rejected = read(tmp_path / "t.parquet", **{f"{role}_column": "odd"})
        assert len(found) == 2 and not rejected
    pq.write_table(pa.table({"caption": ["a dog", "a cat"], "odd": column}), tmp_path / "t.parquet")
    for role in ("image", "path"):
        found, rejected = read(tmp_path / "t.parquet", **{f"{role}_column": "odd"})
        assert len(found) + len(rejected) == 2
        assert {error for _, error in rejected} <= {"no_image", "missing_file", "outside_root", "several_images"}


@pytest.mark.parametrize("column", [[1, 2], [True, None], [{"a": "b"}, None], [[1], [2]], [0.5, float("nan")]])
def test_a_named_column_without_text_is_refused(tmp_path, column):
    pq.write_table(pa.table({"url": [URL.format(1), URL.format(2)], "odd": column}), tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet", caption_column="odd") == ([], [("", "wrong_type")])
    pq.write_table(pa.table({"caption": ["a dog", "a cat"], "odd": column}), tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet", url_column="odd") == ([], [("", "wrong_type")])


def test_json_whose_types_change_from_line_to_line(tmp_path):
    values = ["a dog", 5, None, ["a cat", "a cow"], {"en": "x"}, True, "", 1.5, [], [7]]
    lines = [json.dumps({"url": URL.format(n), "caption": value}) for n, value in enumerate(values)]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    found, rejected = read(tmp_path / "t.jsonl")
    captions = [(row["document"], row["caption"]) for row in found]
    assert captions == [("0", "a dog"), ("3", "a cat"), ("3", "a cow"), ("4", '{"en": "x"}'), ("5", "true")]
    assert [item for item, _ in rejected] == ["1", "2", "6", "7", "8", "9"]


def test_tars_whose_json_drifts(tmp_path):
    records = [{"caption": "a dog"}, {"text": "a cat"}, {"caption": 5}, {"caption": None}, {"title": "x"}, ["a"], 7]
    image = io.BytesIO()
    draw(1)[0].save(image, "PNG")
    with tarfile.open(tmp_path / "t.tar", "w") as archive:
        for n, record in enumerate(records):
            for extension, data in (("png", image.getvalue() + bytes([n])), ("json", json.dumps(record).encode())):
                member = tarfile.TarInfo(f"{n}.{extension}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    rows = [row for batch in source_tars.read(str(tmp_path / "t.tar"), Sink()) for row in batch.to_pylist()]
    assert [row["caption"] for row in rows if "caption" in row] == ["a dog", "a cat"]
    errors = {row["item"]: row["error"] for row in rows if "error" in row}
    assert errors == {"2": "no_letters", "3": "no_caption", "4": "no_caption", "5": "bad_json", "6": "bad_json"}


Change = Callable[[pa.Table], pa.Table]
LOST: dict[str, Change] = {
    "missing": lambda t: t.drop_columns([t.column_names[-1]]),
    "renamed": lambda t: t.rename_columns([*t.column_names[:-1], "other"]),
    "another case": lambda t: t.rename_columns([*t.column_names[:-1], t.column_names[-1].upper()]),
    "retyped": lambda t: t.set_column(0, t.column_names[0], pa.array(range(len(t)), pa.int32())),
}
HARMLESS: dict[str, Change] = {
    "reordered": lambda t: t.select(t.column_names[::-1]),
    "extra": lambda t: t.append_column("more", pa.array(["x"] * len(t))),
}


def alter(folder: str, number: int, change: Change, table: str | None = None) -> None:
    """Change one part and its record alike, as a run of another version of the package would have left it."""
    done = read_record(f"{folder}/_done.json")
    listed = done["tables"][table] if table else done["parts"]
    at = f"{folder}/{table}" if table else folder
    name = listed[number]["name"].removesuffix(".parquet")
    changed = change(pq.read_table(f"{at}/{name}.parquet", partitioning=None))
    listed[number] = parts.write_part(at, name, changed.to_batches(), changed.schema).record()
    write_record(f"{folder}/_done.json", done)


@pytest.fixture
def own_pool(pool, tmp_path) -> str:
    copy = str(tmp_path / "pool")
    shutil.copytree(pool, copy, ignore=shutil.ignore_patterns("store"))
    return copy


@pytest.mark.parametrize("change", [*LOST, *HARMLESS])
def test_a_part_of_a_pool_that_drifts(spark, own_pool, change):
    [part] = Pool.open(own_pool).parts
    folder = f"{own_pool}/pairs/{part['key']}"
    alter(folder, 0, (LOST | HARMLESS)[change])
    if change in HARMLESS:
        assert Pool.open(own_pool).pairs(spark).count() == 26
        return
    with pytest.raises(SchemaError, match=r"all\.parquet: wanted column \w+ as .*found \["):
        Pool.open(own_pool).pairs(spark)


@pytest.mark.parametrize("change", [*LOST, "extra"])
def test_one_part_of_several_that_drifts(spark, tmp_path, change):
    """Not only the first part speaks for a table: a column that one part lacks must not turn into nulls."""
    schema = pa.schema([("uid", pa.string()), ("value", pa.int32()), ("error", pa.string())])
    rows = [{"uid": f"{n:032x}", "value": n, "error": "e"} for n in range(3)]
    batches = [pa.RecordBatch.from_pylist([row], schema) for row in rows]
    folder = str(tmp_path / "table")
    records = [parts.write_part(folder, str(n), [batch], schema).record() for n, batch in enumerate(batches)]
    tables.write_done(folder, {"parts": records})
    assert tables.read_spark(spark, folder, records).count() == 3
    alter(folder, 2, (LOST | HARMLESS)[change])
    with pytest.raises(SchemaError, match=r"wanted column \w+ as"):
        tables.read_spark(spark, folder, tables.read_done(folder)["parts"])


@pytest.mark.parametrize("change", ["missing", "retyped"])
def test_a_part_of_a_signal_that_drifts(spark, own_pool, change):
    rows = Rows(Pool.open(own_pool), f"{own_pool}/store", Graph())
    assert rows.select(spark, ["uid", "image_width_px"]).count() == 26
    [folder] = Path(own_pool, "store/signals").glob("image_width_px-*")
    alter(str(folder), 0, LOST[change])
    with pytest.raises(SchemaError, match=r"wanted column (id|error) as string, it is"):
        Rows(Pool.open(own_pool), f"{own_pool}/store", Graph()).select(spark, ["uid", "image_width_px"])


def test_stage_tables_given_to_a_job(spark, own_pool):
    match, balance = (stage_command(STAGES[name]) for name in ("match_entries", "balance_entries"))
    flags = {"metadata": "wordnet30", "mode": "metaclip1", "language": "caption_language", "store": None}
    folder = match(pairs=own_pool, **flags)["table"]
    further = {"t": 5, "seed": 0, "store": None, "entry_counts": f"{folder}/entry_counts"}
    with pytest.raises(CurationError, match=r"no column \['entries'\]; known"):
        balance(pairs=own_pool, **further)
    with pytest.raises(RecipeError, match="neither a pool"):
        balance(pairs=folder, **(further | {"entry_counts": f"{own_pool}/pairs"}))
    shutil.copytree(folder, f"{own_pool}/whole")
    alter(folder, 0, LOST["missing"])
    with pytest.raises(SchemaError, match=r"its record names \['entry_language'\], its parts have only"):
        balance(pairs=folder, **further)
    shutil.rmtree(folder)
    shutil.copytree(f"{own_pool}/whole", folder)
    alter(folder, 0, lambda t: t.drop_columns(["count"]), "entry_counts")
    with pytest.raises(SchemaError, match=r"balance_entries: table entry_counts lacks \['count'\]"):
        balance(pairs=folder, **further)
