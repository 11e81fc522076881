"""Pool, store and release in an object store, through tasks of Spark: the same tars as on a local disk."""

import shutil
from pathlib import Path

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from curation.errors import LockedOutputError
from curation.ingest import ingest
from curation.run import run
from curation.shards.cache import SUFFIX
from curation.shards.dataset import ManifestDataset
from curation.shards.forget import forget
from curation.shards.manifest import Release
from curation.shards.tar import read_members
from curation.shards.verify import verify
from tests.s3_server import Asked, server

RECIPE = """
[[stage]]
run = "dedup_pairs"

[[stage]]
run = "write_shards"
with.bytes_per_shard = 12_000
with.max_side_px = 40
with.by = "caption_words"
with.signals = ["image_aspect"]
with.embeddings = ["image_phash"]
"""


@pytest.fixture
def recipe(tmp_path) -> str:
    (tmp_path / "small.toml").write_text(RECIPE)
    return str(tmp_path / "small.toml")


@pytest.fixture
def releases(spark, pictures, pool, bucket, recipe, tmp_path) -> tuple[str, str]:
    """The same release from local files and from the bucket, where the pictures are, too."""
    fsspec.filesystem("s3", use_listings_cache=False).put(f"{pictures}/", f"{bucket}/pictures/", recursive=True)
    ingest([f"{bucket}/pictures/pictures.tsv"], out=f"{bucket}/pool")
    run(recipe, f"{bucket}/pool", f"{bucket}/out")
    shutil.copytree(pool, tmp_path / "pool")
    run(recipe, str(tmp_path / "pool"), str(tmp_path / "out"))
    return str(tmp_path / "out"), f"{bucket}/out"


def test_a_release_in_a_store_is_the_one_on_a_disk(releases, bucket, recipe, tmp_path):
    local, remote = (Release.open(out) for out in releases)
    for kind in ("tars", "embeddings", "samples", "subset"):
        assert local.mark[kind] == remote.mark[kind]
    assert verify(local.out) == verify(remote.out) == []
    assert bytes(local.open_tar(0)) == remote.open_tar(0)
    check_sizes(local)
    check_vectors(remote)
    again = run(recipe, f"{bucket}/pool", f"{bucket}/out")
    assert again["stages_computed"] == 0
    store = fsspec.filesystem("s3", use_listings_cache=False)
    found = store.find(bucket)
    assert not any(path.endswith((".tmp", "/lock")) for path in found)
    refuse_a_rival(bucket, recipe)
    assert store.find(bucket) == found
    check_reading(local, remote, tmp_path / "cache")
    check_takedown(local, remote, bucket, tmp_path)


def check_sizes(release: Release) -> None:
    """No picture is larger than asked for, tars are near the size asked for, numbers have no gaps."""
    rows = release.samples().to_pylist()
    assert max(max(row["width"], row["height"]) for row in rows) == 40
    words = [{len(row["caption"].split()) for row in rows if row["shard"] == n} for n in range(len(release.tars))]
    assert all(len(found) == 1 for found in words) and len({*map(min, words)}) > 1
    assert [tar["name"] for tar in release.tars] == [f"shards/{n:08d}.tar" for n in range(len(words))]
    full = [sum(m.bytes + 1024 for m in read_members(bytes(release.open_tar(n)))) for n in range(len(words))]
    assert 4_000 < np.mean(full) < 16_000 and len(full) > len({*map(min, words)})


def check_vectors(release: Release) -> None:
    parts = release.mark["embeddings"]
    assert [part["rows"] for part in parts] == [tar["rows"] for tar in release.tars]
    assert parts[0]["name"] == "shards/00000000.image_phash.npy"
    with fsspec.open(f"{release.out}/{parts[0]['name']}", "rb") as file:
        assert np.load(file).shape == (parts[0]["rows"], 16)
    with fsspec.open(f"{release.out}/{release.mark['samples'][0]['name']}", "rb") as file:
        assert "image_phash" not in pq.read_schema(file).names


def check_reading(local: Release, remote: Release, cache: Path) -> None:
    """The reader gives the same samples in the same order, each shard fetched once into its folder."""
    wanted = list(ManifestDataset(local.out, seed=3))
    assert list(ManifestDataset(remote.out, seed=3, cache=str(cache))) == wanted
    assert {path.stem for path in cache.glob(f"*{SUFFIX}")} == {tar["sha256"] for tar in remote.tars}


def check_takedown(local: Release, remote: Release, bucket: str, folder: Path) -> None:
    """The same pair forgotten in both; the pool in the store is told."""
    gone = local.samples()["uid"][0].as_py()
    (folder / "gone.txt").write_text(gone + "\n")
    before = len(server().asked)
    left = [
        forget(release.out, out=out, uids=str(folder / "gone.txt"))
        for release, out in ((local, str(folder / "left")), (remote, f"{bucket}/left"))
    ]
    assert left[0] == left[1] | {name: left[0][name] for name in ("release", "diff")}
    assert left[1]["samples_removed"] == 1 and left[1]["excluded_from_pool"]
    here, there = (Release.open(each["release"]) for each in left)
    check_copies(remote, there, server().asked[before:])
    for kind in ("tars", "embeddings", "samples", "subset"):
        assert here.mark[kind] == there.mark[kind]
    assert verify(there.out) == []
    assert gone not in there.samples()["uid"].to_pylist() and len(there.samples()) == len(remote.samples()) - 1
    again = forget(remote.out, out=f"{bucket}/left", uids=str(folder / "gone.txt"))
    assert again == left[1]
    found = fsspec.filesystem("s3", use_listings_cache=False).find(bucket)
    assert not any(path.endswith((".tmp", "/lock")) for path in found)


def check_copies(old: Release, new: Release, asked: list[Asked]) -> None:
    """The store itself copied the shards and vectors that stayed as they were: nobody sent them, nor fetched them for
    more than a look at their end.
    """
    places = [Path(release.out.removeprefix("s3:/")) for release in (old, new)]
    parts = [{p["name"]: p["sha256"] for kind in ("tars", "embeddings") for p in r.mark[kind]} for r in (old, new)]
    same = [name for name, sha256 in parts[0].items() if parts[1][name] == sha256]
    assert len(old.tars) - 1 <= len(same) < len(parts[0])
    for name in same:
        source, target = (f"{place}/{name}" for place in places)
        sent = [ask for ask in asked if ask.method in ("PUT", "POST") and ask.path == target]
        assert sent == [Asked("PUT", target, source)]
        assert len([ask for ask in asked if ask.method == "GET" and ask.path == source]) <= 1


def refuse_a_rival(bucket: str, recipe: str) -> None:
    """A run on an OUT that another process writes ends with one sentence."""
    import threading

    from curation import stores

    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with stores.leased(f"{bucket}/out", "process 7 on another machine", wait=False):
            held.set()
            done.wait(60)

    rival = threading.Thread(target=hold)
    rival.start()
    held.wait(30)
    try:
        with pytest.raises(LockedOutputError, match="out is being written by process 7 on another machine"):
            run(recipe, f"{bucket}/pool", f"{bucket}/out")
    finally:
        done.set()
        rival.join()
