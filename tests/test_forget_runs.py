"""After a takedown no run and no ingest of the pool brings back what was forgotten, and every run says so."""

import shutil

import pytest

from curation.explain import why
from curation.ingest import ingest
from curation.pool import Pool
from curation.run import run
from curation.shards.forget import forget
from curation.shards.manifest import Release
from curation.shards.verify import verify

RECIPE = """
[[stage]]
run = "clean_captions"
[[stage]]
run = "write_shards"
with.samples_per_shard = 8
"""


@pytest.fixture
def ours(pool, tmp_path):
    shutil.copytree(pool, tmp_path / "pool")
    (tmp_path / "all.toml").write_text(RECIPE)
    return str(tmp_path / "pool")


def test_a_later_run_and_ingest_keep_it_out(spark, ours, pictures, tmp_path, capsys):
    recipe, old, new = str(tmp_path / "all.toml"), str(tmp_path / "old"), str(tmp_path / "new")
    run(recipe, ours, old)
    rows = Release.open(old).samples().to_pylist()
    three = [r["uid"] for r in rows if r["image_id"] == next(x for x in rows if _captions(rows, x) == 3)["image_id"]]
    picture = next(r for r in rows if r["uid"] == three[0])
    (tmp_path / "h.txt").write_text(picture["sha256"])
    told = forget(old, out=new, hashes=str(tmp_path / "h.txt"))
    assert told["samples_removed"] == 3 and verify(new) == []
    again = str(tmp_path / "again")
    counts = run(recipe, ours, again)
    assert counts["pool"] == len(Release.open(old).subset()) and counts["stages_computed"] == 2
    assert verify(again) == []
    page = (tmp_path / "again" / "report.html").read_text()
    assert "forgotten" in page and not any(uid in page for uid in three)
    subset = {r["uid"]: r for r in Release.open(again).subset().to_pylist()}
    assert {u for u, r in subset.items() if r["drop_reason"] == "forgotten"} == set(three)
    assert {r["uid"] for r in Release.open(again).samples().to_pylist()} == {r["uid"] for r in rows} - set(three)
    assert {r["uid"] for r in Release.open(new).samples().to_pylist()} == {r["uid"] for r in rows} - set(three)
    capsys.readouterr()
    why(again, three[0])
    assert "dropped by pool: forgotten (value: h.txt line 1)" in capsys.readouterr().out
    other = tmp_path / "elsewhere"
    shutil.copytree(pictures, other)
    found = ingest([str(other / "pictures.tsv")], out=ours)
    assert (found["rows"], found["left_out_as_forgotten"]) == (0, 3)
    assert Pool.open(ours).rows == counts["pool"] - 3


def _captions(rows: list[dict], row: dict) -> int:
    return sum(r["image_id"] == row["image_id"] for r in rows)
