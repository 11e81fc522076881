"""Pictures on lists: each reason told, what cannot be hashed not cleared, bad lists refused before any work."""

import gzip
import hashlib
import os

import numpy as np
import pytest

from curation.errors import RecipeError
from curation.hash_lists import read_hashes
from curation.recipe import load_recipe
from curation.run import stage_key
from curation.stages import STAGES

DDL = "uid string, image_sha256 string, image_sha256__error string, image_pdq binary, image_pdq__error string"
RECIPE = '[[stage]]\nrun = "drop_listed"\n'


def sha(number: int) -> str:
    return hashlib.sha256(b"%d" % number).hexdigest()


def pdq(number: int, changed: int = 0) -> bytes:
    bits = np.unpackbits(np.frombuffer(hashlib.sha256(b"p%d" % number).digest(), np.uint8))
    bits[:: 256 // changed if changed else 257][:changed] ^= 1 if changed else 0
    return np.packbits(bits).tobytes()


@pytest.fixture
def lists(tmp_path):
    (tmp_path / "exact.txt").write_text(f"# known\n{sha(1).upper()}\n\n  {sha(2)}  # why\n")
    with gzip.open(tmp_path / "near.txt.gz", "wt") as file:
        file.write("".join(f"{pdq(n).hex()}\n" for n in range(5, 30)))
    (tmp_path / "other.txt").write_text(f"{pdq(31).hex()}\r\n{pdq(6).hex()}\r\n")
    return tmp_path


ROWS = [
    ("a", sha(0), None, pdq(0), None),
    ("b", sha(1), None, pdq(7), None),
    ("c", sha(2), None, pdq(0), None),
    ("d", sha(0), None, pdq(6, 31), None),
    ("e", sha(0), None, pdq(6, 32), None),
    ("f", sha(0), None, None, "decode_error: jpg: cut"),
    ("g", sha(0), None, None, None),
    ("h", None, "missing_file: x", None, "missing_file: x"),
    ("i", sha(0), None, pdq(31), None),
]


def told(spark, rows, **settings):
    found = STAGES["drop_listed"](spark.createDataFrame(rows, DDL).repartition(3), **settings)
    return {row.uid: (row.drop_reason, row.drop_value) for row in found.collect() if not row.keep}


def test_reasons_and_places(spark, lists):
    found = told(
        spark,
        ROWS,
        sha256=[str(lists / "exact.txt")],
        pdq=[str(lists / "near.txt.gz"), str(lists / "other.txt")],
    )
    assert found == {
        "b": ("listed_sha256", "exact.txt line 2"),
        "c": ("listed_sha256", "exact.txt line 4"),
        "d": ("listed_pdq", "near.txt.gz line 2, 31 bits away"),
        "f": ("image_pdq is null", "decode_error: jpg: cut"),
        "h": ("image_sha256 is null", "missing_file: x"),
        "i": ("listed_pdq", "other.txt line 1, 0 bits away"),
    }


def test_a_distance_and_one_kind_of_list(spark, lists):
    near = [str(lists / "near.txt.gz")]
    assert set(told(spark, ROWS, pdq=near, distance=32)) == {"b", "d", "e", "f", "h"}
    assert set(told(spark, ROWS, pdq=near, distance=0)) == {"b", "f", "h"}
    only = [row[:3] for row in ROWS]
    frame = spark.createDataFrame(only, "uid string, image_sha256 string, image_sha256__error string")
    found = STAGES["drop_listed"](frame, sha256=[str(lists / "exact.txt")]).where("not keep").collect()
    assert {row.uid for row in found} == {"b", "c", "h"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"{'0' * 64}\nxyz\n", "bad.txt line 2: 'xyz'; wanted 64 hex digits"),
        (f"{'0' * 63}\n", "line 1"),
        (f"{'0' * 64} 5\n", "line 1"),
        ("# nothing\n", "holds no hash"),
    ],
)
def test_a_bad_list_is_refused_before_any_work(tmp_path, text, wanted):
    (tmp_path / "bad.txt").write_text(text)
    (tmp_path / "r.toml").write_text(f'{RECIPE}with.sha256 = ["{tmp_path / "bad.txt"}"]\n')
    with pytest.raises(RecipeError, match=wanted):
        load_recipe(str(tmp_path / "r.toml"))


def test_missing_lists_are_refused_before_any_work(tmp_path):
    (tmp_path / "r.toml").write_text(f'{RECIPE}with.pdq = ["/nowhere/list.txt"]\n')
    with pytest.raises(RecipeError, match=r"no file /nowhere/list\.txt"):
        load_recipe(str(tmp_path / "r.toml"))
    (tmp_path / "r.toml").write_text(RECIPE)
    with pytest.raises(RecipeError, match="drop_listed: no list; give sha256 or pdq"):
        load_recipe(str(tmp_path / "r.toml"))
    with pytest.raises(ValueError, match="no file"):
        read_hashes([str(tmp_path / "none.txt")])


def test_a_list_counts_by_its_content(tmp_path):
    """The stage's key changes with the list, not with its name."""
    spec, keys = STAGES["drop_listed"].spec, []
    for name, number in (("a.txt", 1), ("b.txt", 1), ("a.txt", 2)):
        (tmp_path / name).write_text(sha(number) + "\n")
        keys.append(stage_key(spec, spec.settings | {"sha256": [str(tmp_path / name)]}, [], {}))
    assert keys[0] == keys[1] != keys[2]


def test_a_changed_list_is_read_again(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(sha(1) + "\n")
    assert len(read_hashes([str(path)]).hashes) == 1
    path.write_text(f"{sha(1)}\n{sha(2)}\n")
    os.utime(path, ns=(1, 1))
    assert read_hashes([str(path)]).place(1) == "a.txt line 2"
