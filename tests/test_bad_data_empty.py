"""Nothing, one row, everything refused, one huge shard, odd names: valid outputs or a clear word."""

import gzip
import shutil
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from torch.utils.data import DataLoader

from curation.cli import main
from curation.errors import RecipeError
from curation.explain import compare
from curation.ingest import ingest
from curation.pool import Pool
from curation.run import run
from curation.shards.dataset import ManifestDataset
from curation.shards.manifest import Release
from curation.shards.verify import verify
from curation.sources import expand
from tests.conftest import EASED

SHARDS = """
[[stage]]
run = "clean_captions"
[[stage]]
run = "match_entries"
[[stage]]
run = "balance_entries"
on = ["match_entries", "match_entries.entry_counts"]
[[stage]]
run = "prune_frequent_words"
with.keep_share = 1.0
[[stage]]
run = "write_shards"
with.samples_per_shard = 1_000_000_000_000
"""


@pytest.fixture
def recipe(tmp_path) -> str:
    (tmp_path / "shards.toml").write_text(SHARDS)
    return str(tmp_path / "shards.toml")


@pytest.fixture(scope="module")
def empties(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("empties")
    columns = {"url": pa.nulls(0, pa.string()), "caption": pa.nulls(0, pa.string())}
    pq.write_table(pa.table(columns), folder / "no rows.parquet")
    pq.write_table(pa.table({}), folder / "no columns.parquet")
    for name, content in (
        ("nothing.csv", ""),
        ("header.csv", "url,caption\n"),
        ("nothing.jsonl", ""),
        ("nl.tsv", "\n\n"),
    ):
        (folder / name).write_text(content)
    (folder / "packed.csv.gz").write_bytes(gzip.compress(b""))
    (folder / "zero.tar").write_bytes(b"")
    with tarfile.open(folder / "members.tar", "w"):
        pass
    return folder


def test_empty_sources_make_an_empty_pool_and_an_empty_release(spark, empties, recipe, tmp_path):
    pool, out = str(tmp_path / "pool"), str(tmp_path / "out")
    result = ingest([str(empties)], out=pool)
    assert (result["files"], result["rows"], result["rejected"]) == (9, 0, 1)  # a tar has at least its end mark
    assert Pool.open(pool).pairs(spark).count() == 0
    assert ingest([str(empties)], out=pool)["already_ingested"]
    assert run(recipe, pool, out) == {
        "release": out, "recipe": "shards", "pool": 0, "kept": 0, "shards": 0, "stages_computed": 5,
    }  # fmt: skip
    assert_empty(out)


def assert_empty(out: str) -> None:
    """A release without a shard is a release: everything that reads one has an answer."""
    assert verify(out) == []
    assert len(ManifestDataset(out)) == 0 and list(DataLoader(ManifestDataset(out), batch_size=4)) == []
    release = Release.open(out)
    assert release.tars == [] and len(release.samples()) == len(release.shards()) == 0
    assert "</html>" in Path(out, "report.html").read_text()
    assert compare(out, out)["both"] == 0
    with pytest.raises(SystemExit) as done:
        main(["verify", out])
    assert done.value.code == 0


def test_everything_rejected_by_the_whole_recipe(spark, pool, model, tmp_path, capsys):
    """The model stages run on nothing; the release says of each pair why it is not there."""
    copy, out = str(tmp_path / "pool"), str(tmp_path / "out")
    shutil.copytree(pool, copy, ignore=shutil.ignore_patterns("store"))
    changes = [f"signals.clip={model}", *EASED, "text.keep.caption_words.min=70"]
    result = run("full", copy, out, set=changes)
    assert (result["pool"], result["kept"], result["shards"]) == (26, 0, 0)
    assert {r["drop_reason"] for r in Release.open(out).subset().to_pylist()} == {"caption_words<70"}
    assert_empty(out)
    with pytest.raises(SystemExit) as ended:
        main(["train", out, "--scale", "tiny", "--out", str(tmp_path / "run")])
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("0 samples to train on, fewer than a batch of 16")


def test_one_row_and_one_huge_shard(spark, pool, pictures, recipe, tmp_path):
    rows = (pictures / "pictures.tsv").read_text().splitlines()
    (tmp_path / "one.tsv").write_text("\n".join(rows[:2]) + "\n")
    ingest([str(tmp_path / "one.tsv")], out=str(tmp_path / "one"), image_root=str(pictures))
    copy = str(tmp_path / "pool")
    shutil.copytree(pool, copy, ignore=shutil.ignore_patterns("store"))
    for source, count in ((str(tmp_path / "one"), 1), (copy, 26)):
        out = f"{source}-out"
        result = run(recipe, source, out)
        assert (result["pool"], result["kept"], result["shards"]) == (count, count, 1)
        assert verify(out) == []
        assert len(list(ManifestDataset(out))) == count


NAMES = ["größe und maß", "写真 2024", "a [1] {x} b", "100%20 #1 & co;", "-dash", "a'b\"c", "trailing.", "tab\tname"]


def test_names_with_anything_in_them(spark, tmp_path, jpeg=b"\xff\xd8\xff"):
    """Folders, files and globs; a pattern is only one where no file has that very name."""
    for number, name in enumerate(NAMES):
        folder = tmp_path / "in" / name
        folder.mkdir(parents=True)
        (folder / f"{name}.csv").write_text(f"path,caption\n{name[:1]}.jpg,a dog number {number}\n")
        (folder / f"{name[:1]}.jpg").write_bytes(jpeg + bytes([number]))
    files = [str(tmp_path / "in" / name / f"{name}.csv") for name in NAMES]
    assert sorted(expand([str(tmp_path / "in")])) == sorted((file, "table") for file in files)
    for name, file in zip(NAMES, files):
        assert (
            expand([file]) == expand([str(tmp_path / "in" / name)]) == expand([f"file://{file}"]) == [(file, "table")]
        )
    assert [file for file, _ in expand([f"{tmp_path}/in/gr*/größe*.csv"])] == files[:1]
    pool = str(tmp_path / "pool ü [2]")
    result = ingest([str(tmp_path / "in")], out=pool)
    assert (result["rows"], result["rejected"]) == (len(NAMES), 0)
    pairs = Pool.open(pool).pairs(spark).collect()
    assert sorted(p.source_uri for p in pairs) == sorted(files)
    assert all(Path(p.image.uri).read_bytes()[:3] == jpeg for p in pairs)


def test_nothing_there_is_said_before_any_work(tmp_path):
    (tmp_path / "empty folder").mkdir()
    for source in ("empty folder", "no such file.csv", "*.parquet", "empty folder/*"):
        with pytest.raises(RecipeError, match=r"no file of a kind|no such file or folder"):
            ingest([str(tmp_path / source)], out=str(tmp_path / "pool"))
    assert not (tmp_path / "pool").exists()
