"""Bounds whose values stand in a file: text of any packing, DataComp's subset files; the file's content counts."""

import gzip
import json

import fsspec
import numpy as np
import pytest

from curation import lists
from curation.errors import RecipeError, SchemaError
from curation.lists import listed
from curation.models.named import file_key
from curation.recipe import check_settings
from curation.run import stage_key
from curation.stages import STAGES

KIND = np.dtype("u8,u8")
SELECT = STAGES["select_subset"]


def uids(count):
    drawn = np.random.default_rng(0).integers(0, 1 << 64, (count, 2), np.uint64)
    drawn[0] = 0, 7  # leading zeros are part of a uid
    return drawn, [f"{high:016x}{low:016x}" for high, low in drawn.tolist()]


def values(spark, path):
    return sorted(row.value for row in listed(spark, str(path)).collect())


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@pytest.mark.parametrize("pairs", [True, False])
def test_a_subset_of_datacomp(spark, tmp_path, monkeypatch, version, pairs):
    monkeypatch.setattr(lists, "TASK_VALUES", 300)
    monkeypatch.setattr(lists, "BATCH_VALUES", 64)
    words, expected = uids(1000)
    array = np.array([tuple(row) for row in words.tolist() * 2], KIND) if pairs else words
    with open(tmp_path / "s.npy", "wb") as file:
        np.lib.format.write_array(file, array, version)
    assert values(spark, tmp_path / "s.npy") == sorted(expected)


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress])
def test_a_text(spark, tmp_path, pack):
    (tmp_path / "s.txt").write_bytes(pack("a\n b c \r\n\na\nü".encode()))
    assert values(spark, tmp_path / "s.txt") == ["a", "b c", "ü"]


@pytest.mark.parametrize("array", [np.arange(4), np.zeros((2, 3), "u8"), np.array(["a"]), np.zeros(2, "u8,u8,u8"),
                                   np.zeros((2, 3), "u8").T])  # fmt: skip
def test_another_array_is_refused(spark, tmp_path, array):
    np.save(tmp_path / "s.npy", array)
    with pytest.raises(SchemaError, match=r"s\.npy: wanted pairs of unsigned 64-bit words"):
        listed(spark, str(tmp_path / "s.npy"))
    (tmp_path / "s.npy").write_bytes(b"none")
    with pytest.raises(SchemaError, match=r"s\.npy: wanted a \.npy"):
        listed(spark, str(tmp_path / "s.npy"))


def test_a_pool_is_restricted(spark, tmp_path):
    words, known = uids(3)
    np.save(tmp_path / "s.npy", np.array([tuple(row) for row in words[:2].tolist()], KIND))
    rows = [("a", known[0], known[1]), ("b", known[2], known[1]), ("c", known[1], None), ("d", known[1], "x")]
    frame = spark.createDataFrame(rows, "uid string, document string, `extra.uid` string")
    bound = {"in_file": str(tmp_path / "s.npy")}
    settings = check_settings(SELECT.spec, {"keep": {"document": bound, "extra.uid": bound}}, "test")
    assert {r.uid: (r.keep, r.drop_reason, r.drop_value) for r in SELECT(frame, **settings).collect()} == {
        "a": (True, None, None),
        "b": (False, f"document not in {tmp_path}/s.npy", known[2]),
        "c": (False, "extra.uid is null", None),
        "d": (False, f"extra.uid not in {tmp_path}/s.npy", "x"),
    }


def test_the_content_of_the_file_is_in_the_key_of_the_stage(tmp_path):
    keys = []
    for text in ("a\n", "b\n"):
        (tmp_path / "s.txt").write_text(text)
        keep = {"document": {"in_file": str(tmp_path / "s.txt")}}
        settings = check_settings(SELECT.spec, {"keep": keep}, "test")
        keys.append(stage_key(SELECT.spec, settings, [], {}))
    assert keys[0] != keys[1]
    with pytest.raises(RecipeError, match=r"no file .*other\.txt"):
        check_settings(SELECT.spec, {"keep": {"document": {"in_file": str(tmp_path / "other.txt")}}}, "test")
    with pytest.raises(RecipeError, match="either"):
        check_settings(SELECT.spec, json.loads('{"keep": {"document": {"in_file": "x", "in": ["a"]}}}'), "test")


def test_a_list_counts_by_its_content_wherever_it_lies(tmp_path):
    keys = []
    for text in ("a\n", "b\n"):
        (tmp_path / "s.txt").write_text(text)
        with fsspec.open("memory://lists/s.txt", "w") as file:
            file.write(text)
        places = [str(tmp_path / "s.txt"), (tmp_path / "s.txt").as_uri(), "memory://lists/s.txt"]
        keys.append([file_key({"keep": {"document": {"in_file": place}}}) for place in places])
        assert keys[-1][1:] == keys[-1][:-1]
    assert keys[0] != keys[1] and file_key((tmp_path / "s.txt").as_uri()) == file_key(str(tmp_path / "s.txt"))
    with pytest.raises(RecipeError, match="in_file = 'memory://lists/nowhere': no such file"):
        file_key({"in_file": "memory://lists/nowhere"})
