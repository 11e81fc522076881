"""Releases as their readers see them: only what release.json lists."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from curation.errors import BrokenTableError, SchemaError
from curation.records import record_text, sealed
from curation.schema import SAMPLES, SHARDS
from curation.shards.manifest import Release


def test_samples_in_shard_order_with_extra_columns(make_release):
    release = Release.open(str(make_release(samples=20, per_shard=8)))
    samples = release.samples()
    assert samples.column_names == [*SAMPLES.names, "clip_score"]
    assert samples["shard"].to_pylist() == [0] * 8 + [1] * 8 + [2] * 4
    assert samples["uid"].to_pylist() == sorted(samples["uid"].to_pylist())
    assert release.shards().schema == SHARDS.arrow
    assert release.shards()["samples"].to_pylist() == [8, 8, 4]
    assert release.shard_samples(2).equals(samples.slice(16))


def test_columns_and_uids(make_release):
    release = Release.open(str(make_release()))
    uids = release.samples(["uid"])["uid"].to_pylist()
    some = release.samples(["uid", "caption"], uids=[uids[11], uids[3], "0" * 32])
    assert some.column_names == ["uid", "caption"]
    assert some["uid"].to_pylist() == [uids[3], uids[11]]


def test_places_lead_to_the_members(make_release):
    release = Release.open(f"file:{make_release()}")
    row = release.samples().slice(9, 1).to_pylist()[0]
    data = release.open_tar(row["shard"])
    at, size = row["offset"], row["bytes"]
    assert data[at["text"] : at["text"] + size["text"]].decode() == row["caption"]
    record = json.loads(data[at["json"] : at["json"] + size["json"]])
    assert record == {k: v for k, v in row.items() if k not in ("shard", "offset", "bytes")}


def test_unlisted_files_are_not_read(make_release):
    out = make_release(samples=8, per_shard=8)
    (out / "manifest/samples/00000001.parquet").write_bytes(b"torn")
    assert len(Release.open(str(out)).samples()) == 8


def test_an_empty_release(make_release):
    out = make_release(samples=1)
    mark = json.loads((out / "manifest/release.json").read_text()) | {"samples": [], "tars": []}
    (out / "manifest/release.json").write_bytes(record_text(sealed(mark)))
    assert Release.open(str(out)).samples().equals(SAMPLES.arrow.empty_table())
    assert Release.open(str(out)).samples(["uid"]).schema == pa.schema([SAMPLES.arrow.field("uid")])


def test_no_release_is_told(tmp_path):
    with pytest.raises(BrokenTableError, match=f"no release at {tmp_path}"):
        Release.open(str(tmp_path))


def test_a_newer_release_is_refused(make_release):
    out = make_release(samples=1)
    mark = json.loads((out / "manifest/release.json").read_text()) | {"schema_version": 2}
    (out / "manifest/release.json").write_bytes(record_text(sealed(mark)))
    with pytest.raises(SchemaError, match="schema_version 2"):
        Release.open(str(out))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text[:-40], "wanted JSON, found"),
        (lambda text: text.replace(b'"kept": 1', b'"kept": 2'), "wanted digest [0-9a-f]{64}, that of its text, found"),
        (lambda text: b"[]", "wanted an object, found list"),
        (lambda text: b"[" * 100_000, "wanted JSON, found"),
        (lambda text: b'{"schema_version": 1}', "wanted a field counts of type dict, found none"),
        (lambda text: text.replace(b'"shards/0', b'"../other/0'), "of tars, found {'name': '../other/0"),
    ],
)
def test_a_damaged_release_json_is_told(make_release, change, says):
    path = make_release(samples=1) / "manifest/release.json"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(BrokenTableError, match=f"release.json: .*{says}"):
        Release.open(str(path.parents[1]))


def test_the_digest_is_of_the_text_before_it():
    record = {"b": [1, "é"], "a": 0.1}
    text = record_text(sealed(record)).decode()
    before, _, after = text.rpartition(',\n "digest": "')
    assert hashlib.sha256((before + "\n}").encode()).hexdigest() == after.removesuffix('"\n}\n')
    assert json.loads(text) == sealed(record) == sealed(sealed(record))
    assert before + "\n}" == json.dumps(record, indent=1, allow_nan=False)


def test_missing_parts_are_told(make_release):
    out = make_release()
    (out / "manifest/samples/00000001.parquet").unlink()
    (out / "shards/00000001.tar").unlink()
    with pytest.raises(BrokenTableError, match=r"manifest/samples/00000001.parquet: .*(missing|no file)"):
        Release.open(str(out)).samples()
    with pytest.raises(BrokenTableError, match=r"shards/00000001.tar: missing"):
        Release.open(str(out)).open_tar(1)


def test_no_module_of_shards_or_trainer_needs_spark():
    code = (
        "import sys; sys.modules['pyspark'] = None\n"
        "import curation.shards.verify, curation.shards.dataset, curation.shards.tar, curation.trainer.train"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
