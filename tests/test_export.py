"""A release in DataComp's forms: sorted subsets of any of three uids, metadata under its column names. No Spark."""

import hashlib
import itertools
import json
from pathlib import Path

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest

import curation.export as module
from curation.errors import BrokenTableError, RecipeError, SchemaError, StaleOutputError
from curation.export import METADATA, _words, export
from curation.methods import datacomp_uid
from curation.records import read_record, write_record
from curation.shards.manifest import Release
from tests.made_release import make_release


def words(uids):
    """As mlfoundations/datacomp writes a subset."""
    pairs = [(int(uid[:16], 16), int(uid[16:32], 16)) for uid in uids]
    return np.sort(np.array(pairs, np.dtype("u8,u8")))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_release(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory):
    """A release of which no step changes captions, by a ViT-B-32."""
    made = make_release(tmp_path_factory.mktemp("unchanged"))
    path = str(Path(made.out, "manifest", "release.json"))
    mark = read_record(path)
    mark["stages"] = [s for s in mark["stages"] if s["run"] != "clean_captions"]
    mark["signals"]["image_embedding"] = {"models": {"clip": {"name": "ViT-B-32/openai"}}}
    write_record(path, {k: v for k, v in mark.items() if k != "digest"})
    return made


def test_own_uids(made, tmp_path):
    file = str(tmp_path / "s.npy")
    assert export(made.out, file) == {"subset": file, "uids": len(made.kept)}
    found = np.load(file)
    assert found.dtype == np.dtype("u8,u8") and np.array_equal(found, words(made.kept))
    with pytest.raises(StaleOutputError, match=r"s\.npy exists"):
        export(made.out, file)


def test_uids_of_datacomp_and_its_metadata(unchanged, tmp_path):
    file, folder = str(tmp_path / "s.npy"), tmp_path / "metadata"
    assert export(unchanged.out, file, uid="datacomp", metadata=str(folder))["uids"] == len(unchanged.kept)
    samples = Release.open(unchanged.out).samples().to_pylist()
    uids = [datacomp_uid(row["url"], row["caption"]) for row in samples]
    assert np.array_equal(np.load(file), words(uids))
    files = sorted(folder.iterdir())
    assert [f.name for f in files] == ["00000000.parquet", "00000001.parquet"][: len(files)] and files
    rows = [row for f in files for row in pq.read_table(f).to_pylist()]
    assert pq.read_schema(files[0]).names == METADATA.names
    for row, sample, uid in zip(rows, samples, uids, strict=True):
        assert (row["uid"], row["url"], row["text"]) == (uid, sample["url"], sample["caption"])
        assert (row["original_width"], row["original_height"]) == (sample["width"], sample["height"])
        assert row["clip_b32_similarity_score"] == sample["clip_score"] and row["clip_l14_similarity_score"] is None
        assert row["sha256"] == sample["sha256"]


def test_an_interrupted_export_goes_on_with_the_same_command(unchanged, tmp_path, monkeypatch):
    file, folder = str(tmp_path / "s.npy"), tmp_path / "metadata"
    write, written = module.write_part, []

    def interrupted(*given):
        if written:
            raise KeyboardInterrupt
        written.append(write(*given))

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "write_part", interrupted)
        export(unchanged.out, file, metadata=str(folder))
    assert written and not list(tmp_path.iterdir())
    (tmp_path / "metadata.partial").mkdir()
    (tmp_path / "metadata.partial/00000009.parquet").write_bytes(b"of a killed command")
    assert export(unchanged.out, file, metadata=str(folder))["metadata"] == str(folder)
    rows = sum(pq.read_metadata(part).num_rows for part in folder.iterdir())
    assert rows == len(np.load(file)) == len(unchanged.kept)
    assert {each.name for each in tmp_path.iterdir()} == {"metadata", "s.npy"}


def test_what_cannot_be_said_is_refused(made, tmp_path):
    for settings in ({"uid": "datacomp"}, {"metadata": str(tmp_path / "m")}):
        with pytest.raises(RecipeError, match=r"clean_captions changed captions.*add caption_raw"):
            export(made.out, str(tmp_path / "s.npy"), **settings)
    with pytest.raises(SchemaError, match=r"32 hex characters, found 'row \d+"):
        export(made.out, str(tmp_path / "s.npy"), uid="document")
    with pytest.raises(SchemaError, match="32 hex characters, found ''"):
        _words(["ab" * 16, ""], "x")
    assert not (tmp_path / "s.npy").exists()


def test_a_release_without_shards_has_own_uids_alone(tmp_path):
    made = make_release(tmp_path, shards=False)
    export(made.out, str(tmp_path / "s.npy"))
    assert np.array_equal(np.load(tmp_path / "s.npy"), words(made.kept))
    remote = f"memory://{tmp_path.name}/s.npy"
    export(made.out, remote)
    for file in (str(tmp_path / "s.npy"), remote):
        with pytest.raises(StaleOutputError, match="exists: name another"):
            export(made.out, file)
    with pytest.raises(RecipeError, match="end the recipe with write_shards"):
        export(made.out, str(tmp_path / "t.npy"), uid="document")


def test_no_uid_and_uids_of_the_reference(shared):
    assert len(_words([], "x")) == 0
    uids = [row["uid"] for row in json.loads((shared / "oracles/datacomp_baselines_small.json").read_text())["rows"]]
    assert np.array_equal(np.sort(_words(uids, "x")), words(uids))


def test_mosaicml_streaming(made, tmp_path):
    """Read back by the description of the format alone (by the library itself: docs/reading.md)."""
    folder = tmp_path / "mds"
    assert export(made.out, str(folder), format="mds") == {"mds": str(folder), "samples": len(made.kept)}
    release = Release.open(made.out)
    wanted = {r["uid"]: r for r in release.samples().to_pylist()}
    found = {}
    index = json.loads((folder / "index.json").read_text())
    for shard in index["shards"]:
        data = (folder / shard["raw_data"]["basename"]).read_bytes()
        assert shard["format"] == "mds" and len(data) == shard["raw_data"]["bytes"]
        count = int.from_bytes(data[:4], "little")
        places = np.frombuffer(data, "<u4", count + 1, 4)
        told = json.loads(data[4 + 4 * (count + 1) : places[0]])
        assert {k: shard[k] for k in told} == told and count == shard["samples"]
        for first, last in itertools.pairwise(places.tolist()):
            sizes = np.frombuffer(data, "<u4", len(told["column_names"]), first).tolist()
            ends = first + 4 * len(sizes) + np.cumsum([0, *sizes])
            assert ends[-1] == last
            row = {n: data[a:b] for n, (a, b) in zip(told["column_names"], itertools.pairwise(ends))}
            found[row["uid"].decode()] = row
    assert found.keys() == wanted.keys()
    for uid, row in found.items():
        assert row["caption"].decode() == wanted[uid]["caption"] and json.loads(row["record"])["uid"] == uid
        assert hashlib.sha256(row["image"]).hexdigest() == wanted[uid]["sha256"]
    with pytest.raises(StaleOutputError, match="mds exists"):
        export(made.out, str(folder), format="mds")
    with pytest.raises(RecipeError, match="leave out --uid"):
        export(made.out, str(tmp_path / "other"), format="mds", uid="document")


def test_a_tar_that_was_cut_is_told(made, tmp_path):
    tar = Path(made.out, Release.open(made.out).tars[-1]["name"])
    data = tar.read_bytes()
    tar.write_bytes(data[: len(data) // 2])
    try:
        with pytest.raises(BrokenTableError, match=rf"wanted {len(data)} bytes as committed, found .* curate verify"):
            export(made.out, str(tmp_path / "mds"), format="mds")
    finally:
        tar.write_bytes(data)
    assert not (tmp_path / "mds/index.json").exists()


def test_mds_in_several_files(made, tmp_path, monkeypatch):
    monkeypatch.setattr("curation.shards.mds.SHARD_BYTES", 3000)
    export(made.out, str(tmp_path / "mds"), format="mds")
    index = json.loads((tmp_path / "mds/index.json").read_text())
    assert len(index["shards"]) > 5 and sum(s["samples"] for s in index["shards"]) == len(made.kept)


def test_metadata_in_an_object_store(unchanged, bucket, tmp_path):
    export(unchanged.out, f"{bucket}/s.npy", metadata=f"{bucket}/metadata")
    export(unchanged.out, str(tmp_path / "s.npy"), metadata=str(tmp_path / "metadata"))
    store = fsspec.filesystem("s3", use_listings_cache=False)
    names = sorted(name.partition("/")[2] for name in store.find(bucket.removeprefix("s3://")))
    assert names == sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*.*"))
    with pytest.raises(StaleOutputError, match="metadata exists"):
        export(unchanged.out, f"{bucket}/t.npy", metadata=f"{bucket}/metadata")
