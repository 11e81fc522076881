"""The task side of the signal engine, without Spark: one read and one decode per picture, resumption by content."""

import numpy as np
import pyarrow as pa
import pytest

from curation import compute, images, store, tables
from curation.compute import Job, bucket_writer, evaluate
from curation.graph import Graph
from curation.signal import signal
from tests.test_decode import LOSSLESS, LOSSY, truncated
from tests.test_headers import HOSTILE


def _bucket(pictures, want, pattern="*.jpg"):
    names = sorted(p.name for p in pictures.glob(pattern))
    pointers = [{"uri": str(pictures / n), "offset": 0, "length": None} for n in names]
    columns = {"id": names, "digest": pa.array([0] * len(names), pa.int64()), "image": pointers}
    columns |= {"want": pa.array([want] * len(names), pa.int64()), "bucket": pa.array([0] * len(names), pa.int32())}
    return pa.RecordBatch.from_pydict(columns)


def _job(model, folder):
    graph = Graph({"clip": model})
    nodes = tuple(graph.node(n) for n in ("image_width_px", "image_embedding", "image_phash"))
    return Job("image", nodes, tuple(str(folder / n.spec.name) for n in nodes))


def test_each_picture_is_decoded_once_for_all_signals(pictures, model, tmp_path, monkeypatch):
    seen = []
    original = images.batches

    def counting(*args, **settings):
        for part, batch in original(*args, **settings):
            yield part, batch
            seen.append(batch.decodes)

    monkeypatch.setattr(images, "batches", counting)
    bucket = _bucket(pictures, 0b111)
    records = list(bucket_writer(_job(model, tmp_path))(iter([bucket])))
    assert [r["signal"] for r in records] == [0, 1, 2]
    assert sum(seen) == bucket.num_rows
    rows = tables.read_arrow(str(tmp_path / "image_embedding"), [records[1]["part"]]).to_pylist()
    broken = [r for r in rows if r["value"] is None]
    assert [r["id"] for r in broken] == ["05.jpg"] and broken[0]["error"].startswith("decode_error")
    vectors = np.stack([np.frombuffer(r["value"], "<f2") for r in rows if r["value"] is not None]).astype(np.float32)
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 2e-3


def test_each_kind_of_broken_picture_is_a_null_that_says_why(tmp_path):
    kinds = HOSTILE | {f"cut {name}": (truncated(name), "decode_error") for name in (*LOSSLESS, *LOSSY)}
    (tmp_path / "in").mkdir()
    for name, (data, _) in kinds.items():
        (tmp_path / "in" / name).write_bytes(data)
    job = Job("image", (Graph().node("image_phash"),), (str(tmp_path / "out"),))
    [record] = bucket_writer(job)(iter([_bucket(tmp_path / "in", 1, "*")]))
    rows = tables.read_arrow(str(tmp_path / "out"), [record["part"]]).to_pylist()
    assert {r["id"]: r["error"].partition(":")[0] for r in rows} == {name: code for name, (_, code) in kinds.items()}
    assert not any(r["value"] for r in rows)


def test_a_retry_finds_its_parts_and_only_wanted_signals_are_computed(pictures, model, tmp_path, monkeypatch):
    job = _job(model, tmp_path)
    first = list(bucket_writer(job)(iter([_bucket(pictures, 0b001)])))
    assert [r["signal"] for r in first] == [0] and not (tmp_path / "image_embedding").exists()
    monkeypatch.setattr(images, "batches", lambda *a, **k: pytest.fail("pictures were read again"))
    again = list(bucket_writer(job)(iter([_bucket(pictures, 0b001)])))
    assert again == first


def test_a_bucket_of_many_equal_captions_is_written_in_pieces(tmp_path, monkeypatch):
    node = Graph().node("caption_words")
    names, zeros = [f"{n:02d}" for n in range(10)], [0] * 10
    columns = {"id": names, "digest": [7] * 10, "caption": ["a dog"] * 10, "want": [1] * 10, "bucket": zeros}
    bucket = pa.RecordBatch.from_pydict(columns)
    written = {}
    for rows in (10, 4):
        monkeypatch.setattr(compute, "PIECE_ROWS", rows)
        folder = str(tmp_path / str(rows))
        parts = [r["part"] for r in bucket_writer(Job("text", (node,), (folder,)))(iter([bucket]))]
        written[rows] = [tables.read_arrow(folder, [part]) for part in parts]
    assert [len(part) for part in written[4]] == [4, 4, 2]
    assert pa.concat_tables(written[4]).equals(written[10][0])


def test_pairs_without_a_picture_do_not_share_one_task(spark, tmp_path, monkeypatch):
    monkeypatch.setitem(store.BUCKET_ROWS, "image", 4)
    monkeypatch.setattr(tables, "in_tasks", lambda frame, write: frame.select("bucket").toArrow()["bucket"].to_pylist())
    there = "if(id < 32, null, named_struct('uri', 'a.tar', 'offset', id)) AS image"
    rows = spark.range(64).selectExpr("string(id) AS id", "id AS digest", there, "1L AS want")
    buckets = store.Store(spark, str(tmp_path))._compute(rows, [Graph().node("image_bytes")], "image", 64)
    assert len(set(buckets)) > 8 and buckets.count(max(buckets, key=buckets.count)) < 48  # the tar stays together


def test_a_signal_that_breaks_its_contract_is_named():
    @signal(pa.int32())
    def caption_short(caption):
        """Too few values."""
        return pa.array([1], pa.int32())

    graph = Graph()
    graph.functions = {**graph.functions, "caption_short": caption_short}
    with pytest.raises(ValueError, match="caption_short gave 1 values for 2 rows"):
        evaluate([graph.node("caption_short")], {"caption": pa.array(["a", "b"])}, 2)
