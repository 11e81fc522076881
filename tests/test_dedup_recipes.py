"""Duplicates through whole runs: the recipe semdedup, merged captions, and a release against another."""

import shutil

import pytest
from lxml import html

from curation.errors import RecipeError
from curation.recipe import load_recipe
from curation.report.report import report
from curation.run import run
from curation.shards.manifest import Release
from curation.shards.verify import verify_release
from tests.made_release import make_release

FIRST = """
[[stage]]
run = "dedup_images"
with.by = "pixels"

[[stage]]
name = "near"
run = "dedup_images"
with.by = "phash"
with.distance = 8
with.keep_captions = true

[[stage]]
run = "write_shards"
with.signals = ["image_embedding", "image_phash"]
"""
AGAIN = """
[[stage]]
name = "vectors"
run = "dedup_embeddings"
with.threshold = 0.9999
with.prefer = ["clip_score"]
with.against = ["{first}"]

[[stage]]
run = "write_shards"
"""


@pytest.fixture(scope="module")
def own_pool(pool, tmp_path_factory):
    return shutil.copytree(pool, tmp_path_factory.mktemp("dedup") / "pool")


@pytest.fixture(scope="module")
def first(spark, own_pool, model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    (folder / "first.toml").write_text(FIRST)
    run(str(folder / "first.toml"), str(own_pool), str(folder / "out"), set=[f"signals.clip={model}"])
    return str(folder / "out")


def test_captions_of_a_group_are_in_the_manifest(first):
    release = Release.open(first)
    samples = release.samples(["image_id", "caption", "captions", "image_phash"]).to_pylist()
    assert len(samples) > 10 and all(len(s["image_phash"]) == 32 for s in samples)
    reasons = release.subset(["drop_reason"])["drop_reason"].to_pylist()
    assert reasons.count("duplicate_image") >= 1  # number 3 of the drawings is number 2 in other bytes
    assert sum(bool(s["captions"]) for s in samples) >= 1


def test_the_report_shows_each_group_beside_what_stays(first):
    report(first)
    page = html.parse(f"{first}/report.html")
    [section] = page.xpath('//section[@id="duplicates"]')
    groups = section.xpath('.//div[@class="two groups"]/div')
    assert 1 <= len(groups) <= 6
    kept = set(Release.open(first).samples(["uid"])["uid"].to_pylist())
    for group in groups:
        uids = [each.text for each in group.xpath(".//code")]
        assert len(group.xpath(".//img")) == len(uids) >= 2
        staying = [uid for uid in kept if uid.startswith(uids[0])]
        assert len(staying) == 1 and not any(uid.startswith(gone) for uid in kept for gone in uids[1:])


def test_the_report_of_a_mended_release_shows_what_it_still_knows(first, tmp_path):
    """Its verdicts were lost: of what had gone there is no row any more."""
    shutil.copytree(first, tmp_path / "lost")
    for part in (tmp_path / "lost/subset").glob("*.parquet"):
        part.unlink()
    mended = str(tmp_path / "mended")
    assert verify_release(str(tmp_path / "lost"), fix=True, out=mended)["faults"] == 0
    report(mended)
    [section] = html.parse(f"{mended}/report.html").xpath('//section[@id="duplicates"]')
    groups = section.xpath('.//div[@class="two groups"]/div')
    assert groups and all(len(group.xpath(".//code")) == 1 for group in groups)  # what stays


def test_a_second_release_repeats_nothing_of_the_first(spark, first, own_pool, model, tmp_path):
    (tmp_path / "again.toml").write_text(AGAIN.format(first=first))
    run(str(tmp_path / "again.toml"), str(own_pool), str(tmp_path / "out"), set=[f"signals.clip={model}"])
    release = Release.open(str(tmp_path / "out"))
    reasons = release.subset(["drop_reason"])["drop_reason"].to_pylist()
    assert reasons.count("duplicate_of_earlier") >= len(Release.open(first).samples())
    # what the first release had dropped as near by hash, and is not near by vector, may come now
    assert 0 < release.mark["counts"]["kept"] < 8
    known = set(Release.open(first).samples(["image_id"])["image_id"].to_pylist())
    assert known.isdisjoint(release.samples(["image_id"])["image_id"].to_pylist())


def test_bytes_of_an_earlier_release_that_encoded_its_pictures_anew(spark, own_pool, tmp_path):
    recipe, again = tmp_path / "r.toml", tmp_path / "again.toml"
    recipe.write_text('[[stage]]\nrun = "write_shards"\nwith.encode = "jpg"\nwith.signals = []\n')
    again.write_text(f'[[stage]]\nrun = "dedup_images"\nwith.against = ["{tmp_path}/first"]\n')
    run(str(recipe), str(own_pool), str(tmp_path / "first"))
    with pytest.raises(RecipeError, match=r'no column image_sha256; wanted .*write_shards.signals = \["image_sha256"'):
        run(str(again), str(own_pool), str(tmp_path / "second"))
    text = recipe.read_text()
    for name, old, new in (("copied", 'with.encode = "jpg"\n', ""), ("told", "[]", '["image_sha256"]')):
        recipe.write_text(text.replace(old, new))
        run(str(recipe), str(own_pool), str(tmp_path / name))
        against = f'dedup_images.against=["{tmp_path}/{name}"]'
        run(str(again), str(own_pool), str(tmp_path / f"after-{name}"), set=[against])
        reasons = Release.open(str(tmp_path / f"after-{name}")).subset(["drop_reason"])["drop_reason"].to_pylist()
        assert reasons.count("duplicate_of_earlier") == len(Release.open(str(tmp_path / name)).samples())


def test_an_earlier_release_of_another_model_is_refused(first, model, tmp_path):
    (tmp_path / "again.toml").write_text(AGAIN.format(first=first))
    load_recipe(str(tmp_path / "again.toml"), [f"signals.clip={model}"])
    with pytest.raises(RecipeError, match="wanted vectors by the model"):
        load_recipe(str(tmp_path / "again.toml"), ["signals.clip=sample-clip"])


def test_an_earlier_release_without_samples_is_refused(tmp_path):
    earlier = make_release(tmp_path, size=20, shards=False).out
    with pytest.raises(RecipeError, match=r"has no samples: wanted a release that write_shards made"):
        load_recipe("full", [f'dedup_embeddings.against=["{earlier}"]'])


def test_semdedup(spark, own_pool, model, tmp_path):
    settings = [f"signals.clip={model}", "dedup_embeddings.threshold=0.9999"]
    run("semdedup", str(own_pool), str(tmp_path / "out"), set=settings)
    release = Release.open(str(tmp_path / "out"))
    assert 10 < release.mark["counts"]["kept"] < release.mark["counts"]["pool"]
    stage = next(s for s in release.mark["stages"] if s["run"] == "dedup_embeddings")
    assert stage["drops"]["duplicate_image"] >= 1
    assert [row["recall"] for row in stage["recall"]] == [1.0]
