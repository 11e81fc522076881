"""The recipes against text in pictures, end to end: what is written over goes, what is not stays."""

import csv

import numpy as np
import pytest
from PIL import Image

from curation.ingest import ingest
from curation.run import run
from curation.shards.manifest import Release
from curation.shards.verify import verify
from tests.models.test_ocr import needs_rapidocr, written

pytestmark = needs_rapidocr
WORDS = ("harvest moon", "silver lake", "NORTH PIER", "old lantern", "garden party", "winter coat")


@pytest.fixture(scope="module")
def signs(spark, tmp_path_factory):
    """A pool of twelve pictures: six with their caption written into them, six with none; one more is broken."""
    folder = tmp_path_factory.mktemp("signs")
    draw, rows = np.random.default_rng(0), []
    for number, words in enumerate(WORDS):
        ground = tuple(int(v) for v in draw.integers(150, 256, 3))
        picture, _ = written((256, 224), [(words, (20, 80))], 32, ground=ground)
        Image.fromarray(picture).save(folder / f"{number}.png")
        rows.append((f"{number}.png", f"{words}, number {number}"))
        coarse = draw.integers(0, 256, (4, 5, 3), np.uint8)
        Image.fromarray(coarse).resize((250, 200), Image.Resampling.BICUBIC).save(
            folder / f"plain{number}.jpg", quality=95
        )
        rows.append((f"plain{number}.jpg", f"a plain picture {number}"))
    (folder / "broken.jpg").write_bytes((folder / "plain0.jpg").read_bytes()[:900])
    rows.append(("broken.jpg", "a broken picture"))
    with open(folder / "signs.tsv", "w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([("path", "caption"), *rows])
    pool = str(tmp_path_factory.mktemp("pool") / "pool")
    ingest([str(folder / "signs.tsv")], out=pool)
    return pool


def test_tmars_keeps_the_half_that_agrees_without_its_text(signs, model, tmp_path):
    out = str(tmp_path / "out")
    run("tmars", signs, out, set=[f"signals.clip={model}"])
    verdicts = Release.open(out).subset().to_pylist()
    assert [
        row["drop_value"].split(":")[0] for row in verdicts if row["drop_reason"] == "text_masked_clip_score is null"
    ] == ["decode_error"]
    samples = Release.open(out).samples().to_pylist()
    assert len(samples) == 6 and not verify(out)
    for row in samples:
        assert (row["image_text_area_share"] == 0) == row["caption"].startswith("a plain")
        assert (row["text_masked_clip_score"] == row["clip_score"]) == row["caption"].startswith("a plain")


def test_parrot_free_drops_pictures_with_text(signs, model, tmp_path):
    out = str(tmp_path / "out")
    run(
        "parrot_free",
        signs,
        out,
        set=[f"signals.clip={model}", "scores.keep.clip_score.min=-1.0", "dedup_embeddings.threshold=1"],
    )
    reasons = [row["drop_reason"] for row in Release.open(out).subset().to_pylist()]
    assert reasons.count("image_text_area_share>0.0") == 6
    assert reasons.count("image_text_area_share is null") == 1
    assert {row["caption"] for row in Release.open(out).samples().to_pylist()} == {
        f"a plain picture {number}" for number in range(6)
    }


def test_parroted_words_can_be_bounded(signs, tmp_path):
    recipe = tmp_path / "parrots.toml"
    recipe.write_text(
        '[[stage]]\nrun = "select_subset"\nwith.keep.parrot_share = { max = 0.3 }\n'
        'with.keep.parrot_share_fuzzy = { max = 0.3 }\n[[stage]]\nrun = "write_shards"\n'
        'with.signals = ["parrot_share", "image_text"]\n'
    )
    run(str(recipe), signs, str(tmp_path / "out"))
    verdicts = Release.open(str(tmp_path / "out")).subset().to_pylist()
    assert sorted(float(row["drop_value"]) for row in verdicts if row["drop_reason"] == "parrot_share>0.3") == [0.5] * 6
    assert all(row["parrot_share"] == 0 for row in Release.open(str(tmp_path / "out")).samples().to_pylist())
