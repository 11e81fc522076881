"""A release with faces blurred and listed pictures left out, end to end; the rest byte for byte as it was."""

import csv
import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curation.explain import why
from curation.ingest import ingest
from curation.run import run
from curation.shards.manifest import Release
from curation.shards.verify import verify
from tests.drawing import draw

pytest.importorskip("cv2")
RECIPE = """
[[stage]]
run = "drop_listed"
with.pdq = ["{folder}/near.txt"]
with.sha256 = ["{folder}/exact.txt"]

[[stage]]
name = "safe"
run = "select_subset"
with.keep.aesthetic_score = {{ min = -100 }}
with.keep.nsfw_score = {{ max = 0.9 }}
with.keep.caption_toxicity = {{ max = 0 }}

[[stage]]
run = "write_shards"
with.signals = ["aesthetic_score", "face_count"]
with.blur_faces = true
with.samples_per_shard = 4
"""


@pytest.fixture(scope="module")
def folder(spark, tmp_path_factory) -> Path:
    """A pool of seven pictures, a photograph of a face as JPEG and as PNG, and one whose file is cut."""
    import matplotlib

    folder = tmp_path_factory.mktemp("safe")
    source = Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")
    (folder / "face.jpg").write_bytes(source.read_bytes())
    Image.open(source).convert("RGB").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "face.png")
    (folder / "cut.jpg").write_bytes(source.read_bytes()[:30_000])
    names = ["face.jpg", "face.png", "cut.jpg"]
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)  # drawings have too little detail for PDQ
    for number in range(7):
        picture = Image.fromarray(noise).resize((320, 240)) if number == 1 else draw(number)[0]
        picture.save(folder / f"{number}.png")
        names.append(f"{number}.png")
    with open(folder / "pictures.tsv", "w", newline="") as file:
        rows = [(name, f"a caption of {name}, {'swine' if name == '6.png' else 'fine'}") for name in names]
        csv.writer(file, delimiter="\t").writerows([("path", "caption"), *rows])
    ingest([str(folder / "pictures.tsv")], out=str(folder / "pool"))
    return folder


@pytest.fixture(scope="module")
def recipe(folder: Path, model: str) -> list[str]:
    from curation.images import ImageBatch
    from curation.signals import SIGNALS

    exact = hashlib.sha256((folder / "0.png").read_bytes()).hexdigest()
    (folder / "exact.txt").write_text(f"# one\n{exact}\n")
    small = io.BytesIO()
    Image.open(folder / "1.png").resize((240, 180)).save(small, "JPEG", quality=70)
    [near] = SIGNALS["image_pdq"](ImageBatch([small.getvalue()]).pixels_bounded).to_pylist()
    (folder / "near.txt").write_text(f"{near.hex()}\n")
    (folder / "words.txt").write_text("swine\n")
    np.savez(folder / "head.npz", weight=np.ones((1, 24)), bias=np.zeros(1))
    np.savez(folder / "nsfw.npz", weight=np.zeros((1, 24)), scorer='{"output": "sigmoid"}')
    (folder / "safe.toml").write_text(RECIPE.format(folder=folder))
    settings = {"clip": model, "aesthetic": folder / "head.npz", "nsfw": folder / "nsfw.npz"}
    settings["toxicity"] = folder / "words.txt"
    return [f"signals.{name}={value}" for name, value in settings.items()]


@pytest.fixture(scope="module")
def out(folder: Path, recipe: list[str]) -> str:
    run(str(folder / "safe.toml"), str(folder / "pool"), str(folder / "out"), set=recipe)
    return str(folder / "out")


def members(out: str) -> dict[str, tuple[dict, bytes]]:
    """Samples by the name in their caption, each with its picture's bytes."""
    release, found = Release.open(out), {}
    for shard in range(len(release.tars)):
        data = release.open_tar(shard)
        for row in release.shard_samples(shard).to_pylist():
            at, size = row["offset"]["image"], row["bytes"]["image"]
            found[row["caption"].split()[3].rstrip(",")] = row, bytes(data[at : at + size])
    return found


def test_listed_and_toxic_pairs_are_dropped_each_with_its_reason(out, capsys):
    dropped = {row["drop_reason"]: row for row in Release.open(out).subset().to_pylist() if not row["keep"]}
    assert set(dropped) == {"listed_sha256", "listed_pdq", "image_pdq is null", "caption_toxicity>0"}
    assert dropped["listed_sha256"]["drop_value"] == "exact.txt line 2"
    assert dropped["listed_pdq"]["drop_value"].startswith("near.txt line 1, ")
    why(out, dropped["listed_pdq"]["uid"])
    assert "listed_pdq" in capsys.readouterr().out


def test_faces_are_blurred_and_the_rest_is_as_it_was(folder, out):
    found = members(out)
    assert set(found) == {"face.jpg", "face.png", "2.png", "3.png", "4.png", "5.png"}
    for name, (row, data) in found.items():
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
        faces = name.startswith("face")
        assert row["blurred_faces"] == row["face_count"] == int(faces)
        kind = "JPEG" if faces else "PNG"
        assert Image.open(io.BytesIO(data)).format == kind and row["format"] == {"JPEG": "jpg", "PNG": "png"}[kind]
        assert (data == (folder / name).read_bytes()) != faces
    pixels = np.asarray(Image.open(io.BytesIO(found["face.jpg"][1])), int)
    before = np.asarray(Image.open(folder / "face.jpg"), int)
    assert pixels.shape == before.shape and np.abs(pixels - before)[:60].mean() < 2
    assert np.abs(pixels - before)[150:300, 200:340].mean() > 10


def test_it_verifies_and_is_the_same_again(folder, recipe, out):
    assert verify(out) == []
    again = str(folder / "again")
    run(str(folder / "safe.toml"), str(folder / "pool"), again, store=str(folder / "store"), set=recipe)
    assert members(again) == members(out)
    told = Release.open(out).mark["signals"]
    assert told["aesthetic_score"]["models"]["aesthetic"]["digest"]
    assert told["face_boxes"]["models"]["faces"]["digest"]


def test_faces_stay_without_the_option(folder, recipe, out):
    plain = str(folder / "plain")
    settings = [*recipe, "write_shards.blur_faces=false", 'write_shards.signals=["face_boxes"]']
    run(str(folder / "safe.toml"), str(folder / "pool"), plain, set=settings)
    row, data = members(plain)["face.png"]
    assert data == (folder / "face.png").read_bytes() and "blurred_faces" not in row
    assert len(row["face_boxes"]) == 1 and verify(plain) == []
